// Published clients whose questions wait for a slot: keepalives hold their connections through a proxy that ends silent responses, the
// clients ignore them, and the answer arrives. When the queue is full, they show an error.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import OpenAI from 'openai';
import { assertAnswered, assertErrorShown, assertFromHandbook } from '../../lib/assertions.mjs';
import { PROXY_MODES, PROXY_READ_TIMEOUT_MS, startGate } from '../../lib/gate.mjs';
import { startTestbed } from '../../lib/testbed.mjs';
import { waitFor } from '../../lib/wait-for.mjs';
import { WIDGET_VERSIONS } from '../../lib/widget-packages.mjs';

const QUESTION = 'How do I reset the device?';

/** How long a question holds the only slot, in seconds: longer than the proxy in front of the gate tolerates silence. */
const HOLD = 3;

describe('the queue', () => {
  let testbed;
  before(async () => {
    testbed = await startTestbed({
      browser: true, start: (options) => startGate({ ...options, options: 'max_in_flight 1\n\t\tqueue 1' }),
    });
  });
  after(() => testbed?.close());

  for (const mode of PROXY_MODES) {
    const scenario = (name, body) => test(`${mode}: ${name}`, (t) => testbed.scenario(body)(t));

    const ask = (question) => fetch(`${testbed.gate.url(mode)}/stream`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ question, api_key: testbed.keys.tokens.agent }),
    });

    /** Takes the only slot, and returns a function that waits for the end. */
    async function holdSlot() {
      const streams = async () => (await testbed.stub.calls()).filter((call) => call.path === '/stream').length;
      const before = await streams();
      const held = ask(`${QUESTION} [[wait=${HOLD}]]`).then((response) => response.text());
      await waitFor('the slot is taken', async () => (await streams()) > before);
      return () => held;
    }

    /** Runs a client that has to wait, and checks that it did. */
    async function waits(client) {
      const held = await holdSlot();
      const begun = Date.now();
      const result = await client();
      assert.ok(Date.now() - begun > PROXY_READ_TIMEOUT_MS, 'the client did not wait');
      assert.match(await held(), /"end"/);
      return result;
    }

    for (const version of WIDGET_VERSIONS) {
      const widget = () => testbed.widget(version, { apiHost: testbed.gate.proxyURL(mode), apiKey: testbed.keys.tokens.agent });

      scenario(`widget ${version} waits and shows the answer`, async () => {
        const chat = await widget();
        const turn = await waits(async () => {
          await chat.send(QUESTION);
          assert.ok((await chat.last()).waiting, 'the widget does not wait');
          return chat.finished();
        });
        assertAnswered(turn, testbed.keys);
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
      });

      scenario(`widget ${version} shows that the queue is full`, async () => {
        const chat = await widget();
        const held = await holdSlot();
        const queued = await ask(QUESTION); // a keepalive has begun the response
        assert.match(assertErrorShown(await chat.ask(QUESTION)), /waiting for an answer.*try again in \d+ seconds?/);
        assert.match(await held(), /"end"/);
        assert.match(await queued.text(), /"end"/);
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
      });
    }

    const openai = () => new OpenAI({
      baseURL: `${testbed.gate.proxyURL(mode)}/v1`, apiKey: testbed.keys.tokens.agent, maxRetries: 0, timeout: 20_000,
    });
    const messages = [{ role: 'user', content: QUESTION }];

    scenario('the OpenAI SDK waits for a stream', async () => {
      const text = await waits(async () => {
        const pieces = [];
        const stream = await openai().chat.completions.create({ model: 'docsgpt', messages, stream: true });
        for await (const chunk of stream) pieces.push(chunk.choices?.[0]?.delta?.content ?? '');
        return pieces.join('');
      });
      assertFromHandbook(text, testbed.keys);
    });

    scenario('the MCP SDK waits for a tool', async () => {
      const transport = new StreamableHTTPClientTransport(new URL(`${testbed.gate.proxyURL(mode)}/mcp`), {
        requestInit: { headers: { Authorization: `Bearer ${testbed.keys.tokens.agent}` } },
      });
      const client = new Client({ name: 'e2e', version: '1.0.0' });
      await client.connect(transport);
      try {
        const result = await waits(() => client.callTool({ name: 'search_docs', arguments: { query: QUESTION } }));
        assert.ok(!result.isError, JSON.stringify(result));
        assert.match(result.content[0].text, /handbook/);
      } finally {
        await client.close();
      }
    });

    scenario('a search does not wait', async () => {
      const held = await holdSlot();
      const { length } = await testbed.stub.calls();
      const response = await fetch(`${testbed.gate.url(mode)}/api/search`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ question: QUESTION, api_key: testbed.keys.tokens.agent }),
      });
      assert.equal(response.status, 200);
      assert.equal((await testbed.stub.calls()).length, length + 1, 'the search did not reach the backend');
      assert.match(await held(), /"end"/);
    });
  }
});
