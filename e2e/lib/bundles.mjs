// The published widgets, as their npm packages ship them for a <script> element.
//
// They are not ordinary dependencies: each package also lists its build tools, npm itself among them, as dependencies,
// hundreds of megabytes that the browser bundle does not need. So only the package file is fetched, with npm, and
// checked against the sum in widgets.json.

import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { E2E } from './build.mjs';

const PINS = JSON.parse(fs.readFileSync(path.join(E2E, 'widgets.json'), 'utf8'));
const CACHE = path.join(E2E, '.cache', 'widgets');

/** The versions that are tested, oldest first. */
export const WIDGET_VERSIONS = PINS.map((pin) => pin.version);

/** Text of the browser bundle of one version. It is fetched when it is not in the cache folder. */
export function widgetBundle(version) {
  const pin = PINS.find((p) => p.version === version);
  if (!pin) throw new Error(`widgets.json has no version ${version}`);
  const packed = path.join(CACHE, `docsgpt-${version}.tgz`);
  if (!fs.existsSync(packed)) fetchPackage(version, packed);
  const sum = `sha512-${crypto.createHash('sha512').update(fs.readFileSync(packed)).digest('base64')}`;
  if (sum !== pin.integrity) {
    fs.rmSync(packed, { force: true });
    throw new Error(`docsgpt ${version} is not the package that widgets.json names: ${sum}`);
  }
  // The sum was checked on the packed file, so it is unpacked in memory each time and never left on disk unpacked.
  return execFileSync('tar', ['-xzOf', packed, `package/${pin.bundle}`], { maxBuffer: 16 << 20 }).toString();
}

/** Fetches a package file. It is in its place only when it is whole: other test files look for it at the same time. */
function fetchPackage(version, packed) {
  fs.mkdirSync(CACHE, { recursive: true });
  const own = fs.mkdtempSync(path.join(CACHE, 'fetch-'));
  try {
    execFileSync('npm', ['pack', `docsgpt@${version}`, '--silent', '--pack-destination', own], {
      cwd: E2E, stdio: ['ignore', 'ignore', 'inherit'],
    });
    fs.renameSync(path.join(own, path.basename(packed)), packed);
  } finally {
    fs.rmSync(own, { recursive: true, force: true });
  }
}
