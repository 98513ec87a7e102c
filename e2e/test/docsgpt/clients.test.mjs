// Every kind of client through docsgate, in both proxy modes, with a real DocsGPT: its requests succeed, and each answer comes
// from the source of its key.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import OpenAI from 'openai';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { waitFor } from '../../lib/wait-for.mjs';
import { STACK } from '../../lib/docsgpt/stack-info.mjs';
import { answerOf, bareID, conversationOf, documentsIn } from '../../lib/docsgpt/classify-response.mjs';
import { CANARY, QUESTION } from '../../lib/docsgpt/stack.mjs';
import { multipartForm, parseEvents, parseJSON, sendRaw } from '../../lib/docsgpt/raw-http.mjs';

const { tokens, urls } = STACK.gate;
/** Keys, with their documents. For keys that are bound to sources the gate uses a personal access token. */
const KEYS = { agent: 'handbook', source: 'handbook', otherAgent: 'payroll', otherSource: 'payroll' };
/** DocsGPT as in its stock compose file, and with a login, in both proxy modes. */
const SITES = PROXY_MODES.flatMap((mode) => ['open', 'login'].map((upstream) => ({ mode, upstream })));

const ask = (gate, path, key, more = {}) => sendRaw(gate, {
  path, json: { question: QUESTION, history: '[]', api_key: key, ...more },
});

/** The answer comes from this document only. Returns the number of user messages that the model received. */
function assertFrom(document, answer) {
  assert.deepEqual(documentsIn(answer ?? ''), [document], answer);
  assert.match(answer, /key=own .* end$/, 'the answer is truncated');
  return Number(answer.match(/turns=(\d+)/)[1]);
}

for (const { mode, upstream } of SITES) {
  const gate = urls[mode][upstream];

  describe(`${mode}, DocsGPT ${upstream === 'open' ? 'without' : 'with'} a login`, () => {
    for (const [name, document] of Object.entries(KEYS)) {
      const key = tokens[name];

      test(`${name}: /api/answer, and a second question in the same conversation`, async () => {
        const first = await ask(gate, '/api/answer', key);
        assert.equal(first.status, 200, first.text);
        assert.equal(assertFrom(document, answerOf(first)), 1);
        const second = await ask(gate, '/api/answer', key, { conversation_id: conversationOf(first) });
        assert.equal(assertFrom(document, answerOf(second)), 2);
        assert.equal(bareID(conversationOf(second)), bareID(conversationOf(first)));
      });

      test(`${name}: /stream sends complete events that published widgets can parse`, async () => {
        const response = await ask(gate, '/stream', key);
        assert.equal(response.status, 200, response.text);
        assert.match(response.headers['content-type'], /^text\/event-stream/);
        assertFrom(document, answerOf(response));
        const lines = response.text.split('\n').filter((line) => line !== '' && !line.startsWith('data: {'));
        assert.deepEqual(lines, [], 'lines that are not the data of events');
        const types = parseEvents(response).map((event) => event.type);
        assert.ok(types.includes('source') && types.includes('id'), types.join());
        assert.equal(types.at(-1), 'end');
      });

      test(`${name}: /api/search`, async () => {
        const response = await sendRaw(gate, { path: '/api/search', json: { question: QUESTION, api_key: key } });
        assert.equal(response.status, 200, response.text);
        assert.deepEqual(documentsIn(response.text), [document]);
        assert.deepEqual(parseJSON(response).map((hit) => hit.title), [`${document}.md`]);
      });
    }

    test('an unknown key is rejected by every endpoint', async () => {
      for (const path of ['/api/answer', '/stream', '/api/search']) {
        assert.equal((await ask(gate, path, 'an unknown key')).status, 401, path);
      }
    });

    test('/api/health does not need a key', async () => {
      assert.equal((await sendRaw(gate, { method: 'GET', path: '/api/health' })).status, 200);
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

        test(`${name}: the list of models has only its agent`, async () => {
          const { data } = await sdk(tokens[name]).models.list();
          assert.deepEqual(data.map((model) => model.id), [STACK.agents[document].id]);
        });
      }

      test('a key that is bound to a source gets an error that says what to do', async () => {
        await assert.rejects(sdk(tokens.source).chat.completions.create({ model: 'docsgpt', messages }), (error) => {
          assert.equal(error.status, 403);
          assert.match(error.message, /bound to an agent/);
          return true;
        });
      });
    });

    describe('MCP SDK', () => {
      for (const [name, document] of Object.entries(KEYS).filter(([key]) => key.endsWith('gent'))) {
        test(`${name}: connect, list the tools, search, terminate`, async () => {
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
        test(`${name}: an upload, its status, and a question about it`, async () => {
          const stored = await sendRaw(gate, {
            path: '/api/store_attachment',
            ...multipartForm({
              file: { name: 'letter.txt', text: `${CANARY.attachment} A letter about the device.` }, api_key: tokens[name],
            }),
          });
          assert.equal(stored.status, 200, stored.text);
          const { task_id: task, attachment_id: attachment } = parseJSON(stored);
          await waitFor('the upload is parsed', async () => {
            const state = await sendRaw(gate, { method: 'GET', path: `/api/task_status?task_id=${task}` });
            assert.equal(state.status, 200, state.text);
            return parseJSON(state).status === 'SUCCESS';
          }, { deadline: 60_000, every: 200 });
          const answer = answerOf(await ask(gate, '/stream', tokens[name], { attachments: [attachment] }));
          assert.deepEqual(documentsIn(answer), ['attachment', 'handbook']);
        });
      }
    });

    test('feedback on an answer of the same key', async () => {
      const answer = await ask(gate, '/api/answer', tokens.agent);
      const feedback = await sendRaw(gate, {
        path: '/api/feedback',
        json: {
          question: QUESTION, answer: answerOf(answer), feedback: 'LIKE', conversation_id: conversationOf(answer),
          question_index: 0, api_key: tokens.agent,
        },
      });
      assert.equal(feedback.status, 200, feedback.text);
      const response = await fetch(`${STACK.api.login}/api/get_single_conversation?id=${bareID(conversationOf(answer))}`, {
        headers: { Authorization: `Bearer ${STACK.ownerSession}` },
      });
      const stored = await response.json();
      assert.equal(stored.queries?.[0].feedback, 'like', JSON.stringify(stored).slice(0, 500));
    });
  });
}
