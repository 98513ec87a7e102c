// The stub backend (e2e/stub) as a child process that can be stopped and restarted at the same address.

import { stubBinary } from './build.mjs';
import { LOOPBACK, freePorts, isListening } from './net.mjs';
import { startProcess } from './processes.mjs';
import { waitFor } from './wait-for.mjs';

/**
 * Starts the stub.
 *
 * @param {{dir: string, label: string, keys: object, tokens: object, sources: object, answers: object}} options agent keys
 *   and access tokens with their source ids, titles by source id, and answers by question
 */
export async function startStub({ dir, label = 'stub', keys = {}, tokens = {}, sources = {}, answers = {} }) {
  const program = stubBinary();
  const [port] = await freePorts(1);
  const address = `${LOOPBACK}:${port}`;
  let child;
  let callsUrl;
  let runs = 0;

  async function start() {
    runs += 1;
    child = startProcess(`stub-${runs}`, program, ['-listen', address], {
      dir, input: JSON.stringify({ label, keys, tokens, sources, answers }),
    });
    const line = await child.ready('prints its addresses', () => child.output().match(/^\{.*\}\n/m));
    callsUrl = `http://${JSON.parse(line[0]).calls}/_calls`;
  }

  await start();
  return {
    port,
    address,
    url: `http://${address}`,
    /** Returns the address of the recorded requests, which changes with each start. */
    callsUrl: () => callsUrl,
    start,
    async stop() {
      await child.stop();
      await waitFor(`port ${port} of the stub is free`, async () => !(await isListening(port)));
    },
    /** Returns the recorded requests, oldest first. "json" is the decoded body if it is JSON. */
    async calls() {
      const list = await (await fetch(callsUrl)).json();
      return list.map((call) => ({ ...call, json: decoded(call.body) }));
    },
    /** Deletes the recorded requests and all conversations. */
    async reset() {
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
