// A docsgate of the tests' own, which adopts the keys of the real DocsGPT, and the programs that an operator runs.

import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { gateBinary } from '../../e2e/lib/build.mjs';
import { logFilters } from '../../e2e/lib/gate.mjs';
import { LOOPBACK, freePorts, isListening } from '../../e2e/lib/net.mjs';
import { FACTS } from './stack-info.mjs';

/** Runs a program to its end; gives its standard output, or fails with what it said on the other. */
export function run([program, ...args], { input = '', ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error) reject(new Error(`${path.basename(program)}: ${stderr || error.message}`));
      else resolve(stdout);
    });
    child.stdin.on('error', () => {}); // its end tells more
    child.stdin.end(input);
  });
}

/** Runs SQL as an operator does, through psql: as the owner of DocsGPT's tables, or as whom the address names. */
export const psql = (sql, address = FACTS.postgres) => run([...FACTS.psql, '-d', address], { input: sql });

/** A gate with one site in front of each API. Its configuration can be changed while it runs. */
export class AdoptingGate {
  #folder;
  #processes;
  #env;
  #ports;
  #process;

  /** env is what the configuration may name; processes ends the gate whatever happens. */
  static async make({ folder, processes, env }) {
    const gate = new AdoptingGate();
    fs.mkdirSync(folder, { recursive: true });
    const [open, login] = await freePorts(2);
    Object.assign(gate, { open: `http://${LOOPBACK}:${open}`, login: `http://${LOOPBACK}:${login}` });
    gate.#ports = { open, login };
    gate.#folder = folder;
    gate.#processes = processes;
    gate.#env = { PATH: process.env.PATH, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder, ...env };
    return gate;
  }

  #configure(feed) {
    const filtered = 'format filter {\n\t\t\timport no_keys\n\t\t}';
    const sites = Object.entries(this.#ports).map(([name, port]) => `http://${LOOPBACK}:${port} {
	log {
		${filtered}
	}
	docsgate ${new URL(FACTS.api[name]).host} {
		endpoints widget openai
	}
}
`);
    fs.writeFileSync(path.join(this.#folder, 'Caddyfile'), `${logFilters()}
{
	admin unix/${path.join(this.#folder, 'admin.sock')}
	auto_https off
	log default {
		level DEBUG
		${filtered}
	}
	docsgate {
		feed store
		${feed}
	}
}
${sites.join('')}`);
  }

  /** Starts it with this line for the feed, and waits until it listens. */
  async start(feed) {
    this.#configure(feed);
    this.#process = this.#processes.start(
      'adopting', [gateBinary(), 'run', '--config', 'Caddyfile'], { cwd: this.#folder, env: this.#env },
    );
    for (const port of Object.values(this.#ports)) await this.#process.ready(`port ${port}`, () => isListening(port), 30);
  }

  stop() {
    return this.#process.stop();
  }

  /** Gives the running gate another line for the feed. */
  async reload(feed) {
    this.#configure(feed);
    await this.docsgate('reload', '--config', 'Caddyfile');
  }

  /** Runs docsgate as the operator does: in the folder of the Caddyfile. */
  docsgate(...args) {
    return run([gateBinary(), ...args], { cwd: this.#folder, env: this.#env });
  }

  log() {
    return this.#process.output();
  }
}
