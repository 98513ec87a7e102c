// Child processes.

import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { waitFor } from './wait-for.mjs';

/** Runs a program and returns its standard output. It fails, with its standard error, unless the exit status is 0. */
export function runCommand([program, ...args], { input = '', ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error) reject(new Error(`${path.basename(program)}: ${stderr || error.message}`));
      else resolve(stdout);
    });
    child.stdin.on('error', () => {}); // the exit status of the program says more than its closed input
    child.stdin.end(input);
  });
}

/**
 * Starts a program. Its stdout and stderr go to a file, so that they can be searched afterwards.
 *
 * @param {string} name
 * @param {string} program
 * @param {string[]} args
 * @param {{dir: string, env?: object, input?: string, outFile?: string, ownGroup?: boolean}} options env is the whole
 *   environment; input is written to the program's standard input, which is then closed; outFile is <dir>/<name>.out by
 *   default; ownGroup: whether the program leads a new process group
 */
export function startProcess(name, program, args, {
  dir, env = process.env, input, outFile = path.join(dir, `${name}.out`), ownGroup = false,
}) {
  const out = fs.openSync(outFile, 'a');
  const child = spawn(program, args, {
    cwd: dir, env, stdio: [input === undefined ? 'ignore' : 'pipe', out, out], detached: ownGroup,
  });
  fs.closeSync(out);
  let ended = null;
  const exit = new Promise((resolve) => {
    child.once('error', (error) => { ended = { error }; resolve(ended); });
    child.once('exit', (code, signal) => { ended = { code, signal }; resolve(ended); });
  });
  if (input !== undefined) {
    child.stdin.on('error', () => {}); // the exit status of the program says more than its closed input
    child.stdin.end(input);
  }
  const output = () => fs.readFileSync(outFile, 'utf8');
  return {
    name,
    /** Undefined if the program could not be started. */
    pid: child.pid,
    output,
    /** Resolves to {code, signal}, or to {error} if the program could not be started. */
    exit,
    /** Waits for a condition. It fails immediately, with the program's output, if the program ends before. */
    async ready(what, check, { deadline = 30_000 } = {}) {
      const value = await waitFor(`${name}: ${what}`, async () => ended || check(), { deadline });
      if (ended) throw new Error(`${name} ended before it was ready (${JSON.stringify(ended)}):\n${output()}`);
      return value;
    },
    /** Terminates the program with SIGTERM. It fails if the program does not end. */
    async stop() {
      if (ended) return;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
      const { signal } = await exit;
      clearTimeout(timer);
      if (signal === 'SIGKILL') throw new Error(`${name} did not end after SIGTERM:\n${output()}`);
    },
  };
}
