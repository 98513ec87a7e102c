// docsgate with `feed docsgpt`, which reads the keys of the agents from DocsGPT's database, and the programs of an operator.

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { gateBinary } from '../build.mjs';
import { LOOPBACK, freePorts, isListening } from '../net.mjs';
import { runCommand } from '../processes.mjs';
import { STACK } from './stack-info.mjs';

/** Runs SQL with psql, as the owner of DocsGPT's tables or the user in the URI. */
export const psql = (sql, uri = STACK.postgres) => runCommand([...STACK.psql, '-d', uri], { input: sql });

/** A gate with one site in front of each API of DocsGPT. Its feed can be changed while it runs. */
export class GateWithDocsGPTFeed {
  #folder;
  #processes;
  #env;
  #ports;
  #process;

  /** Allocates the ports; start starts it. env has the variables of the Caddyfile; processes stops the gate. */
  static async create({ folder, processes, env }) {
    const gate = new GateWithDocsGPTFeed();
    fs.mkdirSync(folder, { recursive: true });
    const [open, login] = await freePorts(2);
    Object.assign(gate, { open: `http://${LOOPBACK}:${open}`, login: `http://${LOOPBACK}:${login}` });
    gate.#ports = { open, login };
    gate.#folder = folder;
    gate.#processes = processes;
    gate.#env = { PATH: process.env.PATH, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder, ...env };
    return gate;
  }

  #writeCaddyfile(feed) {
    const sites = Object.entries(this.#ports).map(([name, port]) => `http://${LOOPBACK}:${port} {
	log {
		format docsgate
	}
	docsgate ${new URL(STACK.api[name]).host} {
		endpoints widget openai attachments
		limits {
			failed_tokens off # the tests ask often whether a token is valid yet
		}
	}
}
`);
    fs.writeFileSync(path.join(this.#folder, 'Caddyfile'), `{
	admin unix/${path.join(this.#folder, 'admin.sock')}
	auto_https off
	log default {
		level DEBUG
		format docsgate
	}
	docsgate {
		feed store
		${feed}
	}
}
${sites.join('')}`);
  }

  /** Starts the gate with this line as its feed, and waits until it listens. */
  async start(feed) {
    this.#writeCaddyfile(feed);
    this.#process = this.#processes.start(
      'feed-gate', [gateBinary(), 'run', '--config', 'Caddyfile'], { cwd: this.#folder, env: this.#env },
    );
    for (const port of Object.values(this.#ports)) await this.#process.ready(`port ${port}`, () => isListening(port));
  }

  stop() {
    return this.#process.stop();
  }

  /** Reloads the configuration, with another line as the feed. */
  async reload(feed) {
    this.#writeCaddyfile(feed);
    await this.docsgate('reload', '--config', 'Caddyfile');
  }

  /** Runs a command of docsgate in the folder of the Caddyfile. Returns its standard output. */
  docsgate(...args) {
    return runCommand([gateBinary(), ...args], { cwd: this.#folder, env: this.#env });
  }

  log() {
    return this.#process.output();
  }

  /** Returns the value of the metric whose line begins with a text; 0: there is none. */
  async metric(begin) {
    const text = await new Promise((resolve, reject) => {
      http.get({ socketPath: path.join(this.#folder, 'admin.sock'), path: '/metrics', headers: { Host: LOOPBACK } }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk) => { body += chunk; }).on('end', () => resolve(body));
      }).on('error', reject);
    });
    return Number(text.split('\n').find((line) => line.startsWith(begin))?.slice(begin.length) ?? 0);
  }
}
