// The gate as a service, for the commands of the pages for operators. The commands run as on such a page, in a folder that takes the
// place of the root folder. sudo, systemctl and journalctl are replaced.

import { execFile } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { gateBinary } from './build.mjs';
import { LOOPBACK, freePorts, isListening } from './net.mjs';
import { startProcess } from './processes.mjs';

/** The absolute paths of the pages. */
const FOLDERS = ['/etc/docsgate', '/var/lib/docsgate', '/var/backups/docsgate', '/usr/bin', '/media/safe'];

/**
 * Starts the service.
 *
 * @param {{dir: string, upstream: string, keys: ReturnType<import('./console.mjs').makeConsoleKeys>}} options
 */
export async function startService({ dir, upstream, keys }) {
  const root = path.join(dir, 'root');
  const at = (name) => path.join(root, name);
  const work = path.join(dir, 'work');
  for (const folder of [...FOLDERS, '/bin']) fs.mkdirSync(at(folder), { recursive: true });
  fs.mkdirSync(work);

  const [port, admin] = await freePorts(2);
  fs.writeFileSync(at('/etc/docsgate/Caddyfile'), `{
	admin ${LOOPBACK}:${admin}
	auto_https off
	docsgate {
		feed store
		upstream_token {env.E2E_UPSTREAM_TOKEN}
	}
	log default {
		format docsgate
	}
}
http://${LOOPBACK}:${port} {
	log {
		format docsgate
	}
	docsgate ${upstream} {
		learn_origins
	}
}
`);
  fs.writeFileSync(at('/etc/docsgate/env'), 'DOCSGATE_EXAMPLE=1\n');
  fs.symlinkSync(at('/etc/docsgate/Caddyfile'), path.join(work, 'Caddyfile')); // where commands look for the admin endpoint

  const env = {
    PATH: [at('/bin'), at('/usr/bin'), process.env.PATH].join(':'), HOME: dir,
    XDG_DATA_HOME: at('/var/lib/docsgate'), XDG_CONFIG_HOME: at('/var/lib/docsgate'),
    ...keys.env, SUPPORT_AGENT_KEY: keys.agents.handbook,
  };
  const outFile = path.join(dir, 'gate.out');
  let gate;
  const actions = {
    async start() {
      gate = startProcess('gate', 'docsgate', ['run', '--config', at('/etc/docsgate/Caddyfile')], { dir, env, outFile });
      await gate.ready(`port ${port}`, () => isListening(port));
    },
    stop: () => gate.stop(),
    async restart() {
      await actions.stop();
      await actions.start();
    },
  };
  const control = http.createServer(async (request, response) => {
    try {
      await actions[request.url.slice(1)]();
      response.end();
    } catch (error) {
      response.writeHead(500).end(`${error.message}\n`);
    }
  });
  await new Promise((resolve) => { control.listen(0, LOOPBACK, resolve); });

  const script = (file, text) => fs.writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  script(at('/bin/sudo'), 'exec "$@"');
  script(at('/bin/journalctl'), `exec cat ${outFile}`);
  script(at('/bin/systemctl'), `exec curl -sS --fail-with-body http://${LOOPBACK}:${control.address().port}/$1`);
  for (const file of [at('/usr/bin/docsgate'), path.join(work, 'docsgate')]) script(file, `exec ${gateBinary()} "$@"`);

  await actions.start();
  return {
    url: `http://${LOOPBACK}:${port}`,
    /** The folder that commands run in. */
    work,
    /** Returns the file in the place of one with that absolute path. */
    at,
    output: () => fs.readFileSync(outFile, 'utf8'),
    log: () => fs.readFileSync(outFile, 'utf8'),
    restart: actions.restart,
    /** Runs the text of a block as a script, and returns its output, stdout and stderr. It fails if the script fails. */
    sh(text) {
      const local = FOLDERS.reduce((result, folder) => result.replaceAll(folder, at(folder)), text);
      return new Promise((resolve, reject) => {
        execFile('bash', ['--norc', '-eu', '-o', 'pipefail', '-c', local], { cwd: work, env, timeout: 60_000 }, (error, stdout, stderr) => {
          if (error) reject(new Error(`${error.message}\n${stdout}${stderr}`));
          else resolve(stdout + stderr);
        });
      });
    },
    async stop() {
      control.close();
      control.closeAllConnections();
      await actions.stop();
    },
  };
}
