// The published chat widgets through the gate: both versions, both proxy modes.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertAnswered } from '../../lib/assertions.mjs';
import { externalHosts } from '../../lib/browser.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { startTestbed } from '../../lib/testbed.mjs';
import { waitFor } from '../../lib/wait-for.mjs';
import { WIDGET_VERSIONS } from '../../lib/widget-packages.mjs';

const QUESTION = 'How do I reset the device?';

describe('chat widget', () => {
  let testbed;
  before(async () => { testbed = await startTestbed({ browser: true }); });
  after(() => testbed?.close());

  for (const version of WIDGET_VERSIONS) {
    for (const mode of PROXY_MODES) {
      const scenario = (name, body) => test(`${version}, ${mode}: ${name}`, (t) => testbed.scenario(body)(t));
      const widget = (token = 'agent', props = {}) => testbed.widget(version, {
        apiHost: testbed.gate.url(mode), apiKey: testbed.keys.tokens[token], ...props,
      });

      for (const binding of ['agent', 'source']) {
        scenario(`a key bound to ${binding === 'agent' ? 'an agent' : 'a source'} gets answers from its source only`, async () => {
          await testbed.stub.reset();
          const chat = await widget(binding);
          assertAnswered(await chat.ask(QUESTION), testbed.keys);

          const [call] = (await testbed.stub.calls()).filter((c) => c.method === 'POST');
          assert.ok(!call.body.includes(testbed.keys.tokens[binding]), "the client's token went upstream");
          assert.deepEqual(chat.page.trail.errors, [], 'uncaught errors in the page');
          assert.deepEqual(externalHosts(chat.page), [], 'the page sent requests to another host');
        });
      }

      scenario('the answer is shown while it is streamed', async () => {
        const chat = await widget();
        const whole = (await chat.ask(`${QUESTION} [[words=20]]`)).answer;
        const steps = await chat.steps();
        for (const [i, step] of steps.entries()) assert.ok(i === 0 || step.startsWith(steps[i - 1]), `step ${i}: ${step}`);
        assert.equal(steps.at(-1), whole);

        // A busy browser may show several pieces at the same time. So the backend pauses after the first piece, for longer
        // than any timeout of this test.
        await chat.send(`${QUESTION} [[words=20]] [[gap=60]]`);
        const first = await waitFor('the first piece is shown', async () => (await chat.last()).answer);
        assert.ok(whole.startsWith(first) && whole.length > first.length, `first: ${first}, whole: ${whole}`);
      });

      scenario('a follow-up question continues the conversation', async () => {
        await testbed.stub.reset();
        const chat = await widget();
        const one = await chat.ask(QUESTION);
        const two = await chat.ask('And after that?');
        assertAnswered(one, testbed.keys);
        assertAnswered(two, testbed.keys);
        assert.match(one.answer, /turns=1\b/);
        assert.match(two.answer, /turns=2\b/);
        assert.equal((await chat.turns()).length, 2);

        const [first, second] = (await testbed.stub.calls()).filter((c) => c.method === 'POST');
        assert.equal(first.json.conversation_id ?? null, null);
        assert.match(second.json.conversation_id, /^[0-9a-f-]{36}$/);
      });

      scenario('an apiHost with a trailing slash works', async () => {
        const chat = await widget('agent', { apiHost: `${testbed.gate.url(mode)}/` });
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
        assert.ok(chat.page.trail.requests.some((r) => r.url === `${testbed.gate.url(mode)}//stream`));
      });

      if (version !== '0.4.7') { // 0.4.7 shows no sources, and sends feedback without a conversation id
        scenario('sources are shown above the answer', async () => {
          const chat = await widget('agent', { showSources: true });
          const turn = await chat.ask(QUESTION);
          assertAnswered(turn, testbed.keys);
          assert.ok(turn.sources.length > 0, 'no sources are shown');
          for (const source of turn.sources) assert.match(source.title, /handbook/i);
        });

        scenario('feedback is accepted', async () => {
          await testbed.stub.reset();
          const chat = await widget();
          await chat.ask(QUESTION);
          const { status } = await chat.like();
          assert.equal(status, 200);
          const call = (await testbed.stub.calls()).find((c) => c.path === '/api/feedback' && c.method === 'POST');
          assert.ok(call, 'the feedback did not arrive');
          assert.equal(call.json.feedback, 'LIKE');
          assert.match(call.json.conversation_id, /^[0-9a-f-]{36}$/);
          assert.ok(!call.body.includes(testbed.keys.tokens.agent), "the client's token went upstream");
        });
      }
    }
  }
});
