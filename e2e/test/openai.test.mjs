// The OpenAI SDK through the gate.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { assertFromHandbook, assertSentence } from '../lib/expect.mjs';
import { WAYS } from '../lib/gate.mjs';
import { startWorld } from '../lib/world.mjs';

const ask = (content) => ({ model: 'docsgpt', messages: [{ role: 'user', content }] });
const QUESTION = 'How do I reset the device?';

describe('openai SDK', () => {
  let world;
  before(async () => { world = await startWorld(); });
  after(() => world?.close());

  for (const way of WAYS) {
    const client = (token = 'agent') => new OpenAI({
      baseURL: `${world.gate.url(way)}/v1`, apiKey: world.keys.tokens[token], maxRetries: 0, timeout: 20_000,
    });
    const scenario = (name, body) => test(`${way}: ${name}`, (t) => world.scenario(body)(t));

    scenario('a chat completion is answered from the bound source', async () => {
      const completion = await client().chat.completions.create(ask(QUESTION));
      assertFromHandbook(completion.choices[0].message.content, world.keys);
      const call = (await world.stub.calls()).at(-1);
      assert.ok(!JSON.stringify(call).includes(world.keys.tokens.agent), "the client's token went upstream");
    });

    scenario('a streamed completion comes in pieces, and is whole', async () => {
      const pieces = [];
      const stream = await client().chat.completions.create({ ...ask(`${QUESTION} [[words=20]]`), stream: true });
      for await (const chunk of stream) {
        const text = chunk.choices?.[0]?.delta?.content;
        if (text) pieces.push(text);
      }
      assert.ok(pieces.length > 3, `${pieces.length} pieces`);
      assertFromHandbook(pieces.join(''), world.keys);
    });

    scenario('keepalive comments in a stream do not disturb it', async () => {
      let text = '';
      const stream = await client().chat.completions.create({ ...ask('[[keepalive]] [[gap=0.5]]'), stream: true });
      for await (const chunk of stream) text += chunk.choices?.[0]?.delta?.content ?? '';
      assertFromHandbook(text, world.keys);
    });

    scenario('members that name other sources change nothing', async () => {
      const completion = await client().chat.completions.create({
        ...ask(QUESTION),
        docsgpt: { active_docs: world.keys.sources.payroll },
        active_docs: world.keys.sources.payroll,
        llm_params: { extra_headers: { 'X-Evil': '1' } },
      });
      assertFromHandbook(completion.choices[0].message.content, world.keys);
    });

    scenario('a key that is bound to a source is refused readably: DocsGPT takes only agent keys here', async () => {
      const error = await failure(() => client('source').chat.completions.create(ask(QUESTION)));
      assert.ok(error instanceof OpenAI.PermissionDeniedError, `${error.constructor.name}: ${error.message}`);
      assertSentence(error.error.message);
    });

    scenario('a stream that is cut is an error, not a short answer', async () => {
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
        await world.stub.forget();
        for (const call of [
          () => client(token).models.list(),
          () => client(token).chat.completions.create(ask(QUESTION)),
          () => client(token).chat.completions.create({ ...ask(QUESTION), stream: true }),
        ]) {
          const error = await failure(call);
          assert.ok(error instanceof OpenAI.AuthenticationError, `${error.constructor.name}: ${error.message}`);
          assert.equal(error.status, 401);
          assertSentence(error.error.message);
          assert.match(error.code, /^[a-z_]+$/);
        }
        assert.deepEqual(await world.stub.calls(), [], 'something was passed on');
      });
    }

    for (const stream of [false, true]) {
      const with_ = stream ? 'streaming' : 'not streaming';
      scenario(`${with_}: a limit of the backend is a RateLimitError`, async () => {
        const error = await failure(() => client().chat.completions.create({ ...ask('[[fail=429]]'), stream }));
        assert.ok(error instanceof OpenAI.RateLimitError, `${error.constructor.name}: ${error.message}`);
        assertSentence(error.error.message);
      });

      scenario(`${with_}: 401 from the backend says nothing about the client's key: 502`, async () => {
        const error = await failure(() => client().chat.completions.create({ ...ask('[[fail=401]]'), stream }));
        assert.equal(error.status, 502, error.message);
        assertSentence(error.error.message);
        assert.doesNotMatch(error.error.message, /\bkey\b/i);
      });

      scenario(`${with_}: 400 from the backend is a BadRequestError, and not about the key`, async () => {
        const error = await failure(() => client().chat.completions.create({ ...ask('[[fail=400]]'), stream }));
        assert.ok(error instanceof OpenAI.BadRequestError, `${error.constructor.name}: ${error.message}`);
        assertSentence(error.error.message);
        assert.doesNotMatch(error.error.message, /\bkey\b/i);
      });

      scenario(`${with_}: the backend is down: 502`, async () => {
        await world.stub.stop();
        try {
          const error = await failure(() => client().chat.completions.create({ ...ask(QUESTION), stream }));
          assert.ok(error instanceof OpenAI.InternalServerError, `${error.constructor.name}: ${error.message}`);
          assert.equal(error.status, 502);
          assertSentence(error.error.message);
        } finally {
          await world.stub.start();
        }
        const completion = await client().chat.completions.create(ask(QUESTION));
        assertFromHandbook(completion.choices[0].message.content, world.keys);
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
  throw new assert.AssertionError({ message: 'the call was answered' });
}
