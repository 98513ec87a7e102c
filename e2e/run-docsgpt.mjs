// Starts a real DocsGPT with docsgate in front of it, runs the tests of test/docsgpt, and stops everything.
//
//	node run-docsgpt.mjs                  runs all tests
//	node run-docsgpt.mjs FILE... [--...]  runs these files; options are passed to node --test
//	node run-docsgpt.mjs --stay           starts the servers, prints their addresses, and waits for Ctrl-C

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { E2E, REPO } from './lib/build.mjs';
import { ProcessGroups } from './lib/docsgpt/process-groups.mjs';
import { startStack } from './lib/docsgpt/stack.mjs';
import { findSecrets } from './lib/secrets.mjs';

const TESTS = path.join(E2E, 'test', 'docsgpt');
const args = process.argv.slice(2);
const began = Date.now();
const say = (text) => console.log(`[${((Date.now() - began) / 1000).toFixed(1).padStart(5)} s] ${text}`);

const installation = execFileSync(path.join(REPO, 'scripts', 'docsgpt-install.sh'), {
  stdio: ['ignore', 'pipe', 'inherit'],
}).toString().trim();

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'docsgate-docsgpt-'));
fs.chmodSync(dir, 0o755); // the servers run as another user
const processes = new ProcessGroups(path.join(dir, 'logs'));
let llm;
let tests;
let interrupted;

const interrupt = new Promise((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      if (interrupted) return;
      interrupted = signal;
      tests?.kill('SIGTERM');
      resolve();
    });
  }
});

/** Runs the tests. Reports whether all of them pass. */
async function runTests(info) {
  const file = path.join(dir, 'stack.json');
  fs.writeFileSync(file, JSON.stringify(info), { mode: 0o600 });
  const files = args.filter((arg) => !arg.startsWith('--')).map((arg) => path.resolve(E2E, arg));
  const all = fs.readdirSync(TESTS).sort().map((name) => path.join(TESTS, name));
  tests = spawn(process.execPath, [
    '--test', '--test-reporter=spec', '--test-concurrency=1', ...args.filter((arg) => arg.startsWith('--')),
    ...(files.length > 0 ? files : all),
  ], { cwd: E2E, stdio: 'inherit', env: { ...process.env, DOCSGPT_STACK: file } });
  const code = await new Promise((resolve, reject) => {
    tests.once('error', reject);
    tests.once('exit', resolve);
  });
  fs.rmSync(file);
  return code === 0;
}

let failure;
try {
  const starting = startStack({ dir, installation, processes, say });
  starting.catch(() => {}); // handled below, unless an interruption caused it
  const stack = await Promise.race([starting, interrupt]);
  llm = stack?.llm;
  if (stack && args.includes('--stay')) {
    const file = path.join(dir, 'stack.json');
    fs.writeFileSync(file, JSON.stringify(stack.info, null, 2), { mode: 0o600 });
    say(`running; addresses, ids and keys: ${file}`);
    await interrupt;
    fs.rmSync(file);
  } else if (stack) {
    say('tests');
    if (!(await runTests(stack.info)) && !interrupted) failure = 'tests failed';
    const leaked = findSecrets(stack.info.gate.folder, stack.info.secrets)
      .concat(findSecrets(path.join(dir, 'logs'), stack.info.secrets).filter((entry) => entry.startsWith('gate.log')));
    if (leaked.length > 0) failure = `docsgate wrote secrets: ${leaked.join(', ')}`;
  }
} catch (error) {
  failure = error.stack;
}
const tails = failure && processes.tails(); // before the servers log their shutdown
await processes.stopAll();
await llm?.stop();
if (interrupted) {
  fs.rmSync(dir, { recursive: true, force: true });
  say(`stopped by ${interrupted}`);
  process.exit(130);
}
if (failure) {
  console.error(tails);
  fs.rmSync(path.join(dir, 'data'), { recursive: true, force: true });
  console.error(`${failure}\nthe logs are in ${path.join(dir, 'logs')}`);
  process.exit(1);
}
fs.rmSync(dir, { recursive: true, force: true });
say('done');
process.exit(0);
