// The proxies of examples/behind-a-proxy in front of the gate: streams, large requests, addresses of clients, and logs without keys.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { assertAnswered } from '../../lib/assertions.mjs';
import { CLIENT_ADDRESS, PROXIES, startGateBehindProxies } from '../../lib/proxies.mjs';
import { findSecrets } from '../../lib/secrets.mjs';
import { startTestbed } from '../../lib/testbed.mjs';
import { waitFor } from '../../lib/wait-for.mjs';

const QUESTION = 'How do I reset the device?';

/** An address that a client claims to have. */
const FORGED = '203.0.113.9';

describe('behind a proxy', () => {
  let testbed;
  before(async () => { testbed = await startTestbed({ browser: true, start: startGateBehindProxies }); });
  after(() => testbed?.close());

  const body = (fields = {}) => JSON.stringify({ question: QUESTION, api_key: testbed.keys.tokens.agent, ...fields });

  for (const proxy of PROXIES) {
    const scenario = (name, run) => test(`${proxy}: ${name}`, (t) => testbed.scenario(run)(t));
    const send = (target, options) => testbed.gate.request(proxy, target, options);

    scenario('events arrive one by one, in order', async () => {
      const response = await send('/stream', { body: body({ question: `${QUESTION} [[words=20]] [[gap=1]]` }) });
      assert.equal(response.headers[':status'], 200);
      const chunks = [];
      for await (const chunk of response) chunks.push(chunk.toString());
      const words = [...chunks.join('').matchAll(/ word(\d+)/g)].map((found) => Number(found[1]));
      assert.deepEqual(words, Array.from({ length: 20 }, (_, i) => i + 1));
      assert.ok(chunks.length > 1, 'the whole stream arrived as one chunk');
      assert.match(chunks.at(-1), /"type": "end"/);
    });

    scenario('the first event arrives before the second one exists, and a client that disconnects ends the request', async () => {
      await testbed.stub.reset();
      const response = await send('/stream', { body: body({ question: `${QUESTION} [[gap=60]]` }) });
      let text = '';
      for await (const chunk of response) {
        text += chunk;
        if (text.includes('"type": "answer"')) break; // which destroys the stream
      }
      await waitFor('the request to DocsGPT ends', async () => (await testbed.stub.calls()).some((call) => call.canceled));
    });

    scenario('large histories and uploads pass', async () => {
      const turn = { prompt: 'p'.repeat(1000), response: 'r'.repeat(1000) };
      const question = await read(await send('/stream', { body: body({ history: JSON.stringify(Array(1500).fill(turn)) }) }));
      assert.match(question.text, /"type": "end"/);

      const form = new FormData();
      form.append('api_key', testbed.keys.tokens.agent);
      form.append('file', new Blob([Buffer.alloc(8 << 20, 'x')]), 'manual.txt');
      const encoded = new Response(form);
      const upload = await read(await send('/api/store_attachment', {
        headers: { 'content-type': encoded.headers.get('Content-Type') }, body: Buffer.from(await encoded.arrayBuffer()),
      }));
      assert.equal(upload.status, 200, upload.text);
    });

    scenario('the gate logs the address of the client, not one that the client has written', async () => {
      const { id } = await read(await send('/stream', { headers: { 'x-forwarded-for': FORGED }, body: body() }));
      const [entry] = await waitFor('the gate logs the request', () => {
        const entries = testbed.gate.entries(id);
        return entries.length > 0 && entries;
      });
      assert.equal(entry.request.client_ip, CLIENT_ADDRESS);
      assert.equal(entry.request.host, 'ask.example.com');
      assert.equal(entry.user_id, 'by-agent');
    });

    scenario('errors of the gate arrive unchanged, and the request ID is in the log of the proxy', async () => {
      const { status, text, id } = await read(await send('/stream', { body: body({ api_key: testbed.keys.tokens.disabled }) }));
      assert.equal(status, 401);
      assert.match(text, new RegExp(`"code":\\s?"invalid_api_key".*${id}`));
      await waitFor('the proxy logs the request', () => testbed.gate.proxyLog(proxy).some((line) => line.includes(id)));
      await waitFor('the gate logs the request', () => testbed.gate.entries(id).length === 1);
      assert.equal(testbed.gate.entries(id)[0].docsgate.reason, 'disabled');
    });

    scenario('the published widget shows an answer', async () => {
      const chat = await testbed.widget('0.5.1', {
        apiHost: testbed.gate.url(proxy), apiKey: testbed.keys.tokens.agent,
      }, { ignoreHTTPSErrors: true });
      assertAnswered(await chat.ask(QUESTION), testbed.keys);
      assert.deepEqual(chat.page.trail.errors, []);
    });
  }

  test('no proxy logs a key, also while the gate does not run', (t) => testbed.scenario(async () => {
    /** Presents the token in all places of a request, and returns the statuses of the responses. */
    const everywhere = (proxy, token) => Promise.all(['/stream', `/v1/models?api_key=${token}`, `/api/artifacts?key=${token}`].map(
      async (target) => {
        const post = target === '/stream';
        const response = await testbed.gate.request(proxy, target, {
          method: post ? 'POST' : 'GET',
          headers: { authorization: `Bearer ${token}`, 'x-api-key': token, referer: `https://docs.example.com/?key=${token}` },
          body: post ? body({ api_key: token }) : undefined,
        });
        return (await read(response)).status;
      },
    ));
    const token = testbed.keys.tokens.agent;
    for (const proxy of PROXIES) assert.deepEqual(await everywhere(proxy, token), [200, 200, 404], proxy);
    await testbed.gate.stopGate();
    try {
      const statuses = await Promise.all(PROXIES.map((proxy) => everywhere(proxy, token)));
      assert.deepEqual(statuses, [[502, 502, 502], [503, 503, 503], [502, 502, 502], [502, 502, 502]]);
    } finally {
      await testbed.gate.startGate();
    }
    for (const proxy of PROXIES) {
      // Two of /api/artifacts. Traefik logs no paths, and six requests of this test.
      const [text, count] = proxy === 'Traefik' ? ['"DownstreamStatus":502', 3] : ['/api/artifacts', 2];
      await waitFor(`${proxy} logs all requests`, () => testbed.gate.proxyLog(proxy).filter((line) => line.includes(text)).length >= count);
    }
    assert.deepEqual(findSecrets(testbed.dir, testbed.keys.secrets), []);
  })(t));
});

/** Reads a response to its end. */
async function read(response) {
  let text = '';
  response.setEncoding('utf8');
  response.on('data', (chunk) => { text += chunk; });
  await once(response, 'end');
  return { status: response.headers[':status'], id: response.headers['x-request-id'], text };
}
