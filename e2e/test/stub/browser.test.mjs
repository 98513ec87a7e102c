// Requests from scripts in a page: they can do what the key allows and what CORS must permit, and nothing else.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertFromHandbook, assertHumanReadable } from '../../lib/assertions.mjs';
import { dataEvents } from '../../lib/data-events.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { startTestbed } from '../../lib/testbed.mjs';

const QUESTION = 'How do I reset the device?';

describe('a script in a page', () => {
  let testbed;
  before(async () => { testbed = await startTestbed({ browser: true }); });
  after(() => testbed?.close());

  test('the browser enforces CORS, a precondition of the other tests', (t) => testbed.scenario(async () => {
    const page = await testbed.open();
    const other = testbed.stub.callsUrl(); // a server without CORS headers
    await assert.rejects(page.evaluate((url) => fetch(url), other), /Failed to fetch/);
    assert.equal(await page.evaluate(async (url) => (await fetch(url, { mode: 'no-cors' })).type, other), 'opaque');
  })(t));

  for (const mode of PROXY_MODES) {
    const scenario = (name, body) => test(`${mode}: ${name}`, (t) => testbed.scenario(body)(t));
    const url = (path) => `${testbed.gate.url(mode)}${path}`;

    for (const binding of ['agent', 'source']) {
      scenario(`fields that select another source have no effect (key bound to ${binding})`, async () => {
        const page = await testbed.open();
        const payroll = testbed.keys.sources.payroll;
        const selectors = {
          active_docs: payroll, selectDocs: payroll, selectedDocs: payroll, source: payroll, source_id: payroll,
          sources: [payroll], extra_source_ids: [payroll], retriever: 'hybrid', chunks: 0, isNoneDoc: true,
          llm_params: { extra_headers: { 'X-Evil': '1' } }, prompt_id: 'creative', model_id: 'other',
        };
        for (const [name, value] of [...Object.entries(selectors), ['all of them', null]]) {
          const body = { question: QUESTION, history: '[]', api_key: testbed.keys.tokens[binding] };
          Object.assign(body, value === null ? selectors : { [name]: value });
          for (const path of ['/stream', '/api/answer', `/stream?active_docs=${payroll}`]) {
            const { status, text } = await post(page, url(path), body);
            assert.equal(status, 200, `${name} on ${path}: ${text}`);
            assertFromHandbook(answerOf(text), testbed.keys);
          }
        }
        const search = await post(page, url('/api/search'), {
          question: 'reset', active_docs: payroll, source: payroll, api_key: testbed.keys.tokens[binding],
        });
        assert.doesNotMatch(search.text, /payroll/i);
        assert.equal(search.status, 200, search.text);
        assert.match(search.text, /handbook/i);
      });
    }

    scenario('a request without a key, or with a misplaced one, gets a readable error and is not forwarded', async () => {
      const page = await testbed.open();
      await testbed.stub.reset();
      const good = testbed.keys.tokens.agent;
      for (const [name, body, query, headers] of [
        ['no key', {}],
        ['null', { api_key: null }],
        ['empty', { api_key: '' }],
        ['an object', { api_key: { $ne: null } }],
        ['another spelling', { API_KEY: good }],
        ['in the query', {}, `?api_key=${encodeURIComponent('0000-not-a-key')}`],
        ['as a Bearer token', {}, '', { Authorization: `Bearer ${good}` }],
        ["the agent's own key", { api_key: testbed.keys.agents.handbook }],
      ]) {
        const stream = await post(page, url(`/stream${query ?? ''}`), { question: QUESTION, history: '[]', ...body }, headers);
        assert.ok(stream.status === 401 || stream.status === 400, `${name}: ${stream.status} ${stream.text}`);
        assert.match(stream.type, /^text\/event-stream/, name);
        const [event, ...more] = dataEvents(stream.text);
        assert.deepEqual(more, [], name);
        assert.equal(event.type, 'error', name);
        assertHumanReadable(event.error);
        assert.match(event.code, /^[a-z_]+$/, name);

        const answer = await post(page, url(`/api/answer${query ?? ''}`), { question: QUESTION, ...body }, headers);
        assert.equal(answer.status, stream.status, `${name}: ${answer.text}`);
        const problem = JSON.parse(answer.text);
        assertHumanReadable(problem.error);
        assert.equal(problem.message, problem.error);
        assert.equal(problem.code, event.code);
        assert.ok(problem.request_id, 'no request id');
      }
      assert.deepEqual((await testbed.stub.calls()).map((c) => c.path), [], 'a request was forwarded');
    });

    scenario('the OpenAI endpoints pass the preflight with an Authorization header', async () => {
      const page = await testbed.open();
      const bearer = { Authorization: `Bearer ${testbed.keys.tokens.agent}` };
      const models = await page.evaluate(async ([target, headers]) => {
        const response = await fetch(target, { headers });
        return { status: response.status, text: await response.text() };
      }, [url('/v1/models'), bearer]);
      assert.equal(models.status, 200, models.text);
      assert.ok(JSON.parse(models.text).data.length > 0);

      const chat = await post(page, url('/v1/chat/completions'), {
        model: 'any', messages: [{ role: 'user', content: QUESTION }],
      }, bearer);
      assert.equal(chat.status, 200, chat.text);
      assertFromHandbook(JSON.parse(chat.text).choices[0].message.content, testbed.keys);

      const rejected = await post(page, url('/v1/chat/completions'), {
        model: 'any', messages: [{ role: 'user', content: QUESTION }],
      }, { Authorization: `Bearer ${testbed.keys.tokens.unknown}` });
      assert.equal(rejected.status, 401);
      assertHumanReadable(JSON.parse(rejected.text).error.message);
    });

    scenario('a page can read why a path below /v1 is not served: the preflight succeeds', async () => {
      const page = await testbed.open();
      for (const path of ['/v1/responses', '/v1/embeddings', '/v1//responses']) {
        const rejected = await post(page, url(path), { input: QUESTION }, { Authorization: `Bearer ${testbed.keys.tokens.agent}` });
        assert.equal(rejected.status, 404, rejected.text);
        const { error } = JSON.parse(rejected.text);
        assert.equal(error.code, 'not_found');
        assert.match(error.message, /^[A-Z].* POST \/v1\/chat\/completions/);
      }
    });

    scenario('unknown paths get a 404 that a page can read', async () => {
      const page = await testbed.open();
      await testbed.stub.reset();
      for (const path of ['/', '/api/sources', '/api/get_agents', '/stream/', '/api/answer/x', '/v1', '/API/answer']) {
        const status = await page.evaluate(async (target) => (await fetch(target)).status, url(path));
        assert.equal(status, 404, path);
      }
      assert.deepEqual(await testbed.stub.calls(), []);
    });
  }
});

/** Sends JSON with fetch in the page. */
function post(page, url, body, headers = {}) {
  return page.evaluate(async ([target, content, more]) => {
    const response = await fetch(target, {
      method: 'POST', headers: { 'Content-Type': 'application/json', ...more }, body: JSON.stringify(content),
    });
    return { status: response.status, type: response.headers.get('Content-Type') ?? '', text: await response.text() };
  }, [url, body, headers]);
}

/** Returns the answer in the body of a response, a stream or JSON. */
function answerOf(text) {
  if (!text.trimStart().startsWith('data:')) return JSON.parse(text).answer;
  return dataEvents(text).filter((event) => event.type === 'answer').map((event) => event.answer).join('');
}
