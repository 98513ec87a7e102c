// MCP clients through the gate: the SDK that they are made with, and scripts in a page.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpError } from '@modelcontextprotocol/sdk/types.js';
import { assertSentence } from '../lib/expect.mjs';
import { WAYS } from '../lib/gate.mjs';
import { until } from '../lib/until.mjs';
import { startWorld } from '../lib/world.mjs';

const QUERY = 'How do I reset the device?';

describe('MCP SDK', () => {
  let world;
  const clients = new Set();
  before(async () => { world = await startWorld({ browser: true }); });
  after(() => world?.close());

  for (const way of WAYS) {
    const scenario = (name, body) => test(`${way}: ${name}`, (t) => world.scenario(async () => {
      await world.stub.forget();
      try {
        await body();
      } finally {
        for (const { client } of clients) await client.close();
        clients.clear();
      }
    })(t));

    /**
     * A client as users make it, when it listens already: it begins to at a time of its own, which could be that of the
     * next test. Its errors are collected.
     */
    async function connect(token = 'agent', path = '/mcp', sessionId = undefined) {
      const ear = listener();
      const transport = new StreamableHTTPClientTransport(new URL(`${world.gate.url(way)}${path}`), {
        requestInit: { headers: { Authorization: `Bearer ${world.keys.tokens[token] ?? token}` } }, sessionId, fetch: ear.fetch,
      });
      const client = new Client({ name: 'e2e', version: '1.0.0' });
      const errors = [];
      client.onerror = (error) => errors.push(error);
      clients.add({ client });
      await client.connect(transport);
      if (!sessionId) await until('the client listens', ear.listens); // with a session it takes it for an old one
      return { client, transport, errors };
    }

    const search = (client, query = QUERY, more = {}) => client.callTool({ name: 'search_docs', arguments: { query, ...more } });

    for (const path of ['/mcp', '/mcp/']) {
      scenario(`at ${path}: connect, list the tools, search, end`, async () => {
        const { client, transport, errors } = await connect('agent', path);
        assert.deepEqual((await client.listTools()).tools.map((tool) => tool.name), ['search_docs']);
        await client.ping();
        const result = await search(client, QUERY, { chunks: 3 });
        assert.ok(!result.isError, JSON.stringify(result));
        assert.match(result.content[0].text, /handbook/);
        assert.doesNotMatch(JSON.stringify(result), /payroll/);
        assert.equal(result.structuredContent.result[0].title, 'handbook');

        const calls = await world.stub.calls();
        assert.ok(calls.every((call) => call.path === '/mcp/'), JSON.stringify(calls.map((call) => call.path)));
        assert.ok(calls.every((call) => call.header.Authorization?.join() === `Bearer ${world.keys.agents.handbook}`));
        assert.ok(!JSON.stringify(calls).includes(world.keys.tokens.agent), "the client's token went upstream");

        await transport.terminateSession();
        assert.equal(transport.sessionId, undefined);
        assert.deepEqual(errors, []);
      });
    }

    scenario('the stream for what the server says stays open, and ends when the client closes', async () => {
      const { client, errors } = await connect();
      const listening = async () => (await world.stub.calls()).find((call) => call.method === 'GET');
      await search(client);
      assert.equal((await listening()).cancelled, false);
      assert.deepEqual(errors, []);
      await client.close();
      await until('the backend sees it end', async () => (await listening()).cancelled);
    });

    scenario('a search with a progress token, slow, in pieces, and with several-byte characters', async () => {
      const { client } = await connect();
      const onprogress = () => {};
      const result = await client.callTool(
        { name: 'search_docs', arguments: { query: `${QUERY} [[keepalive]] [[split]] [[unicode]] [[gap=0.3]]` } }, undefined, { onprogress },
      );
      assert.match(result.structuredContent.result[0].text, /Grüße aus 東京/);
    });

    scenario("members that clients add for themselves do not disturb, and stay at the gate", async () => {
      const { client } = await connect();
      const result = await client.callTool({
        name: 'search_docs', arguments: { query: QUERY }, _meta: { 'example.com/conversation': 'mine', progressToken: 9 },
      });
      assert.match(result.content[0].text, /handbook/);
      // Beside its calls the client opens a stream to listen on, at a time of its own.
      const { params } = (await world.stub.calls()).findLast((call) => call.json?.method === 'tools/call').json;
      assert.deepEqual(params._meta, { progressToken: 9 });
    });

    scenario('another tool, other arguments and other methods are typed errors with a sentence', async () => {
      const { client } = await connect();
      const before = (await world.stub.calls()).length;
      for (const [code, call] of [
        [-32602, () => client.callTool({ name: 'run_shell', arguments: { query: 'x' } })],
        [-32602, () => search(client, 'x', { chunks: 1000 })],
        [-32602, () => search(client, 'x', { api_key: world.keys.agents.payroll })],
        [-32602, () => search(client, 5)],
        [-32601, () => client.listResources()],
        [-32601, () => client.listPrompts()],
        [-32601, () => client.setLoggingLevel('debug')],
      ]) {
        const error = await failure(call);
        assert.ok(error instanceof McpError, `${error.constructor.name}: ${error.message}`);
        assert.equal(error.code, code, error.message);
        assert.match(error.message, /^MCP error -\d+: [A-Z].*\.$/);
        assert.match(error.data.code, /^[a-z_]+$/);
        assert.ok(error.data.request_id);
      }
      const after = (await world.stub.calls()).slice(before).filter((call) => call.method === 'POST');
      assert.deepEqual(after.map((call) => call.json.method).filter((m) => m !== 'notifications/initialized'), []);
    });

    for (const token of ['unknown', 'expired', 'early', 'disabled', 'source']) {
      scenario(`the ${token} key cannot connect, and the error says why`, async () => {
        const error = await failure(() => connect(token));
        assert.equal(error.code, token === 'source' ? 403 : 401, error.message);
        const { message } = JSON.parse(error.message.slice(error.message.indexOf('{'))).error;
        assertSentence(message);
        assert.match(message, /key/);
        assert.deepEqual(await world.stub.calls(), [], 'something was passed on');
      });
    }

    scenario('a client that can sign in ends with an error, too, and not in a loop', async () => {
      const transport = new StreamableHTTPClientTransport(new URL(`${world.gate.url(way)}/mcp`), {
        authProvider: {
          get redirectUrl() { return 'http://127.0.0.1:1/callback'; },
          get clientMetadata() { return { redirect_uris: ['http://127.0.0.1:1/callback'] }; },
          clientInformation: () => undefined,
          saveClientInformation() {},
          tokens: () => ({ access_token: world.keys.tokens.unknown, token_type: 'Bearer' }),
          saveTokens() {}, redirectToAuthorization() {}, saveCodeVerifier() {}, codeVerifier: () => '',
        },
      });
      const client = new Client({ name: 'e2e', version: '1.0.0' });
      const error = await failure(() => client.connect(transport));
      assertSentence(error.message.split('. ')[1]);
      assert.match(error.message, /valid API key/);
      assert.deepEqual(await world.stub.calls(), [], 'something was passed on');
    });

    scenario("another key's session is as good as none: not to go on with, not to listen to, not to end", async () => {
      const mine = await connect();
      const { sessionId } = mine.transport;
      const other = await connect('other', '/mcp', sessionId); // with a session it does not initialize
      for (const call of [
        () => search(other.client), () => other.client.listTools(), () => other.transport.terminateSession(),
        () => other.transport.resumeStream('1'),
      ]) {
        const error = await failure(call);
        assert.equal(error.code, 404, error.message);
      }
      assert.match((await search(mine.client)).content[0].text, /handbook/);
      const own = await connect('other');
      assert.match((await search(own.client)).content[0].text, /payroll/);
    });

    scenario('after the end of the session the client is told to connect again', async () => {
      const { transport } = await connect();
      const { sessionId } = transport;
      await transport.terminateSession();
      const late = await connect('agent', '/mcp', sessionId);
      const error = await failure(() => search(late.client));
      assert.equal(error.code, 404, error.message);
      assert.match(error.message, /connect again/);
    });

    scenario("an agent key that DocsGPT does not know is not the client's fault, and stands in the log", async () => {
      const { client } = await connect('stale');
      const result = await search(client);
      assert.equal(result.isError, true);
      assertSentence(result.content[0].text);
      assert.doesNotMatch(result.content[0].text, /\bkey\b|token/i);
      await until('it is logged', () => /"code":"upstream_refused"[^\n]*agent key of stale/.test(world.gate.log()));
    });

    scenario('an answer that breaks off is an error at once, and the next one comes', async () => {
      const { client } = await connect();
      for (const question of ['[[cut]]', '[[noend]]']) {
        const error = await failure(() => search(client, question));
        assert.ok(error instanceof McpError, `${error.constructor.name}: ${error.message}`);
        assert.equal(error.data.code, 'upstream_cut');
      }
      const result = await search(client, '[[errorevent]]');
      assert.equal(result.isError, true);
      assertSentence(result.content[0].text);
      assert.match((await search(client)).content[0].text, /handbook/);
    });

    scenario('the backend is down, then up and has forgotten the session', async () => {
      const { client } = await connect();
      await world.stub.stop();
      try {
        const error = await failure(() => search(client));
        assert.equal(error.code, 502, error.message);
      } finally {
        await world.stub.start();
      }
      const error = await failure(() => search(client));
      assert.equal(error.code, 404, error.message);
      const again = await connect();
      assert.match((await search(again.client)).content[0].text, /handbook/);
    });

    scenario('a page of another origin can use it with fetch, which straight at the backend it cannot', async () => {
      const page = await world.open();
      const run = (url, token) => page.evaluate(pageSearch, { url, token, query: QUERY });
      const seen = await run(`${world.gate.url(way)}/mcp`, world.keys.tokens.agent);
      assert.ok(seen.session, 'the page cannot read the session');
      assert.match(seen.text, /handbook/);
      assert.equal(seen.ended, 200);
      await assert.rejects(run(`${world.stub.url}/mcp`, world.keys.agents.handbook), /Failed to fetch/);
      const refused = await page.evaluate(async (url) => {
        const response = await fetch(url, {
          method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: 'Bearer nobody' }, body: '{}',
        });
        return { status: response.status, body: await response.json() };
      }, `${world.gate.url(way)}/mcp`);
      assert.equal(refused.status, 401);
      assertSentence(refused.body.error.message);
    });
  }
});

test('the gate ends when it is asked to while clients listen, and they see a regular end', async () => {
  const world = await startWorld();
  const clients = [];
  try {
    for (const way of WAYS) {
      const client = new Client({ name: 'e2e', version: '1.0.0' });
      client.errors = [];
      client.onerror = (error) => client.errors.push(error);
      client.ear = listener();
      clients.push(client);
      await client.connect(new StreamableHTTPClientTransport(new URL(`${world.gate.url(way)}/mcp`), {
        requestInit: { headers: { Authorization: `Bearer ${world.keys.tokens.agent}` } }, fetch: client.ear.fetch,
        reconnectionOptions: { initialReconnectionDelay: 1, maxReconnectionDelay: 1, reconnectionDelayGrowFactor: 1, maxRetries: 0 },
      }));
    }
    await until('they listen', () => clients.every((client) => client.ear.listens()));
  } finally {
    await world.close(); // fails if the gate has to be killed
  }
  for (const client of clients) {
    await until('it notices', () => client.errors.length > 0);
    assert.deepEqual(client.errors.map((error) => error.message), ['Maximum reconnection attempts (0) exceeded.']);
    await client.close();
  }
});

/** A fetch for a client, and whether the stream on which it listens has been answered. */
function listener() {
  let answered = false;
  return {
    listens: () => answered,
    async fetch(url, init) {
      const response = await fetch(url, init);
      if (init.method === 'GET') answered = true;
      return response;
    },
  };
}

/** Runs in the page: a session, one search, and the end, with the headers that MCP asks for. */
async function pageSearch({ url, token, query }) {
  let session;
  const call = (method, body) => fetch(url, {
    method,
    headers: {
      Authorization: `Bearer ${token}`,
      Accept: 'application/json, text/event-stream',
      'Content-Type': 'application/json',
      'Mcp-Protocol-Version': '2025-06-18',
      ...(session && { 'Mcp-Session-Id': session }),
    },
    body: body && JSON.stringify({ jsonrpc: '2.0', ...body }),
  });
  const opened = await call('POST', {
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'page', version: '1' } },
  });
  session = opened.headers.get('Mcp-Session-Id');
  await opened.text();
  await call('POST', { method: 'notifications/initialized' });
  const answer = await call('POST', { id: 2, method: 'tools/call', params: { name: 'search_docs', arguments: { query } } });
  const text = await answer.text();
  const { status } = await call('DELETE');
  return { session, text, ended: status };
}

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: 'the call was answered' });
}
