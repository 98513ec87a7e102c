// Servers as process groups: started with their output in a file of their own, and ended by process id, all of them,
// whatever happens.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { waitFor } from '../../e2e/lib/wait-for.mjs';

const GRACE_MS = 10_000;

/** Tells whether any process of the group is left. */
function groupLives(pid) {
  try {
    process.kill(-pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function signalGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // gone already
  }
}

// Waits for the end of the runner, and then kills the groups that are still there: all of them were ended before, unless
// the runner was killed.
const GUARD = `
	declare -A groups
	while read -r what pid; do
		if [[ $what == started ]]; then groups[$pid]=1; else unset "groups[$pid]"; fi
	done
	for pid in "\${!groups[@]}"; do kill -KILL -- "-$pid"; done`;

/** Starts programs that are ended together, last one first. Their output goes to <logs>/<name>.log. */
export class Processes {
  #running = [];
  #logs;
  #closing = false;
  #guard = spawn('bash', ['-c', GUARD], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });

  constructor(logs) {
    this.#logs = logs;
    fs.mkdirSync(logs, { recursive: true });
    this.#guard.unref();
    this.#guard.stdin.unref();
  }

  /**
   * Starts a program in a process group of its own.
   *
   * @param {string} name
   * @param {string[]} command
   * @param {{env: object, cwd?: string}} options env is the whole environment
   */
  start(name, [program, ...args], { env, cwd }) {
    if (this.#closing) throw new Error(`${name}: not started, the tests are being ended`);
    const file = path.join(this.#logs, `${name}.log`);
    const out = fs.openSync(file, 'a');
    const child = spawn(program, args, { env, cwd, stdio: ['ignore', out, out], detached: true });
    fs.closeSync(out);
    if (child.pid) this.#guard.stdin.write(`started ${child.pid}\n`);
    let ended;
    const exit = new Promise((resolve) => {
      child.once('error', (error) => { ended = error.message; resolve(); });
      child.once('exit', (code, signal) => { ended = `status ${code ?? signal}`; resolve(); });
    });
    const entry = { name, child, exit, ended: () => ended };
    this.#running.push(entry);
    return {
      name,
      pid: child.pid,
      exit,
      ended: () => ended,
      output: () => fs.readFileSync(file, 'utf8'),
      /** Waits until check gives something truthy; fails at once when the program ends before. */
      ready: async (what, check, seconds = 180) => {
        await waitFor(`${name}: ${what}`, async () => ended || check(), { deadline: seconds * 1000, every: 100 });
        if (ended) throw new Error(`${name} ended with ${ended} before: ${what}`);
      },
      stop: () => this.#stop(entry),
    };
  }

  /** Runs a program to its end and fails unless it ends with 0. */
  async run(name, command, options) {
    const program = this.start(name, command, options);
    await program.exit;
    if (program.ended() !== 'status 0') throw new Error(`${name} ended with ${program.ended()}`);
    return program.output();
  }

  async #stop({ child, exit }) {
    if (!child.pid) return;
    signalGroup(child.pid, 'SIGINT');
    const gone = waitFor('the group is gone', () => !groupLives(child.pid), { deadline: GRACE_MS }).catch(() => {
      signalGroup(child.pid, 'SIGKILL');
    });
    await Promise.all([exit, gone]);
    this.#guard.stdin.write(`ended ${child.pid}\n`);
  }

  /** Ends all of them. */
  async stopAll() {
    this.#closing = true;
    for (const entry of this.#running.reverse()) await this.#stop(entry);
    this.#running = [];
  }

  /** The ends of all logs, for people. */
  tails(lines = 15) {
    return fs.readdirSync(this.#logs).sort().map((name) => {
      const text = fs.readFileSync(path.join(this.#logs, name), 'utf8').trimEnd().split('\n').slice(-lines);
      return `--- ${name}\n${text.map((line) => line.slice(0, 300)).join('\n')}`;
    }).join('\n');
  }
}
