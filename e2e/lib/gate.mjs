// The docsgate process, with its Caddyfile and key file in a temporary folder.

import fs from 'node:fs';
import path from 'node:path';
import { REPO, gateBinary } from './build.mjs';
import { LOOPBACK, freePorts, isListening } from './net.mjs';
import { startProcess } from './processes.mjs';
import { waitFor } from './wait-for.mjs';

/** How the gate forwards a request: itself, or with reverse_proxy as the next handler. Every scenario holds for both. */
export const PROXY_MODES = ['built-in forwarding', 'reverse_proxy'];

/** Returns a site block of the Caddyfile for a proxy mode. options are further lines of the directive. */
export function site(port, mode, upstream, options = '') {
  const gate = mode === PROXY_MODES[0] ? `docsgate ${upstream}` : 'docsgate';
  const next = mode === PROXY_MODES[0] ? '' : `\treverse_proxy ${upstream}\n`;
  return `http://${LOOPBACK}:${port} {
	log
	${gate} {
		endpoints widget openai mcp health
		sse_keepalive ${KEEPALIVE_MS}ms
		limits off
		${options}
	}
${next}}
`;
}

/** The interval of keepalives in streams. It is short, so that many tests get some. */
const KEEPALIVE_MS = 300;

/** The longest silence of the gate that the proxy in front of it tolerates, as nginx, load balancers and CDNs do. */
export const PROXY_READ_TIMEOUT_MS = 1000;

/**
 * Returns the site block of a proxy in front of the gate that closes responses that are silent for too long. It keeps no connections: the
 * timeout of an idle one could end a request that is sent at the same moment.
 */
function proxySite(port, gatePort) {
  return `http://${LOOPBACK}:${port} {
	reverse_proxy ${LOOPBACK}:${gatePort} {
		transport http {
			read_timeout ${PROXY_READ_TIMEOUT_MS}ms
			keepalive off
		}
	}
}
`;
}

/**
 * Writes the configuration and starts docsgate, with one site for each proxy mode.
 *
 * @param {{dir: string, upstream: string, keys: ReturnType<import('./keys.mjs').makeKeys>, options?: string}} options
 *   upstream is host:port of the backend; options are further lines of the directive
 */
export async function startGate({
  dir, upstream, keys, options = '',
}) {
  const program = gateBinary();
  const ports = await freePorts(2 * PROXY_MODES.length);
  const logFile = path.join(dir, 'gate.log');
  fs.writeFileSync(path.join(dir, 'keys.yaml'), keys.file);
  fs.writeFileSync(path.join(dir, 'Caddyfile'), `{
	admin off
	auto_https off
	log {
		output file ${logFile}
		level DEBUG
		format docsgate
	}
	docsgate {
		feed file ${path.join(dir, 'keys.yaml')}
		upstream_token {env.E2E_UPSTREAM_TOKEN}
	}
}
${PROXY_MODES.map((mode, i) => site(ports[i], mode, upstream, options)).join('')}
${PROXY_MODES.map((_, i) => proxySite(ports[PROXY_MODES.length + i], ports[i])).join('')}`);

  let gate;
  async function start() {
    gate = startProcess('gate', program, ['run', '--config', 'Caddyfile', '--adapter', 'caddyfile'], {
      dir,
      // Caddy keeps its files below these folders, so the search for secrets includes them.
      env: {
        PATH: process.env.PATH, HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir, ...keys.env,
      },
    });
    for (const port of ports) await gate.ready(`port ${port}`, () => isListening(port));
  }
  async function stop() {
    await gate.stop();
    for (const port of ports) await waitFor(`port ${port} of the gate is free`, async () => !(await isListening(port)));
  }
  await start();
  return {
    get pid() { return gate.pid; },
    /** Returns the base address of the site for a proxy mode. */
    url: (mode) => `http://${LOOPBACK}:${ports[PROXY_MODES.indexOf(mode)]}`,
    /** Returns the base address of the proxy in front of the site for a proxy mode. */
    proxyURL: (mode) => `http://${LOOPBACK}:${ports[PROXY_MODES.length + PROXY_MODES.indexOf(mode)]}`,
    output: () => gate.output(),
    log: () => (fs.existsSync(logFile) ? fs.readFileSync(logFile, 'utf8') : ''),
    stop,
    /** Ends the process and starts another one, with the same files and ports. */
    async restart() {
      await stop();
      await start();
    },
  };
}
