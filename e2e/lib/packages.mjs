// The packages of docsgate, built from DOCSGATE_BIN: a version that is installed first, and a later one whose Caddyfile differs.

import fs from 'node:fs';
import path from 'node:path';
import { gateBinary, REPO } from './build.mjs';
import { runCommand } from './processes.mjs';

/** What scripts/package.sh reads. */
const SOURCES = ['go.mod', 'LICENSE', 'NOTICE', 'README.md', 'packaging', 'scripts/package.sh', 'scripts/completions.sh', 'tools/release'];
/** The end of the later version's Caddyfile. */
export const ADDED_LINE = '# a line of version 1.1.0';

/** Builds the packages of both versions in a folder, as "deb" or "rpm". Returns their paths, {old, new}. */
export async function buildPackages(folder, packager) {
  const arch = (await runCommand(['go', 'env', 'GOARCH'])).trim();
  const sources = path.join(folder, 'sources');
  for (const name of SOURCES) fs.cpSync(path.join(REPO, name), path.join(sources, name), { recursive: true });

  const build = async (version) => {
    const output = path.join(folder, version);
    await runCommand([path.join(sources, 'scripts/package.sh'), gateBinary(), arch, version, output, packager],
      { env: { ...process.env, SOURCE_DATE_EPOCH: '1790000000' }, maxBuffer: 16 << 20 });
    return path.join(output, ...fs.readdirSync(output));
  };
  const old = await build('v1.0.0');
  fs.appendFileSync(path.join(sources, 'packaging/Caddyfile'), `${ADDED_LINE}\n`);
  return { old, new: await build('v1.1.0') };
}
