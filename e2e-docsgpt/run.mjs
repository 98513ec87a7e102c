// Installs and starts a real DocsGPT with docsgate in front of it, runs the tests against them, and ends everything.
//
//	node run.mjs                  all tests
//	node run.mjs FILE... [--...]  these (from this folder); options go to node --test
//	node run.mjs --stay           starts everything, says where it is, and waits for Ctrl-C

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { REPO } from '../e2e/lib/build.mjs';
import { findSecrets } from '../e2e/lib/secrets.mjs';
import { Processes } from './lib/processes.mjs';
import { startStack } from './lib/stack.mjs';

const HERE = path.join(REPO, 'e2e-docsgpt');
const args = process.argv.slice(2);
const began = Date.now();
const say = (text) => console.log(`[${((Date.now() - began) / 1000).toFixed(1).padStart(5)} s] ${text}`);

const installation = execFileSync(path.join(REPO, 'scripts', 'docsgpt-install.sh'), {
  stdio: ['ignore', 'pipe', 'inherit'],
}).toString().trim();

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'docsgate-docsgpt-'));
fs.chmodSync(dir, 0o755); // the servers have a user of their own
const processes = new Processes(path.join(dir, 'logs'));
let model;
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

/** Runs the tests; true when they pass. */
async function runTests(facts) {
  const file = path.join(dir, 'stack.json');
  fs.writeFileSync(file, JSON.stringify(facts), { mode: 0o600 });
  const files = args.filter((arg) => !arg.startsWith('--')).map((arg) => path.resolve(HERE, arg));
  const all = fs.readdirSync(path.join(HERE, 'test')).sort().map((name) => path.join(HERE, 'test', name));
  const chosen = files.length > 0 ? files : all;
  tests = spawn(process.execPath, [
    '--test', '--test-reporter=spec', '--test-concurrency=1', ...args.filter((arg) => arg.startsWith('--')), ...chosen,
  ], { cwd: HERE, stdio: 'inherit', env: { ...process.env, DOCSGPT_STACK: file } });
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
  starting.catch(() => {}); // told below, or an interruption was the reason
  const stack = await Promise.race([starting, interrupt]);
  model = stack?.model;
  if (stack && args.includes('--stay')) {
    const file = path.join(dir, 'stack.json');
    fs.writeFileSync(file, JSON.stringify(stack.facts, null, 2), { mode: 0o600 });
    say(`running; what is where: ${file}`);
    await interrupt;
    fs.rmSync(file);
  } else if (stack) {
    say('tests');
    if (!(await runTests(stack.facts)) && !interrupted) failure = 'tests failed';
    const written = findSecrets(stack.facts.gate.folder, stack.facts.secrets)
      .concat(findSecrets(path.join(dir, 'logs'), stack.facts.secrets).filter((entry) => entry.startsWith('gate.log')));
    if (written.length > 0) failure = `docsgate wrote secrets: ${written.join(', ')}`;
  }
} catch (error) {
  failure = error.stack;
}
const tails = failure && processes.tails(); // before the ends of the servers fill them
await processes.stopAll();
await model?.stop();
if (interrupted) {
  fs.rmSync(dir, { recursive: true, force: true });
  say(`ended by ${interrupted}`);
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
