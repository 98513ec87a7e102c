// The OpenAI SDK through the gate.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
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
