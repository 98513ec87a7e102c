// Streams of DocsGPT that the published widgets cannot parse. Through the gate they show the whole answer, or the text so
// far and a readable note, and the widget accepts the next question.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertAnswered, assertHumanReadable } from '../../lib/assertions.mjs';
import { dataEvents } from '../../lib/data-events.mjs';
import { PROXY_MODES, PROXY_READ_TIMEOUT_MS } from '../../lib/gate.mjs';
import { startTestbed } from '../../lib/testbed.mjs';
import { WIDGET_VERSIONS } from '../../lib/widget-packages.mjs';

const QUESTION = 'How do I reset the device?';

const HARD_STREAMS = [
  { name: 'a slow first byte', ask: '[[wait=1.5]]' },
  { name: 'keepalive comments, followed by silence', ask: '[[keepalive]] [[gap=1]]' },
  { name: 'events split into small writes', ask: '[[split]] [[words=40]]' },
  { name: 'multibyte characters', ask: '[[unicode]] [[split]]' },
  // Larger events are not safe: an HTTP/1 server sends an event of more than about 4 kB in several writes, and the browser
  // passes these to the widget one by one.
  { name: 'an event of 3 kB', ask: '[[big=3000]]' },
];

describe('chat widget, hard streams', () => {
  let testbed;
  before(async () => { testbed = await startTestbed({ browser: true }); });
  after(() => testbed?.close());

  for (const version of WIDGET_VERSIONS) {
    for (const mode of PROXY_MODES) {
      const scenario = (name, body) => test(`${version}, ${mode}: ${name}`, (t) => testbed.scenario(body)(t));
      const widget = () => testbed.widget(version, { apiHost: testbed.gate.url(mode), apiKey: testbed.keys.tokens.agent });

      for (const { name, ask } of HARD_STREAMS) {
        scenario(`the whole answer is there after ${name}`, async () => {
          const chat = await widget();
          const question = `${QUESTION} ${ask}`;
          const turn = await chat.ask(question);
          assertAnswered(turn, testbed.keys);
          const [shown, whole] = [normalizeSpace(turn.answer), normalizeSpace(await wholeAnswer(question))];
          assert.ok(shown === whole, `${shown.length} of ${whole.length} characters are shown, the last: ${shown.slice(-60)}`);
          assertAnswered(await chat.ask(QUESTION), testbed.keys);
        });
      }

      scenario('behind a proxy with a timeout, silence before the answer and within it', async () => {
        const silence = 2.5 * PROXY_READ_TIMEOUT_MS / 1000;
        const chat = await testbed.widget(version, { apiHost: testbed.gate.proxyURL(mode), apiKey: testbed.keys.tokens.agent });
        const question = `${QUESTION} [[wait=${silence}]] [[gap=${silence}]]`;
        const turn = await chat.ask(question);
        assertAnswered(turn, testbed.keys);
        assert.equal(normalizeSpace(turn.answer), normalizeSpace(await wholeAnswer(question)));
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
      });

      // The browser passes so large an event to the widget in pieces, and the widget parses each piece separately.
      scenario('an event of 1 MB: the text before it remains, and the next question works', async () => {
        const chat = await widget();
        const turn = await chat.ask(`${QUESTION} [[big=1000000]]`);
        assert.match(turn.answer, /^stub answer:/, 'the text before it is lost');
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
      });

      scenario('a truncated stream: the text so far, and a note that it is incomplete', async () => {
        const chat = await widget();
        const turn = await chat.ask(`${QUESTION} [[cut]]`);
        assert.match(turn.answer, /^stub answer:/, 'the text so far is lost');
        assert.match(turn.answer, /\b(interrupted|incomplete)\b/, 'nothing says that the answer is incomplete');
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
      });

      scenario('a stream without an end event: the text is shown', async () => {
        const chat = await widget();
        assertAnswered(await chat.ask(`${QUESTION} [[noend]]`), testbed.keys);
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
      });
    }
  }

  for (const mode of PROXY_MODES) {
    for (const fault of ['cut', 'noend']) {
      test(`${mode}: a stream with [[${fault}]] ends in an error event with a readable message`, (t) => testbed.scenario(async () => {
        const response = await fetch(`${testbed.gate.url(mode)}/stream`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ question: `[[${fault}]]`, history: '[]', api_key: testbed.keys.tokens.agent }),
        });
        const last = dataEvents(await response.text()).at(-1);
        assert.equal(last.type, 'error');
        assertHumanReadable(last.error);
      })(t));
    }
  }

  /** Returns the answer of the backend without streaming. */
  async function wholeAnswer(question) {
    const response = await fetch(`${testbed.stub.url}/api/answer`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ question, history: '[]', api_key: testbed.keys.agents.handbook }),
    });
    assert.equal(response.status, 200);
    return (await response.json()).answer;
  }
});

/** Normalizes whitespace: the widget's Markdown joins lines and drops trailing spaces. */
function normalizeSpace(text) {
  return text.replace(/\s+/g, ' ').trim();
}
