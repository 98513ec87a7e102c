// The published widgets, as their npm packages ship them for a <script> element.
//
// They are not ordinary dependencies: each package also lists its build tools, including npm itself, as dependencies. Those
// are hundreds of megabytes, and the browser bundle needs none of them. So only the package file is fetched with npm and
// verified against the checksum in widgets.json.

import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { E2E } from './build.mjs';

const PINS = JSON.parse(fs.readFileSync(path.join(E2E, 'widgets.json'), 'utf8'));
const CACHE = path.join(E2E, '.cache', 'widgets');

/** The tested versions, oldest first. */
export const WIDGET_VERSIONS = PINS.map((pin) => pin.version);

/** Returns the text of a version's browser bundle. The package is fetched if it is not in the cache folder. */
export function widgetBundle(version) {
  const pin = PINS.find((p) => p.version === version);
  if (!pin) throw new Error(`widgets.json has no version ${version}`);
  const packed = path.join(CACHE, `docsgpt-${version}.tgz`);
  if (!fs.existsSync(packed)) fetchPackage(version, packed);
  const sum = `sha512-${crypto.createHash('sha512').update(fs.readFileSync(packed)).digest('base64')}`;
  if (sum !== pin.integrity) {
    fs.rmSync(packed, { force: true });
    throw new Error(`the checksum of docsgpt ${version} differs from that in widgets.json: ${sum}`);
  }
  // The checksum is that of the packed file, so the bundle is always unpacked in memory from it.
  return execFileSync('tar', ['-xzOf', packed, `package/${pin.bundle}`], { maxBuffer: 16 << 20 }).toString();
}

/** Fetches a package file into a temporary folder and renames it: other test files look for it concurrently. */
function fetchPackage(version, packed) {
  fs.mkdirSync(CACHE, { recursive: true });
  const temporary = fs.mkdtempSync(path.join(CACHE, 'fetch-'));
  try {
    execFileSync('npm', ['pack', `docsgpt@${version}`, '--silent', '--pack-destination', temporary], {
      cwd: E2E, stdio: ['ignore', 'ignore', 'inherit'],
    });
    fs.renameSync(path.join(temporary, path.basename(packed)), packed);
  } finally {
    fs.rmSync(temporary, { recursive: true, force: true });
  }
}
