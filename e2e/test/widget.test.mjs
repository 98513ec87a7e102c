// The published chat widgets through the gate: both versions, both ways of handing a request on.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { WIDGET_VERSIONS } from '../lib/bundles.mjs';
import { outsideHosts } from '../lib/browser.mjs';
import { assertAnswered } from '../lib/expect.mjs';
import { WAYS } from '../lib/gate.mjs';
import { until } from '../lib/until.mjs';
import { startWorld } from '../lib/world.mjs';

const QUESTION = 'How do I reset the device?';

describe('chat widget', () => {
  let world;
  before(async () => { world = await startWorld({ browser: true }); });
  after(() => world?.close());

  for (const version of WIDGET_VERSIONS) {
    for (const way of WAYS) {
      const scenario = (name, body) => test(`${version}, ${way}: ${name}`, (t) => world.scenario(body)(t));
      const widget = (token = 'agent', props = {}) => world.widget(version, {
        apiHost: world.gate.url(way), apiKey: world.keys.tokens[token], ...props,
      });

      for (const binding of ['agent', 'source']) {
        scenario(`a key bound to ${binding === 'agent' ? 'an agent' : 'a source'} is answered from its source only`, async () => {
          await world.stub.forget();
          const chat = await widget(binding);
          assertAnswered(await chat.ask(QUESTION), world.keys);

          const [call] = (await world.stub.calls()).filter((c) => c.method === 'POST');
          assert.ok(!call.body.includes(world.keys.tokens[binding]), "the client's token went upstream");
          assert.deepEqual(chat.page.trail.errors, [], 'uncaught errors in the page');
          assert.deepEqual(outsideHosts(chat.page), [], 'the page needed another host');
        });
      }

      scenario('the answer grows while it is written', async () => {
        const chat = await widget();
        const whole = (await chat.ask(`${QUESTION} [[words=20]]`)).answer;
        const steps = await chat.steps();
        for (const [i, step] of steps.entries()) assert.ok(i === 0 || step.startsWith(steps[i - 1]), `step ${i}: ${step}`);
        assert.equal(steps.at(-1), whole);

        // How many pieces a browser that has much to do shows at once is not ours. So the backend falls silent after the
        // first, for longer than anything here waits.
        await chat.send(`${QUESTION} [[words=20]] [[gap=60]]`);
        const first = await until('the first piece shows', async () => (await chat.last()).answer);
        assert.ok(whole.startsWith(first) && whole.length > first.length, `first ${first}, but all of ${whole}`);
      });

      scenario('a follow-up question goes into the same conversation', async () => {
        await world.stub.forget();
        const chat = await widget();
        const one = await chat.ask(QUESTION);
        const two = await chat.ask('And after that?');
        assertAnswered(one, world.keys);
        assertAnswered(two, world.keys);
        assert.match(one.answer, /turns=1\b/);
        assert.match(two.answer, /turns=2\b/);
        assert.equal((await chat.turns()).length, 2);

        const [first, second] = (await world.stub.calls()).filter((c) => c.method === 'POST');
        assert.equal(first.json.conversation_id ?? null, null);
        assert.match(second.json.conversation_id, /^[0-9a-f-]{36}$/);
      });

      scenario('a host that ends in a slash works', async () => {
        const chat = await widget('agent', { apiHost: `${world.gate.url(way)}/` });
        assertAnswered(await chat.ask(QUESTION), world.keys);
        assert.ok(chat.page.trail.requests.some((r) => r.url === `${world.gate.url(way)}//stream`));
      });

      if (version !== '0.4.7') { // the older one shows no sources, and sends feedback without a conversation
        scenario('sources are shown above the answer', async () => {
          const chat = await widget('agent', { showSources: true });
          const turn = await chat.ask(QUESTION);
          assertAnswered(turn, world.keys);
          assert.ok(turn.sources.length > 0, 'no source is shown');
          for (const source of turn.sources) assert.match(source.title, /handbook/i);
        });

        scenario('feedback is taken', async () => {
          await world.stub.forget();
          const chat = await widget();
          await chat.ask(QUESTION);
          const { status } = await chat.like();
          assert.equal(status, 200);
          const call = (await world.stub.calls()).find((c) => c.path === '/api/feedback' && c.method === 'POST');
          assert.ok(call, 'the feedback did not arrive');
          assert.equal(call.json.feedback, 'LIKE');
          assert.match(call.json.conversation_id, /^[0-9a-f-]{36}$/);
          assert.ok(!call.body.includes(world.keys.tokens.agent), "the client's token went upstream");
        });
      }
    }
  }
});
