// The Go programs that the tests run: docsgate itself, the stub backend, and the program that fills a key store.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const E2E = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
export const REPO = path.dirname(E2E);

/** Those of the Makefile, so that both share the build cache. */
const FLAGS = ['-trimpath', '-tags=nobadger,nomysql,nopgx'];

/**
 * Test files run concurrently, so a program must not be overwritten while another process starts it. Each process builds
 * a temporary file and renames it. It begins with a copy, which the go command keeps if it is up to date.
 */
function goBuild(target, pkg) {
  const temporary = `${target}.${process.pid}`;
  if (fs.existsSync(target)) fs.copyFileSync(target, temporary);
  try {
    execFileSync('go', ['build', ...FLAGS, '-o', temporary, pkg], {
      cwd: REPO, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, CGO_ENABLED: '0' },
    });
    fs.renameSync(temporary, target);
  } finally {
    fs.rmSync(temporary, { force: true });
  }
  return target;
}

/** Returns the path of the docsgate binary: DOCSGATE_BIN, or bin/docsgate, which is built if it is out of date. */
export function gateBinary() {
  const configured = process.env.DOCSGATE_BIN;
  if (!configured) return goBuild(path.join(REPO, 'bin', 'docsgate'), './cmd/docsgate');
  const resolved = path.resolve(configured);
  if (!fs.existsSync(resolved)) throw new Error(`DOCSGATE_BIN names ${resolved}, which does not exist`);
  return resolved;
}

/** Returns the path of the stub backend. */
export function stubBinary() {
  return goBuild(path.join(E2E, '.cache', 'stub'), './e2e/stub');
}

/** Returns the path of the program that writes a key store with a history. */
export function seedBinary() {
  return goBuild(path.join(E2E, '.cache', 'seed'), './e2e/seed');
}
