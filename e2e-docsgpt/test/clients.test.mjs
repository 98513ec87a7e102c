// Every kind of client through docsgate, by its own forwarding and with reverse_proxy behind it, against the real thing:
// what it asks for works, and the answer is made from the source of its key.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PROXY_MODES } from '../../e2e/lib/gate.mjs';
import { waitFor } from '../../e2e/lib/wait-for.mjs';
import { FACTS } from '../lib/stack-info.mjs';
import { answerOf, conversationOf, documentsIn } from '../lib/classify-response.mjs';
import { Client, OpenAI, StreamableHTTPClientTransport } from '../lib/sdk.mjs';
import { CANARY, QUESTION } from '../lib/stack.mjs';
import { events, form, jsonOf, send } from '../lib/raw-http.mjs';

const { tokens, ways } = FACTS.gate;
/** Keys, with the document that each is for. Those bound to sources use a personal access token upstream. */
const KEYS = { agent: 'handbook', source: 'handbook', otherAgent: 'payroll', otherSource: 'payroll' };
/** DocsGPT as its stock compose file runs it, and with a login; each in both ways. */
const PLACES = PROXY_MODES.flatMap((way) => ['open', 'login'].map((upstream) => ({ way, upstream })));

const ask = (gate, path, key, more = {}) => send(gate, {
  path, json: { question: QUESTION, history: '[]', api_key: key, ...more },
});

/** The answer was made from this document alone; gives how many questions of the user the model saw. */
function assertFrom(document, answer) {
  assert.deepEqual(documentsIn(answer ?? ''), [document], answer);
  assert.match(answer, /key=own .* end$/, 'the answer is cut');
  return Number(answer.match(/turns=(\d+)/)[1]);
}

for (const { way, upstream } of PLACES) {
  const gate = ways[way][upstream];

  describe(`${way}, DocsGPT ${upstream === 'open' ? 'without' : 'with'} a login`, () => {
    for (const [name, document] of Object.entries(KEYS)) {
      const key = tokens[name];

      test(`${name}: /api/answer, and a second question in the same conversation`, async () => {
        const first = await ask(gate, '/api/answer', key);
        assert.equal(first.status, 200, first.text);
        assert.equal(assertFrom(document, answerOf(first)), 1);
        const second = await ask(gate, '/api/answer', key, { conversation_id: conversationOf(first) });
        assert.equal(assertFrom(document, answerOf(second)), 2);
        assert.equal(conversationOf(second), conversationOf(first));
      });

      test(`${name}: /stream is whole events that published widgets read`, async () => {
        const response = await ask(gate, '/stream', key);
        assert.equal(response.status, 200, response.text);
        assert.match(response.headers['content-type'], /^text\/event-stream/);
        assertFrom(document, answerOf(response));
        const lines = response.text.split('\n').filter((line) => line !== '' && !line.startsWith('data: {'));
        assert.deepEqual(lines, [], 'lines that are no data of events');
        const types = events(response).map((event) => event.type);
        assert.ok(types.includes('source') && types.includes('id'), types.join());
        assert.equal(types.at(-1), 'end');
      });

      test(`${name}: /api/search`, async () => {
        const response = await send(gate, { path: '/api/search', json: { question: QUESTION, api_key: key } });
        assert.equal(response.status, 200, response.text);
        assert.deepEqual(documentsIn(response.text), [document]);
        assert.deepEqual(jsonOf(response).map((hit) => hit.title), [`${document}.md`]);
      });
    }

    test('a key that nobody gave out is refused everywhere', async () => {
      for (const path of ['/api/answer', '/stream', '/api/search']) {
        assert.equal((await ask(gate, path, 'nobody gave this out')).status, 401, path);
      }
    });

    test('/api/health needs no key', async () => {
      assert.equal((await send(gate, { method: 'GET', path: '/api/health' })).status, 200);
    });

    describe('OpenAI SDK', () => {
      const sdk = (key) => new OpenAI({ baseURL: `${gate}/v1`, apiKey: key, maxRetries: 0 });
      const messages = [{ role: 'user', content: QUESTION }];

      for (const [name, document] of Object.entries(KEYS).filter(([key]) => key.endsWith('gent'))) {
        test(`${name}: one answer`, async () => {
          const answer = await sdk(tokens[name]).chat.completions.create({ model: 'docsgpt', messages });
          assertFrom(document, answer.choices[0].message.content);
        });

        test(`${name}: a stream`, async () => {
          let text = '';
          let finish;
          const stream = await sdk(tokens[name]).chat.completions.create({ model: 'docsgpt', messages, stream: true });
          for await (const chunk of stream) {
            text += chunk.choices[0]?.delta?.content ?? '';
            finish = chunk.choices[0]?.finish_reason ?? finish;
          }
          assertFrom(document, text);
          assert.equal(finish, 'stop');
        });

        test(`${name}: the list of models has its agent alone`, async () => {
          const { data } = await sdk(tokens[name]).models.list();
          assert.deepEqual(data.map((model) => model.id), [FACTS.agents[document].id]);
        });
      }

      test('a key that is bound to a source is told what to do', async () => {
        await assert.rejects(sdk(tokens.source).chat.completions.create({ model: 'docsgpt', messages }), (error) => {
          assert.equal(error.status, 403);
          assert.match(error.message, /bound to an agent/);
          return true;
        });
      });
    });

    describe('MCP SDK', () => {
      for (const [name, document] of Object.entries(KEYS).filter(([key]) => key.endsWith('gent'))) {
        test(`${name}: connect, list, search, end`, async () => {
          const transport = new StreamableHTTPClientTransport(new URL(`${gate}/mcp/`), {
            requestInit: { headers: { Authorization: `Bearer ${tokens[name]}` } },
          });
          const client = new Client({ name: 'tests', version: '1.0.0' });
          try {
            await client.connect(transport);
            assert.deepEqual((await client.listTools()).tools.map((tool) => tool.name), ['search_docs']);
            const found = await client.callTool({ name: 'search_docs', arguments: { query: QUESTION } });
            assert.ok(!found.isError, JSON.stringify(found));
            assert.deepEqual(documentsIn(JSON.stringify(found)), [document]);
            await transport.terminateSession();
          } finally {
            await client.close();
          }
        });
      }
    });

    describe('attachments', () => {
      for (const name of ['agent', 'source']) {
        test(`${name}: an upload, its state, and a question about it`, async () => {
          const stored = await send(gate, {
            path: '/api/store_attachment',
            ...form({
              file: { name: 'letter.txt', text: `${CANARY.attachment} A letter about the device.` }, api_key: tokens[name],
            }),
          });
          assert.equal(stored.status, 200, stored.text);
          const { task_id: task, attachment_id: attachment } = jsonOf(stored);
          await waitFor('the upload is parsed', async () => {
            const state = await send(gate, { method: 'GET', path: `/api/task_status?task_id=${task}` });
            assert.equal(state.status, 200, state.text);
            return jsonOf(state).status === 'SUCCESS';
          }, { deadline: 60_000, every: 200 });
          const answer = answerOf(await ask(gate, '/stream', tokens[name], { attachments: [attachment] }));
          assert.deepEqual(documentsIn(answer), ['attachment', 'handbook']);
        });
      }
    });

    test('feedback on an answer of its own conversation', async () => {
      const answer = await ask(gate, '/api/answer', tokens.agent);
      const feedback = await send(gate, {
        path: '/api/feedback',
        json: {
          question: QUESTION, answer: answerOf(answer), feedback: 'LIKE', conversation_id: conversationOf(answer),
          question_index: 0, api_key: tokens.agent,
        },
      });
      assert.equal(feedback.status, 200, feedback.text);
      const response = await fetch(`${FACTS.api.login}/api/get_single_conversation?id=${conversationOf(answer)}`, {
        headers: { Authorization: `Bearer ${FACTS.ownerSession}` },
      });
      const stored = await response.json();
      assert.equal(stored.queries?.[0].feedback, 'like', JSON.stringify(stored).slice(0, 500));
    });
  });
}
