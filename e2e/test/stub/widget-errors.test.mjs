// What users see instead of an answer: a readable error, in a widget that accepts the next question. Without the gate most
// of these responses make the published widgets hang, go blank or unmount.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertAnswered, assertErrorShown } from '../../lib/assertions.mjs';
import { PROXY_MODES, startGate } from '../../lib/gate.mjs';
import { startTestbed } from '../../lib/testbed.mjs';
import { waitFor } from '../../lib/wait-for.mjs';
import { WIDGET_VERSIONS } from '../../lib/widget-packages.mjs';

const QUESTION = 'How do I reset the device?';

/** Words that would blame the user's key, which the gate has accepted. */
const BLAME = /\b(key|token|credential|unauthori[sz]ed)\b/i;

/** Errors of the backend, with the fault directive in the question that causes them. */
const BACKEND_ERRORS = [
  { name: 'its limit is reached', ask: '[[fail=429]]' },
  { name: 'the quota of its account is exhausted', ask: '[[fail=quota429]]' },
  { name: "it rejects the gate's credential with 400", ask: '[[fail=400]]', blameless: true },
  { name: "it rejects the gate's credential with 401", ask: '[[fail=401]]', blameless: true },
  { name: 'it rejects the origin with 403', ask: '[[fail=403]]' },
  { name: 'it fails with 500', ask: '[[fail=500]]', blameless: true },
  { name: 'it is not ready (503)', ask: '[[fail=503]]', blameless: true },
  { name: 'its model fails', ask: '[[errorevent]]', blameless: true },
  { name: 'it responds with status 200 and a JSON error', ask: '[[plainjson]]', blameless: true },
];

describe('chat widget, errors', () => {
  let testbed;
  before(async () => {
    // Without a queue, so that a question over the limit is rejected.
    testbed = await startTestbed({ browser: true, start: (options) => startGate({ ...options, options: 'queue 0' }) });
  });
  after(() => testbed?.close());

  for (const version of WIDGET_VERSIONS) {
    for (const mode of PROXY_MODES) {
      const scenario = (name, body) => test(`${version}, ${mode}: ${name}`, (t) => testbed.scenario(body)(t));
      const widget = (token = 'agent') => testbed.widget(version, {
        apiHost: testbed.gate.url(mode), apiKey: testbed.keys.tokens[token],
      });

      scenario('all invalid keys get the same error, repeatedly', async () => {
        const sentences = new Set();
        for (const token of ['unknown', 'expired', 'early', 'disabled']) {
          await testbed.stub.reset();
          const chat = await widget(token);
          sentences.add(assertErrorShown(await chat.ask(QUESTION)));
          sentences.add(assertErrorShown(await chat.ask('And now?')));
          assert.deepEqual(await testbed.stub.calls(), [], `the request with the ${token} key went upstream`);
        }
        assert.equal(sentences.size, 1, `the errors distinguish keys: ${JSON.stringify([...sentences])}`);
      });

      for (const { name, ask, blameless } of BACKEND_ERRORS) {
        scenario(`the backend: ${name}`, async () => {
          const chat = await widget();
          const sentence = assertErrorShown(await chat.ask(`${QUESTION} ${ask}`));
          if (blameless) assert.doesNotMatch(sentence, BLAME);
          assertAnswered(await chat.ask(QUESTION), testbed.keys);
        });
      }

      scenario('its key has too many answers in flight', async () => {
        const chat = await widget();
        await testbed.stub.reset();
        const busy = Array.from({ length: 16 }, () => fetch(`${testbed.gate.url(mode)}/stream`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ question: `${QUESTION} [[wait=60]]`, api_key: testbed.keys.tokens.agent }),
        }));
        try {
          await waitFor('all are with the backend', async () => (await testbed.stub.calls()).length === busy.length);
          const sentence = assertErrorShown(await chat.ask(QUESTION));
          assert.match(sentence, /try again in a few seconds/);
          assert.doesNotMatch(sentence, BLAME);
          assert.equal((await testbed.stub.calls()).length, busy.length, 'the question went to the backend');
        } finally {
          await testbed.stub.stop(); // which ends them
          await Promise.allSettled(busy);
          await testbed.stub.start();
        }
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
      });

      scenario('the backend is down, and comes back', async () => {
        const chat = await widget();
        await testbed.stub.stop();
        try {
          assert.doesNotMatch(assertErrorShown(await chat.ask(QUESTION)), BLAME);
        } finally {
          await testbed.stub.start();
        }
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
      });

      scenario('the backend dies before the first word', async () => {
        const chat = await widget();
        await chat.send(`${QUESTION} [[wait=60]]`);
        await waitFor('the question has reached the backend', async () => (await testbed.stub.calls()).some((c) => c.body.includes('wait=60')));
        await testbed.stub.stop();
        try {
          assert.doesNotMatch(assertErrorShown(await chat.finished()), BLAME);
        } finally {
          await testbed.stub.start();
        }
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
      });
    }
  }
});
