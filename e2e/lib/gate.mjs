// docsgate itself: its Caddyfile and key file in a temporary folder, and the running program.

import fs from 'node:fs';
import path from 'node:path';
import { REPO, gateBinary } from './build.mjs';
import { LOOPBACK, freePorts, isListening } from './net.mjs';
import { startProcess } from './processes.mjs';
import { until } from './until.mjs';

/** The two ways in which the gate hands a request on; every scenario holds for both. */
export const WAYS = ['own forwarding', 'reverse_proxy'];

/** The log filters that docsgate's own Caddyfile recommends: it is these that have to keep keys out of the logs. */
export function logFilters() {
  const file = path.join(REPO, 'Caddyfile');
  const snippet = fs.readFileSync(file, 'utf8').match(/^\(no_keys\) \{\n[\s\S]*?^\}\n/m);
  if (!snippet) throw new Error(`${file} has no snippet (no_keys)`);
  return snippet[0];
}

/** A site of the Caddyfile that hands requests on in the given way. */
export function site(port, way, upstream) {
  const gate = way === WAYS[0] ? `docsgate ${upstream}` : 'docsgate';
  const next = way === WAYS[0] ? '' : `\treverse_proxy ${upstream}\n`;
  return `http://${LOOPBACK}:${port} {
	log
	${gate} {
		endpoints widget openai mcp health
	}
${next}}
`;
}

/**
 * Writes the configuration and starts docsgate with it: one site for each way.
 *
 * @param {{dir: string, upstream: string, keys: ReturnType<import('./keys.mjs').makeKeys>}} options
 *   upstream is host:port of the backend
 */
export async function startGate({ dir, upstream, keys }) {
  const program = gateBinary();
  const ports = await freePorts(WAYS.length);
  const logFile = path.join(dir, 'gate.log');
  fs.writeFileSync(path.join(dir, 'keys.yaml'), keys.file);
  fs.writeFileSync(path.join(dir, 'Caddyfile'), `${logFilters()}
{
	admin off
	auto_https off
	log {
		output file ${logFile}
		level DEBUG
		format filter {
			import no_keys
		}
	}
	docsgate {
		feed file ${path.join(dir, 'keys.yaml')}
		upstream_token {env.E2E_UPSTREAM_TOKEN}
	}
}
${WAYS.map((way, i) => site(ports[i], way, upstream)).join('')}`);

  const gate = startProcess('gate', program, ['run', '--config', 'Caddyfile', '--adapter', 'caddyfile'], {
    dir,
    // Caddy keeps its own files below these, so they are searched for secrets with the rest of the folder.
    env: {
      PATH: process.env.PATH, HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir, ...keys.env,
    },
  });
  for (const port of ports) await gate.ready(`port ${port}`, () => isListening(port));
  return {
    pid: gate.pid,
    /** Base address of the site that hands requests on in the given way. */
    url: (way) => `http://${LOOPBACK}:${ports[WAYS.indexOf(way)]}`,
    output: gate.output,
    log: () => (fs.existsSync(logFile) ? fs.readFileSync(logFile, 'utf8') : ''),
    async stop() {
      await gate.stop();
      for (const port of ports) await until(`port ${port} of the gate is free`, async () => !(await isListening(port)));
    },
  };
}
