// docsgate with everything that has metrics: a key store, a queue, limits that Redis shares.

import fs from 'node:fs';
import path from 'node:path';
import { gateBinary } from './build.mjs';
import { LOOPBACK, freePorts, isListening } from './net.mjs';
import { startProcess } from './processes.mjs';

/** The options of the directive that let two questions be in flight and one wait. */
const DIRECTIVE = `
		endpoints widget openai health
		max_in_flight 2
		queue 1
		limits {
			visitor_requests off
			visitor_streams off
			failed_tokens off
			question_chars 100
			dry_run question_chars
		}`;

/** Starts Redis and docsgate. It replaces startGate as an argument of startTestbed. */
export async function startMonitoredGate({ dir, upstream, keys }) {
  const [port, admin, redisPort] = await freePorts(3);
  const redisProgram = process.env.DOCSGATE_REDIS ?? 'redis-server';
  const redis = startProcess('redis', redisProgram, ['--bind', LOOPBACK, '--port', String(redisPort), '--save', '', '--dir', dir], { dir });
  await redis.ready('Redis listens', () => isListening(redisPort));
  fs.writeFileSync(path.join(dir, 'keys.yaml'), keys.file);
  fs.writeFileSync(path.join(dir, 'Caddyfile'), `{
	admin ${LOOPBACK}:${admin}
	auto_https off
	log {
		format docsgate
	}
	metrics
	docsgate {
		feed store ${path.join(dir, 'store', 'keys.db')}
		feed file keys.yaml
		shared_limits redis://${LOOPBACK}:${redisPort}
		upstream_token {env.E2E_UPSTREAM_TOKEN}
	}
}
http://${LOOPBACK}:${port} {
	docsgate ${upstream} {${DIRECTIVE}
	}
}
`);
  const gate = startProcess('gate', gateBinary(), ['run', '--config', 'Caddyfile', '--adapter', 'caddyfile'], {
    dir, env: { PATH: process.env.PATH, HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir, ...keys.env },
  });
  await gate.ready('the gate listens', () => isListening(port));
  return {
    url: () => `http://${LOOPBACK}:${port}`,
    admin: `${LOOPBACK}:${admin}`,
    output: gate.output,
    log: gate.output,
    stopRedis: () => redis.stop(),
    async stop() {
      await gate.stop();
      await redis.stop();
    },
  };
}
