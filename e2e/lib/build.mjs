// The Go programs that the tests run: docsgate itself, the stub backend, and what fills a key store.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const E2E = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
export const REPO = path.dirname(E2E);

/**
 * Test files run at the same time, so what one starts must not be what another writes: each builds a file of its own,
 * from a copy that the go command leaves alone if it is new enough, and puts it in place whole.
 */
function goBuild(target, pkg) {
  const own = `${target}.${process.pid}`;
  if (fs.existsSync(target)) fs.copyFileSync(target, own);
  try {
    execFileSync('go', ['build', '-o', own, pkg], { cwd: REPO, stdio: ['ignore', 'inherit', 'inherit'] });
    fs.renameSync(own, target);
  } finally {
    fs.rmSync(own, { force: true });
  }
  return target;
}

/** Path of the docsgate program: DOCSGATE_BIN, or one that is built here when anything has changed. */
export function gateBinary() {
  const given = process.env.DOCSGATE_BIN;
  if (!given) return goBuild(path.join(REPO, 'bin', 'docsgate'), './cmd/docsgate');
  const resolved = path.resolve(given);
  if (!fs.existsSync(resolved)) throw new Error(`DOCSGATE_BIN names ${resolved}, which does not exist`);
  return resolved;
}

/** Path of the stub backend. */
export function stubBinary() {
  return goBuild(path.join(E2E, '.cache', 'stub'), './e2e/stub');
}

/** Path of the program that writes a key store with a past. */
export function seedBinary() {
  return goBuild(path.join(E2E, '.cache', 'seed'), './e2e/seed');
}
