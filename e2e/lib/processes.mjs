// Child processes: started with their output in a file, ended by process id, and seen to be gone.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { until } from './until.mjs';

/**
 * Starts a program. Its two output streams go to <dir>/<name>.out, so that they can be searched afterwards.
 *
 * @param {string} name
 * @param {string} program
 * @param {string[]} args
 * @param {{dir: string, env?: object, input?: string}} options env is the whole environment; input is written to
 *   the program's standard input, which then ends
 */
export function startProcess(name, program, args, { dir, env = process.env, input }) {
  const outFile = path.join(dir, `${name}.out`);
  const out = fs.openSync(outFile, 'a');
  const child = spawn(program, args, {
    cwd: dir, env, stdio: [input === undefined ? 'ignore' : 'pipe', out, out],
  });
  fs.closeSync(out);
  let ended = null;
  const exit = new Promise((resolve) => {
    child.once('error', (error) => { ended = { error }; resolve(ended); });
    child.once('exit', (code, signal) => { ended = { code, signal }; resolve(ended); });
  });
  if (input !== undefined) {
    child.stdin.on('error', () => {}); // the exit of the program tells more than its closed input
    child.stdin.end(input);
  }
  const output = () => fs.readFileSync(outFile, 'utf8');
  return {
    name,
    pid: child.pid,
    output,
    /** Waits for a condition and fails at once, with the program's output, when the program ends before it holds. */
    async ready(what, check) {
      return until(`${name}: ${what}`, async () => ended || check(), { deadline: 30_000 }).then((value) => {
        if (ended) throw new Error(`${name} ended before it was ready (${JSON.stringify(ended)}):\n${output()}`);
        return value;
      });
    },
    /** Asks the program to end, and fails when it does not. */
    async stop() {
      if (ended) return;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
      const how = await exit;
      clearTimeout(timer);
      if (how.signal === 'SIGKILL') throw new Error(`${name} did not end when asked to:\n${output()}`);
    },
  };
}
