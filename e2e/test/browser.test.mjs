// What scripts in a page can do at the gate: nothing more than the key allows, and everything that CORS has to permit.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertFromHandbook, assertSentence } from '../lib/expect.mjs';
import { WAYS } from '../lib/gate.mjs';
import { startWorld } from '../lib/world.mjs';

const QUESTION = 'How do I reset the device?';

describe('a script in a page', () => {
  let world;
  before(async () => { world = await startWorld({ browser: true }); });
  after(() => world?.close());

  test('the browser enforces CORS here, so that the other tests prove something', (t) => world.scenario(async () => {
    const page = await world.open();
    const other = world.stub.callsUrl(); // a server that allows no origin
    await assert.rejects(page.evaluate((url) => fetch(url), other), /Failed to fetch/);
    assert.equal(await page.evaluate(async (url) => (await fetch(url, { mode: 'no-cors' })).type, other), 'opaque');
  })(t));

  for (const way of WAYS) {
    const scenario = (name, body) => test(`${way}: ${name}`, (t) => world.scenario(body)(t));
    const url = (path) => `${world.gate.url(way)}${path}`;

    for (const binding of ['agent', 'source']) {
      scenario(`selectors of another source change nothing (key bound to ${binding})`, async () => {
        const page = await world.open();
        const payroll = world.keys.sources.payroll;
        const selectors = {
          active_docs: payroll, selectDocs: payroll, selectedDocs: payroll, source: payroll, source_id: payroll,
          sources: [payroll], extra_source_ids: [payroll], retriever: 'hybrid', chunks: 0, isNoneDoc: true,
          llm_params: { extra_headers: { 'X-Evil': '1' } }, prompt_id: 'creative', model_id: 'other',
        };
        for (const [name, value] of [...Object.entries(selectors), ['all of them', null]]) {
          const body = { question: QUESTION, history: '[]', api_key: world.keys.tokens[binding] };
          Object.assign(body, value === null ? selectors : { [name]: value });
          for (const path of ['/stream', '/api/answer', `/stream?active_docs=${payroll}`]) {
            const { status, text } = await post(page, url(path), body);
            assert.equal(status, 200, `${name} on ${path}: ${text}`);
            assertFromHandbook(answerOf(text), world.keys);
          }
        }
        const search = await post(page, url('/api/search'), {
          question: 'reset', active_docs: payroll, source: payroll, api_key: world.keys.tokens[binding],
        });
        assert.doesNotMatch(search.text, /payroll/i);
        assert.equal(search.status, 200, search.text);
        assert.match(search.text, /handbook/i);
      });
    }

    scenario('a request without a key, or with it in the wrong place, is refused readably and goes nowhere', async () => {
      const page = await world.open();
      await world.stub.forget();
      const good = world.keys.tokens.agent;
      for (const [name, body, query, headers] of [
        ['no key', {}],
        ['null', { api_key: null }],
        ['empty', { api_key: '' }],
        ['an object', { api_key: { $ne: null } }],
        ['another spelling', { API_KEY: good }],
        ['in the query', {}, `?api_key=${encodeURIComponent('0000-not-a-key')}`],
        ['as a Bearer token', {}, '', { Authorization: `Bearer ${good}` }],
        ["the agent's own key", { api_key: world.keys.agents.handbook }],
      ]) {
        const stream = await post(page, url(`/stream${query ?? ''}`), { question: QUESTION, history: '[]', ...body }, headers);
        assert.ok(stream.status === 401 || stream.status === 400, `${name}: ${stream.status} ${stream.text}`);
        assert.match(stream.type, /^text\/event-stream/, name);
        const event = JSON.parse(stream.text.trim().replace(/^data: /, ''));
        assert.equal(event.type, 'error', name);
        assertSentence(event.error);
        assert.match(event.code, /^[a-z_]+$/, name);

        const answer = await post(page, url(`/api/answer${query ?? ''}`), { question: QUESTION, ...body }, headers);
        assert.equal(answer.status, stream.status, `${name}: ${answer.text}`);
        const refusal = JSON.parse(answer.text);
        assertSentence(refusal.error);
        assert.equal(refusal.message, refusal.error);
        assert.equal(refusal.code, event.code);
        assert.ok(refusal.request_id, 'no request id');
      }
      assert.deepEqual((await world.stub.calls()).map((c) => c.path), [], 'something was passed on');
    });

    scenario('the OpenAI endpoints pass the preflight with an Authorization header', async () => {
      const page = await world.open();
      const bearer = { Authorization: `Bearer ${world.keys.tokens.agent}` };
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
      assertFromHandbook(JSON.parse(chat.text).choices[0].message.content, world.keys);

      const refused = await post(page, url('/v1/chat/completions'), {
        model: 'any', messages: [{ role: 'user', content: QUESTION }],
      }, { Authorization: `Bearer ${world.keys.tokens.unknown}` });
      assert.equal(refused.status, 401);
      assertSentence(JSON.parse(refused.text).error.message);
    });

    scenario('unknown paths are 404, and a page can read that', async () => {
      const page = await world.open();
      await world.stub.forget();
      for (const path of ['/', '/api/sources', '/api/get_agents', '/stream/', '/api/answer/x', '/v1', '/API/answer']) {
        const status = await page.evaluate(async (target) => (await fetch(target)).status, url(path));
        assert.equal(status, 404, path);
      }
      assert.deepEqual(await world.stub.calls(), []);
    });
  }
});

/** Sends JSON with the page's own fetch. */
function post(page, url, body, headers = {}) {
  return page.evaluate(async ([target, content, more]) => {
    const response = await fetch(target, {
      method: 'POST', headers: { 'Content-Type': 'application/json', ...more }, body: JSON.stringify(content),
    });
    return { status: response.status, type: response.headers.get('Content-Type') ?? '', text: await response.text() };
  }, [url, body, headers]);
}

/** The answer's text, of a stream or of a JSON answer. */
function answerOf(text) {
  if (!text.startsWith('data:')) return JSON.parse(text).answer;
  const events = text.trimEnd().split('\n\n').map((event) => JSON.parse(event.replace(/^data: /, '')));
  return events.filter((event) => event.type === 'answer').map((event) => event.answer).join('');
}
