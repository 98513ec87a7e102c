// OpenAI clients through the gate: the OpenAI SDK, and the AI SDK and LangChain, which are built for several APIs of OpenAI.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createOpenAI } from '@ai-sdk/openai';
import { ChatOpenAI } from '@langchain/openai';
import { APICallError, generateText, streamText } from 'ai';
import OpenAI from 'openai';
import { assertFromHandbook, assertHumanReadable } from '../../lib/assertions.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { startTestbed } from '../../lib/testbed.mjs';

const ask = (content) => ({ model: 'docsgpt', messages: [{ role: 'user', content }] });
const QUESTION = 'How do I reset the device?';

describe('openai SDK', () => {
  let testbed;
  before(async () => { testbed = await startTestbed(); });
  after(() => testbed?.close());

  for (const mode of PROXY_MODES) {
    const client = (token = 'agent') => new OpenAI({
      baseURL: `${testbed.gate.url(mode)}/v1`, apiKey: testbed.keys.tokens[token], maxRetries: 0, timeout: 20_000,
    });
    const scenario = (name, body) => test(`${mode}: ${name}`, (t) => testbed.scenario(body)(t));

    scenario('a chat completion is answered from the bound source', async () => {
      const completion = await client().chat.completions.create(ask(QUESTION));
      assertFromHandbook(completion.choices[0].message.content, testbed.keys);
      const call = (await testbed.stub.calls()).at(-1);
      assert.ok(!JSON.stringify(call).includes(testbed.keys.tokens.agent), "the client's token went upstream");
    });

    scenario('a streamed completion arrives in pieces and is complete', async () => {
      const pieces = [];
      const stream = await client().chat.completions.create({ ...ask(`${QUESTION} [[words=20]]`), stream: true });
      for await (const chunk of stream) {
        const text = chunk.choices?.[0]?.delta?.content;
        if (text) pieces.push(text);
      }
      assert.ok(pieces.length > 3, `${pieces.length} pieces`);
      assertFromHandbook(pieces.join(''), testbed.keys);
    });

    scenario("the SDK's stream helper builds the whole message", async () => {
      const stream = client().chat.completions.stream(ask(`${QUESTION} [[words=20]]`));
      const { message, finish_reason: finished } = (await stream.finalChatCompletion()).choices[0];
      assert.equal(message.role, 'assistant');
      assert.equal(finished, 'stop');
      assertFromHandbook(message.content, testbed.keys);
    });

    scenario('text parts with the extra fields of SDKs are accepted', async () => {
      const completion = await client().chat.completions.create({
        ...ask([{ type: 'text', text: QUESTION, cache_control: { type: 'ephemeral' } }, { type: 'text', text: 'Now.', id: 'p2' }]),
      });
      assertFromHandbook(completion.choices[0].message.content, testbed.keys);
    });

    scenario('a NUL character and a number as a string are BadRequestErrors that name the field', async () => {
      for (const [name, extra] of [['messages', ask('from a \0 PDF')], ['temperature', { temperature: '0.7' }]]) {
        const error = await failure(() => client().chat.completions.create({ ...ask(QUESTION), ...extra }));
        assert.ok(error instanceof OpenAI.BadRequestError, `${error.constructor.name}: ${error.message}`);
        assert.match(error.message, new RegExp(`the field "${name}"`));
      }
    });

    scenario('keepalive comments in a stream are ignored', async () => {
      let text = '';
      const stream = await client().chat.completions.create({ ...ask('[[keepalive]] [[gap=0.5]]'), stream: true });
      for await (const chunk of stream) text += chunk.choices?.[0]?.delta?.content ?? '';
      assertFromHandbook(text, testbed.keys);
    });

    scenario('fields that select other sources have no effect', async () => {
      const completion = await client().chat.completions.create({
        ...ask(QUESTION),
        docsgpt: { active_docs: testbed.keys.sources.payroll },
        active_docs: testbed.keys.sources.payroll,
        llm_params: { extra_headers: { 'X-Evil': '1' } },
      });
      assertFromHandbook(completion.choices[0].message.content, testbed.keys);
    });

    scenario('a key that is bound to a source gets a readable error: DocsGPT accepts only agent keys here', async () => {
      const error = await failure(() => client('source').chat.completions.create(ask(QUESTION)));
      assert.ok(error instanceof OpenAI.PermissionDeniedError, `${error.constructor.name}: ${error.message}`);
      assertHumanReadable(error.error.message);
    });

    scenario('a truncated stream is an error, not a short answer', async () => {
      const stream = await client().chat.completions.create({ ...ask('[[cut]]'), stream: true });
      const error = await failure(async () => {
        for await (const chunk of stream) assert.ok(chunk);
      });
      assert.ok(!(error instanceof assert.AssertionError), error.message);
    });

    scenario('the models can be listed', async () => {
      const models = [];
      for await (const model of client().models.list()) models.push(model.id);
      assert.ok(models.length > 0);
      assert.equal((await client().models.retrieve(models[0])).id, models[0]);
      const error = await failure(() => client().models.retrieve('gpt-4o'));
      assert.ok(error instanceof OpenAI.NotFoundError, `${error.constructor.name}: ${error.message}`);
      assert.equal(error.code, 'model_not_found');
    });

    // The setting that the message names, for each client: it must exist and work.
    const fix = /Chat Completions: openai\.chat\(\.\.\.\) in the AI SDK, useResponsesApi: false in LangChain/;

    scenario('the Responses API is a NotFoundError that says what to use', async () => {
      const error = await failure(() => client().responses.create({ model: 'docsgpt', input: QUESTION }));
      assert.ok(error instanceof OpenAI.NotFoundError, `${error.constructor.name}: ${error.message}`);
      assert.match(error.message, fix);
      assert.match(error.message, /POST \/v1\/chat\/completions/);
    });

    scenario('AI SDK: openai(...) fails with a message that names openai.chat(...), which works', async () => {
      const openai = createOpenAI({ baseURL: `${testbed.gate.url(mode)}/v1/`, apiKey: testbed.keys.tokens.agent });
      const error = await failure(() => generateText({ model: openai('docsgpt'), prompt: QUESTION, maxRetries: 0 }));
      assert.ok(APICallError.isInstance(error), `${error.constructor.name}: ${error.message}`);
      assert.equal(error.statusCode, 404);
      assert.match(error.message, fix);

      assertFromHandbook((await generateText({ model: openai.chat('docsgpt'), prompt: QUESTION })).text, testbed.keys);
      assertFromHandbook(await streamText({ model: openai.chat('docsgpt'), prompt: QUESTION }).text, testbed.keys);
    });

    scenario('LangChain: useResponsesApi fails with a message, and without it all works', async () => {
      const chat = (options) => new ChatOpenAI({
        model: 'docsgpt', apiKey: testbed.keys.tokens.agent, maxRetries: 0,
        configuration: { baseURL: `${testbed.gate.url(mode)}/v1` }, ...options,
      });
      for (const options of [{ useResponsesApi: true }, { useResponsesApi: false, model: 'gpt-5.5-pro' }]) {
        assert.match((await failure(() => chat(options).invoke(QUESTION))).message, fix);
      }
      assertFromHandbook((await chat({ useResponsesApi: false }).invoke(QUESTION)).content, testbed.keys);
      let text = '';
      for await (const chunk of await chat({ useResponsesApi: false }).stream(QUESTION)) text += chunk.content;
      assertFromHandbook(text, testbed.keys);
    });

    for (const token of ['unknown', 'expired', 'disabled']) {
      scenario(`the ${token} key is an AuthenticationError with a message`, async () => {
        await testbed.stub.reset();
        for (const call of [
          () => client(token).models.list(),
          () => client(token).chat.completions.create(ask(QUESTION)),
          () => client(token).chat.completions.create({ ...ask(QUESTION), stream: true }),
        ]) {
          const error = await failure(call);
          assert.ok(error instanceof OpenAI.AuthenticationError, `${error.constructor.name}: ${error.message}`);
          assert.equal(error.status, 401);
          assertHumanReadable(error.error.message);
          assert.match(error.code, /^[a-z_]+$/);
        }
        assert.deepEqual(await testbed.stub.calls(), [], 'a request was forwarded');
      });
    }

    for (const stream of [false, true]) {
      const kind = stream ? 'streaming' : 'not streaming';
      scenario(`${kind}: a limit of the backend is a RateLimitError`, async () => {
        const error = await failure(() => client().chat.completions.create({ ...ask('[[fail=429]]'), stream }));
        assert.ok(error instanceof OpenAI.RateLimitError, `${error.constructor.name}: ${error.message}`);
        assertHumanReadable(error.error.message);
      });

      scenario(`${kind}: 401 from the backend says nothing about the client's key: 502`, async () => {
        const error = await failure(() => client().chat.completions.create({ ...ask('[[fail=401]]'), stream }));
        assert.equal(error.status, 502, error.message);
        assertHumanReadable(error.error.message);
        assert.doesNotMatch(error.error.message, /\bkey\b/i);
      });

      scenario(`${kind}: 400 from the backend is a BadRequestError, and not about the key`, async () => {
        const error = await failure(() => client().chat.completions.create({ ...ask('[[fail=400]]'), stream }));
        assert.ok(error instanceof OpenAI.BadRequestError, `${error.constructor.name}: ${error.message}`);
        assertHumanReadable(error.error.message);
        assert.doesNotMatch(error.error.message, /\bkey\b/i);
      });

      scenario(`${kind}: the backend is down: 502`, async () => {
        await testbed.stub.stop();
        try {
          const error = await failure(() => client().chat.completions.create({ ...ask(QUESTION), stream }));
          assert.ok(error instanceof OpenAI.InternalServerError, `${error.constructor.name}: ${error.message}`);
          assert.equal(error.status, 502);
          assertHumanReadable(error.error.message);
        } finally {
          await testbed.stub.start();
        }
        const completion = await client().chat.completions.create(ask(QUESTION));
        assertFromHandbook(completion.choices[0].message.content, testbed.keys);
      });
    }
  }
});

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: 'the call succeeded' });
}
