// What readers see when there is no answer: a sentence, in a widget that takes the next question. Most of these hang,
// empty or unmount the published widgets when they arrive as DocsGPT sends them.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { WIDGET_VERSIONS } from '../lib/bundles.mjs';
import { assertAnswered, assertToldWhy } from '../lib/expect.mjs';
import { WAYS } from '../lib/gate.mjs';
import { until } from '../lib/until.mjs';
import { startWorld } from '../lib/world.mjs';

const QUESTION = 'How do I reset the device?';

/** Words that would blame the reader's key, which the gate has found good. */
const BLAME = /\b(key|token|credential|unauthori[sz]ed)\b/i;

/** Refusals of the backend, by the switch in the question that causes them. */
const REFUSALS = [
  { name: 'its limit is reached', ask: '[[fail=429]]' },
  { name: 'the quota of its account is used up', ask: '[[fail=quota429]]' },
  { name: "it takes the gate's credential for wrong (400)", ask: '[[fail=400]]', blameless: true },
  { name: "it refuses the gate's credential (401)", ask: '[[fail=401]]', blameless: true },
  { name: 'it refuses the origin with 403', ask: '[[fail=403]]' },
  { name: 'it fails with 500', ask: '[[fail=500]]', blameless: true },
  { name: 'it is not ready (503)', ask: '[[fail=503]]', blameless: true },
  { name: 'its model fails', ask: '[[errorevent]]', blameless: true },
  { name: 'it answers 200 with a JSON error', ask: '[[plainjson]]', blameless: true },
];

describe('chat widget, refused', () => {
  let world;
  before(async () => { world = await startWorld({ browser: true }); });
  after(() => world?.close());

  for (const version of WIDGET_VERSIONS) {
    for (const way of WAYS) {
      const scenario = (name, body) => test(`${version}, ${way}: ${name}`, (t) => world.scenario(body)(t));
      const widget = (token = 'agent') => world.widget(version, {
        apiHost: world.gate.url(way), apiKey: world.keys.tokens[token],
      });

      scenario('every key that does not count gets the same sentence, again and again', async () => {
        const sentences = new Set();
        for (const token of ['unknown', 'expired', 'early', 'disabled']) {
          await world.stub.forget();
          const chat = await widget(token);
          sentences.add(assertToldWhy(await chat.ask(QUESTION)));
          sentences.add(assertToldWhy(await chat.ask('And now?')));
          assert.deepEqual(await world.stub.calls(), [], `the request with the ${token} key went upstream`);
        }
        assert.equal(sentences.size, 1, `they tell keys apart: ${JSON.stringify([...sentences])}`);
      });

      for (const { name, ask, blameless } of REFUSALS) {
        scenario(`the backend: ${name}`, async () => {
          const chat = await widget();
          const sentence = assertToldWhy(await chat.ask(`${QUESTION} ${ask}`));
          if (blameless) assert.doesNotMatch(sentence, BLAME);
          assertAnswered(await chat.ask(QUESTION), world.keys);
        });
      }

      scenario('the backend is down, and comes back', async () => {
        const chat = await widget();
        await world.stub.stop();
        try {
          assert.doesNotMatch(assertToldWhy(await chat.ask(QUESTION)), BLAME);
        } finally {
          await world.stub.start();
        }
        assertAnswered(await chat.ask(QUESTION), world.keys);
      });

      scenario('the backend dies before the first word', async () => {
        const chat = await widget();
        await chat.send(`${QUESTION} [[wait=60]]`);
        await until('the question is with the backend', async () => (await world.stub.calls()).some((c) => c.body.includes('wait=60')));
        await world.stub.stop();
        try {
          assert.doesNotMatch(assertToldWhy(await chat.settled()), BLAME);
        } finally {
          await world.stub.start();
        }
        assertAnswered(await chat.ask(QUESTION), world.keys);
      });
    }
  }
});
