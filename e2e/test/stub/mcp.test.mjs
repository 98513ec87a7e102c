// MCP clients through the gate: the MCP SDK, and scripts in a page.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client as StatelessClient, StreamableHTTPClientTransport as StatelessTransport } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpError } from '@modelcontextprotocol/sdk/types.js';
import { assertHumanReadable } from '../../lib/assertions.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { waitFor } from '../../lib/wait-for.mjs';
import { startTestbed } from '../../lib/testbed.mjs';

const QUERY = 'How do I reset the device?';

describe('MCP SDK', () => {
  let testbed;
  const clients = new Set();
  before(async () => { testbed = await startTestbed({ browser: true }); });
  after(() => testbed?.close());

  for (const mode of PROXY_MODES) {
    const scenario = (name, body) => test(`${mode}: ${name}`, (t) => testbed.scenario(async () => {
      await testbed.stub.reset();
      try {
        await body();
      } finally {
        for (const { client } of clients) await client.close();
        clients.clear();
      }
    })(t));

    /**
     * Connects a client and waits until its GET stream is open: it opens it asynchronously, possibly not before the next
     * test. Its errors are collected.
     */
    async function connect(token = 'agent', path = '/mcp', sessionId = undefined) {
      const observer = observeListening();
      const transport = new StreamableHTTPClientTransport(new URL(`${testbed.gate.url(mode)}${path}`), {
        requestInit: { headers: { Authorization: `Bearer ${testbed.keys.tokens[token] ?? token}` } }, sessionId, fetch: observer.fetch,
      });
      const client = new Client({ name: 'e2e', version: '1.0.0' });
      const errors = [];
      client.onerror = (error) => errors.push(error);
      clients.add({ client });
      await client.connect(transport);
      if (!sessionId) await waitFor('the client listens', observer.listens); // a client that resumes a session does not
      return { client, transport, errors };
    }

    const search = (client, query = QUERY, more = {}) => client.callTool({ name: 'search_docs', arguments: { query, ...more } });

    for (const path of ['/mcp', '/mcp/']) {
      scenario(`at ${path}: connect, list the tools, search, terminate the session`, async () => {
        const { client, transport, errors } = await connect('agent', path);
        assert.deepEqual((await client.listTools()).tools.map((tool) => tool.name), ['search_docs']);
        await client.ping();
        const result = await search(client, QUERY, { chunks: 3 });
        assert.ok(!result.isError, JSON.stringify(result));
        assert.match(result.content[0].text, /handbook/);
        assert.doesNotMatch(JSON.stringify(result), /payroll/);
        assert.equal(result.structuredContent.result[0].title, 'handbook');

        const calls = await testbed.stub.calls();
        assert.ok(calls.every((call) => call.path === '/mcp/'), JSON.stringify(calls.map((call) => call.path)));
        assert.ok(calls.every((call) => call.header.Authorization?.join() === `Bearer ${testbed.keys.agents.handbook}`));
        assert.ok(!JSON.stringify(calls).includes(testbed.keys.tokens.agent), "the client's token went upstream");

        await transport.terminateSession();
        assert.equal(transport.sessionId, undefined);
        assert.deepEqual(errors, []);
      });
    }

    scenario('the stream for server messages stays open until the client closes it', async () => {
      const { client, errors } = await connect();
      const listening = async () => (await testbed.stub.calls()).find((call) => call.method === 'GET');
      await search(client);
      assert.equal((await listening()).canceled, false);
      assert.deepEqual(errors, []);
      await client.close();
      await waitFor('the backend sees it end', async () => (await listening()).canceled);
    });

    scenario('a slow search with a progress token, small writes and multibyte characters', async () => {
      const { client } = await connect();
      const onprogress = () => {};
      const result = await client.callTool(
        { name: 'search_docs', arguments: { query: `${QUERY} [[keepalive]] [[split]] [[unicode]] [[gap=0.3]]` } }, undefined, { onprogress },
      );
      assert.match(result.structuredContent.result[0].text, /Grüße aus 東京/);
    });

    scenario("metadata that clients add is ignored, and is not forwarded", async () => {
      const { client } = await connect();
      const result = await client.callTool({
        name: 'search_docs', arguments: { query: QUERY }, _meta: { 'example.com/conversation': 'mine', progressToken: 9 },
      });
      assert.match(result.content[0].text, /handbook/);
      // The client also opens its GET stream, asynchronously.
      const { params } = (await testbed.stub.calls()).findLast((call) => call.json?.method === 'tools/call').json;
      assert.deepEqual(params._meta, { progressToken: 9 });
    });

    scenario('another tool, other arguments and other methods get typed errors with a readable message', async () => {
      const { client } = await connect();
      const before = (await testbed.stub.calls()).length;
      for (const [code, call] of [
        [-32602, () => client.callTool({ name: 'run_shell', arguments: { query: 'x' } })],
        [-32602, () => search(client, 'x', { chunks: 1000 })],
        [-32602, () => search(client, 'x', { api_key: testbed.keys.agents.payroll })],
        [-32602, () => search(client, 5)],
        [-32601, () => client.readResource({ uri: 'file:///etc/passwd' })],
        [-32601, () => client.getPrompt({ name: 'x' })],
      ]) {
        const error = await failure(call);
        assert.ok(error instanceof McpError, `${error.constructor.name}: ${error.message}`);
        assert.equal(error.code, code, error.message);
        assert.match(error.message, /^MCP error -\d+: [A-Z].*\.$/);
        assert.match(error.data.code, /^[a-z_]+$/);
        assert.ok(error.data.request_id);
      }
      const after = (await testbed.stub.calls()).slice(before).filter((call) => call.method === 'POST');
      assert.deepEqual(after.map((call) => call.json.method).filter((m) => m !== 'notifications/initialized'), []);
    });

    scenario('only tools are advertised, and lists that clients request regardless are empty', async () => {
      const { client } = await connect();
      assert.deepEqual(Object.keys(client.getServerCapabilities()), ['tools']);
      assert.deepEqual((await client.listPrompts()).prompts, []);
      assert.deepEqual((await client.listResources()).resources, []);
      assert.deepEqual((await client.listResourceTemplates()).resourceTemplates, []);
      await client.setLoggingLevel('debug');
      assert.match((await search(client)).content[0].text, /handbook/);
    });

    for (const versions of ['auto', 'modern', 'legacy']) {
      scenario(`SDK 2, ${versions} protocol: connect, list the tools, search`, async () => {
        const stateless = versions !== 'legacy';
        const transport = new StatelessTransport(new URL(`${testbed.gate.url(mode)}/mcp`), {
          requestInit: { headers: { Authorization: `Bearer ${testbed.keys.tokens.agent}` } },
        });
        const client = new StatelessClient({ name: 'e2e', version: '1.0.0' }, {
          versionNegotiation: { mode: versions === 'modern' ? { pin: '2026-07-28' } : versions },
        });
        clients.add({ client });
        await client.connect(transport);
        assert.deepEqual(Object.keys(client.getServerCapabilities()), ['tools']);
        assert.deepEqual((await client.listTools()).tools.map((tool) => tool.name), ['search_docs']);
        assert.match((await search(client)).content[0].text, /handbook/);

        const calls = (await testbed.stub.calls()).filter((call) => call.method === 'POST');
        assert.ok(calls.every((call) => call.header.Authorization?.join() === `Bearer ${testbed.keys.agents.handbook}`));
        const last = calls.findLast((call) => call.json?.method === 'tools/call');
        assert.equal(Boolean(last.header['Mcp-Session-Id']), !stateless);
        assert.equal(last.header['Mcp-Protocol-Version'].join() === '2026-07-28', stateless);
      });
    }

    for (const token of ['unknown', 'expired', 'early', 'disabled', 'source']) {
      scenario(`the ${token} key cannot connect, and the error contains the reason`, async () => {
        const error = await failure(() => connect(token));
        assert.equal(error.code, token === 'source' ? 403 : 401, error.message);
        const { message } = JSON.parse(error.message.slice(error.message.indexOf('{'))).error;
        assertHumanReadable(message);
        assert.match(message, /key/);
        assert.deepEqual(await testbed.stub.calls(), [], 'a request was forwarded');
      });
    }

    scenario('a client that supports OAuth gets an error, too, and does not loop', async () => {
      const transport = new StreamableHTTPClientTransport(new URL(`${testbed.gate.url(mode)}/mcp`), {
        authProvider: {
          get redirectUrl() { return 'http://127.0.0.1:1/callback'; },
          get clientMetadata() { return { redirect_uris: ['http://127.0.0.1:1/callback'] }; },
          clientInformation: () => undefined,
          saveClientInformation() {},
          tokens: () => ({ access_token: testbed.keys.tokens.unknown, token_type: 'Bearer' }),
          saveTokens() {}, redirectToAuthorization() {}, saveCodeVerifier() {}, codeVerifier: () => '',
        },
      });
      const client = new Client({ name: 'e2e', version: '1.0.0' });
      const error = await failure(() => client.connect(transport));
      assertHumanReadable(error.message.split('. ')[1]);
      assert.match(error.message, /valid API key/);
      assert.deepEqual(await testbed.stub.calls(), [], 'a request was forwarded');
    });

    scenario("another key's session does not exist for a client: it cannot be used, listened to or terminated", async () => {
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

    scenario('after termination of the session the error says to connect again', async () => {
      const { transport } = await connect();
      const { sessionId } = transport;
      await transport.terminateSession();
      const late = await connect('agent', '/mcp', sessionId);
      const error = await failure(() => search(late.client));
      assert.equal(error.code, 404, error.message);
      assert.match(error.message, /connect again/);
    });

    scenario("an agent key that DocsGPT does not know is not blamed on the client, and is logged", async () => {
      const { client } = await connect('stale');
      const result = await search(client);
      assert.equal(result.isError, true);
      assertHumanReadable(result.content[0].text);
      assert.doesNotMatch(result.content[0].text, /\bkey\b|token/i);
      await waitFor('it is logged', () => /"code":"upstream_refused"[^\n]*agent key of stale/.test(testbed.gate.log()));
    });

    scenario('a truncated response is an immediate error, and the next call works', async () => {
      const { client } = await connect();
      for (const question of ['[[cut]]', '[[noend]]']) {
        const error = await failure(() => search(client, question));
        assert.ok(error instanceof McpError, `${error.constructor.name}: ${error.message}`);
        assert.equal(error.data.code, 'upstream_truncated');
      }
      const result = await search(client, '[[errorevent]]');
      assert.equal(result.isError, true);
      assertHumanReadable(result.content[0].text);
      assert.match((await search(client)).content[0].text, /handbook/);
    });

    scenario('the backend is down, then up without the session', async () => {
      const { client } = await connect();
      await testbed.stub.stop();
      try {
        const error = await failure(() => search(client));
        assert.equal(error.code, 502, error.message);
      } finally {
        await testbed.stub.start();
      }
      const error = await failure(() => search(client));
      assert.equal(error.code, 404, error.message);
      const again = await connect();
      assert.match((await search(again.client)).content[0].text, /handbook/);
    });

    scenario('a page of another origin can use it with fetch, unlike the backend itself', async () => {
      const page = await testbed.open();
      const run = (url, token) => page.evaluate(pageSearch, { url, token, query: QUERY });
      const seen = await run(`${testbed.gate.url(mode)}/mcp`, testbed.keys.tokens.agent);
      assert.ok(seen.session, 'the page cannot read the session');
      assert.match(seen.text, /handbook/);
      assert.equal(seen.ended, 200);
      await assert.rejects(run(`${testbed.stub.url}/mcp`, testbed.keys.agents.handbook), /Failed to fetch/);
      const rejected = await page.evaluate(async (url) => {
        const response = await fetch(url, {
          method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: 'Bearer nobody' }, body: '{}',
        });
        return { status: response.status, body: await response.json() };
      }, `${testbed.gate.url(mode)}/mcp`);
      assert.equal(rejected.status, 401);
      assertHumanReadable(rejected.body.error.message);
    });
  }
});

test('the gate stops while clients listen, and their streams end regularly', async () => {
  const testbed = await startTestbed();
  const clients = [];
  try {
    for (const mode of PROXY_MODES) {
      const client = new Client({ name: 'e2e', version: '1.0.0' });
      client.errors = [];
      client.onerror = (error) => client.errors.push(error);
      client.observer = observeListening();
      clients.push(client);
      await client.connect(new StreamableHTTPClientTransport(new URL(`${testbed.gate.url(mode)}/mcp`), {
        requestInit: { headers: { Authorization: `Bearer ${testbed.keys.tokens.agent}` } }, fetch: client.observer.fetch,
        reconnectionOptions: { initialReconnectionDelay: 1, maxReconnectionDelay: 1, reconnectionDelayGrowFactor: 1, maxRetries: 0 },
      }));
    }
    await waitFor('the clients listen', () => clients.every((client) => client.observer.listens()));
  } finally {
    await testbed.close(); // fails if the gate has to be killed
  }
  for (const client of clients) {
    await waitFor('the client notices', () => client.errors.length > 0);
    assert.deepEqual(client.errors.map((error) => error.message), ['Maximum reconnection attempts (0) exceeded.']);
    await client.close();
  }
});

/** Returns a fetch for a client, and listens(), which reports whether the client's GET stream is open. */
function observeListening() {
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

/** Runs in the page: opens a session, searches and terminates the session, with the headers that MCP requires. */
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
  throw new assert.AssertionError({ message: 'the call succeeded' });
}
