// Servers as process groups that end together with the tests: DocsGPT's servers start processes of their own.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { startProcess } from '../processes.mjs';
import { waitFor } from '../wait-for.mjs';

const GRACE_MS = 10_000;

/** Reports whether the group has a process. */
function groupExists(pid) {
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
    // the group has ended
  }
}

// Waits until this process ends, and kills the remaining groups. There are none unless this process was killed.
const WATCHDOG = `
	declare -A groups
	while read -r what pid; do
		if [[ $what == started ]]; then groups[$pid]=1; else unset "groups[$pid]"; fi
	done
	for pid in "\${!groups[@]}"; do kill -KILL -- "-$pid"; done`;

/** Starts programs, and stops them in reverse order. Their output goes to <logs>/<name>.log. */
export class ProcessGroups {
  #running = [];
  #logs;
  #stopping = false;
  #watchdog = spawn('bash', ['-c', WATCHDOG], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });

  constructor(logs) {
    this.#logs = logs;
    fs.mkdirSync(logs, { recursive: true });
    this.#watchdog.unref();
    this.#watchdog.stdin.unref();
  }

  /**
   * Starts a program in its own process group. Returns what startProcess returns, with a stop that ends the whole group.
   *
   * @param {string} name
   * @param {string[]} command
   * @param {{env: object, cwd: string}} options env is the whole environment
   */
  start(name, [program, ...args], { env, cwd }) {
    if (this.#stopping) throw new Error(`${name}: not started, because the processes are being stopped`);
    const child = startProcess(name, program, args, {
      dir: cwd, env, outFile: path.join(this.#logs, `${name}.log`), ownGroup: true,
    });
    if (child.pid) this.#watchdog.stdin.write(`started ${child.pid}\n`);
    this.#running.push(child);
    return { ...child, stop: () => this.#stop(child) };
  }

  /** Runs a program and returns its output. It fails unless the exit status is 0. */
  async run(name, command, options) {
    const child = this.start(name, command, options);
    const ended = await child.exit;
    if (ended.code !== 0) throw new Error(`${name} failed (${JSON.stringify(ended)}):\n${child.output()}`);
    return child.output();
  }

  /** Stops a group with SIGINT, and with SIGKILL after the grace period. */
  async #stop({ pid, exit }) {
    if (!pid) return;
    signalGroup(pid, 'SIGINT');
    const gone = waitFor('the group has ended', () => !groupExists(pid), { deadline: GRACE_MS }).catch(() => {
      signalGroup(pid, 'SIGKILL');
    });
    await Promise.all([exit, gone]);
    this.#watchdog.stdin.write(`ended ${pid}\n`);
  }

  /** Stops all groups. No program can be started afterwards. */
  async stopAll() {
    this.#stopping = true;
    for (const child of this.#running.reverse()) await this.#stop(child);
    this.#running = [];
  }

  /** Returns the last lines of all logs, for error output. */
  tails(lines = 15) {
    return fs.readdirSync(this.#logs).sort().map((name) => {
      const text = fs.readFileSync(path.join(this.#logs, name), 'utf8').trimEnd().split('\n').slice(-lines);
      return `--- ${name}\n${text.map((line) => line.slice(0, 300)).join('\n')}`;
    }).join('\n');
  }
}
