// The stub backend (e2e/stub) as a child process that can be stopped and started again at the same address.

import { stubBinary } from './build.mjs';
import { LOOPBACK, freePorts, isListening } from './net.mjs';
import { startProcess } from './processes.mjs';
import { until } from './until.mjs';

/**
 * Starts the stub.
 *
 * @param {{dir: string, label: string, keys: object, tokens: object, sources: object}} options what it knows:
 *   agent keys and access tokens with their source ids, and titles by source id
 */
export async function startStub({ dir, label = 'stub', keys = {}, tokens = {}, sources = {} }) {
  const program = stubBinary();
  const [port] = await freePorts(1);
  const address = `${LOOPBACK}:${port}`;
  let child;
  let callsUrl;
  let runs = 0;

  async function start() {
    runs += 1;
    child = startProcess(`stub-${runs}`, program, ['-listen', address], {
      dir, input: JSON.stringify({ label, keys, tokens, sources }),
    });
    const line = await child.ready('its addresses', () => child.output().match(/^\{.*\}\n/m));
    callsUrl = `http://${JSON.parse(line[0]).calls}/_calls`;
  }

  await start();
  return {
    port,
    address,
    url: `http://${address}`,
    /** Where the recorded requests are, since the last start. */
    callsUrl: () => callsUrl,
    start,
    async stop() {
      await child.stop();
      await until(`port ${port} of the stub is free`, async () => !(await isListening(port)));
    },
    /** The recorded requests, oldest first. A JSON body is also there decoded, as "json". */
    async calls() {
      const list = await (await fetch(callsUrl)).json();
      return list.map((call) => ({ ...call, json: decoded(call.body) }));
    },
    /** Forgets the recorded requests and all conversations. */
    async forget() {
      await fetch(callsUrl, { method: 'DELETE' });
    },
  };
}

function decoded(body) {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
