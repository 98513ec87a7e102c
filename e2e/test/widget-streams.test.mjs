// Streams that the published widgets cannot read as DocsGPT sends them: through the gate the whole answer is there, or
// what came of it and a sentence, and the widget takes the next question.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { WIDGET_VERSIONS } from '../lib/bundles.mjs';
import { assertAnswered, assertSentence } from '../lib/expect.mjs';
import { WAYS } from '../lib/gate.mjs';
import { startWorld } from '../lib/world.mjs';

const QUESTION = 'How do I reset the device?';

const HARD_STREAMS = [
  { name: 'a slow first byte', ask: '[[wait=1.5]]' },
  { name: 'keepalive comments, and silence after them', ask: '[[keepalive]] [[gap=1]]' },
  { name: 'events cut into small writes', ask: '[[split]] [[words=40]]' },
  { name: 'characters of several bytes', ask: '[[unicode]] [[split]]' },
  // Larger ones are not safe: over some 4 kB an HTTP/1 server sends an event in more than one write, and the browser
  // hands these to the widget one by one.
  { name: 'an event of 3 kB', ask: '[[big=3000]]' },
];

describe('chat widget, hard streams', () => {
  let world;
  before(async () => { world = await startWorld({ browser: true }); });
  after(() => world?.close());

  for (const version of WIDGET_VERSIONS) {
    for (const way of WAYS) {
      const scenario = (name, body) => test(`${version}, ${way}: ${name}`, (t) => world.scenario(body)(t));
      const widget = () => world.widget(version, { apiHost: world.gate.url(way), apiKey: world.keys.tokens.agent });

      for (const { name, ask } of HARD_STREAMS) {
        scenario(`the whole answer is there after ${name}`, async () => {
          const chat = await widget();
          const question = `${QUESTION} ${ask}`;
          const turn = await chat.ask(question);
          assertAnswered(turn, world.keys);
          const [shown, whole] = [squeeze(turn.answer), squeeze(await wholeAnswer(question))];
          assert.ok(shown === whole, `shown are ${shown.length} of ${whole.length} characters, the last: ${shown.slice(-60)}`);
          assertAnswered(await chat.ask(QUESTION), world.keys);
        });
      }

      // The browser hands so large an event to the widget in pieces, whoever sends it, and the widget reads each by itself.
      scenario('an event of 1 MB: what came before it stays, and the next question works', async () => {
        const chat = await widget();
        const turn = await chat.ask(`${QUESTION} [[big=1000000]]`);
        assert.match(turn.answer, /^stub answer:/, 'the text before it is lost');
        assertAnswered(await chat.ask(QUESTION), world.keys);
      });

      scenario('a stream that is cut: the text so far, and a sentence that it is not all', async () => {
        const chat = await widget();
        const turn = await chat.ask(`${QUESTION} [[cut]]`);
        assert.match(turn.answer, /^stub answer:/, 'the text so far is lost');
        assert.match(turn.answer, /\b(interrupted|incomplete)\b/, 'the reader takes it for the whole answer');
        assertAnswered(await chat.ask(QUESTION), world.keys);
      });

      scenario('a stream that ends without saying so: the text is there', async () => {
        const chat = await widget();
        assertAnswered(await chat.ask(`${QUESTION} [[noend]]`), world.keys);
        assertAnswered(await chat.ask(QUESTION), world.keys);
      });
    }
  }

  for (const way of WAYS) {
    for (const trouble of ['cut', 'noend']) {
      test(`${way}: a stream with [[${trouble}]] ends in an error event with a sentence`, (t) => world.scenario(async () => {
        const response = await fetch(`${world.gate.url(way)}/stream`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ question: `[[${trouble}]]`, history: '[]', api_key: world.keys.tokens.agent }),
        });
        const events = (await response.text()).trimEnd().split('\n\n');
        for (const event of events) assert.match(event, /^data: \{.*\}$/, 'not one whole data line');
        const last = JSON.parse(events.at(-1).slice('data: '.length));
        assert.equal(last.type, 'error');
        assertSentence(last.error);
      })(t));
    }
  }

  /** The answer as the backend gives it in one piece. */
  async function wholeAnswer(question) {
    const response = await fetch(`${world.stub.url}/api/answer`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ question, history: '[]', api_key: world.keys.agents.handbook }),
    });
    assert.equal(response.status, 200);
    return (await response.json()).answer;
  }
});

/** Markdown joins lines and drops blanks at their ends; that is no difference here. */
function squeeze(text) {
  return text.replace(/\s+/g, ' ').trim();
}
