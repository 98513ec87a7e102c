// docsgate in front of a DocsGPT of a given version, with one key that is bound to an agent: the format of source ids
// differs between versions, that of agent keys does not.

import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { PROXY_MODES } from './gate.mjs';
import { LOOPBACK, freePorts, isListening } from './net.mjs';
import { startProcess } from './processes.mjs';

/**
 * Starts the gate, with one site for each proxy mode.
 *
 * @param {{program: string, dir: string, version: string, upstream: string}} options dir is created; upstream is host:port
 */
export async function startVersionGate({ program, dir, version, upstream }) {
  const token = crypto.randomUUID();
  const agent = crypto.randomUUID();
  const ports = await freePorts(PROXY_MODES.length);
  const record = { id: 'by-agent', sha256: crypto.createHash('sha256').update(token).digest('hex'), agent: '{env.E2E_AGENT}' };
  fs.mkdirSync(dir);
  fs.writeFileSync(path.join(dir, 'keys.yaml'), JSON.stringify({ keys: [record] }));
  fs.writeFileSync(path.join(dir, 'Caddyfile'), `{
	admin off
	auto_https off
	default_bind ${LOOPBACK}
	docsgate {
		feed file keys.yaml
		docsgpt_version ${version}
	}
}
http://${LOOPBACK}:${ports[0]} {
	docsgate ${upstream} {
		limits off
	}
}
http://${LOOPBACK}:${ports[1]} {
	docsgate {
		limits off
	}
	reverse_proxy ${upstream}
}
`);
  const gate = startProcess('gate', program, ['run', '--config', 'Caddyfile', '--adapter', 'caddyfile'], {
    dir, env: { PATH: process.env.PATH, HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir, E2E_AGENT: agent },
  });
  for (const port of ports) await gate.ready(`port ${port}`, () => isListening(port));
  return {
    token,
    agent,
    url: (mode) => `http://${LOOPBACK}:${ports[PROXY_MODES.indexOf(mode)]}`,
    output: gate.output,
    stop: () => gate.stop(),
  };
}
