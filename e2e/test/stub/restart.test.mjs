// A restart of the gate in the middle of conversations: the published chat widgets go on as if nothing had happened.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertAnswered } from '../../lib/assertions.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { startTestbed } from '../../lib/testbed.mjs';
import { WIDGET_VERSIONS } from '../../lib/widget-packages.mjs';

const QUESTION = 'How do I reset the device?';
const BARE = /^[0-9a-f-]{36}$/;

describe('restart', () => {
  let testbed;
  before(async () => { testbed = await startTestbed({ browser: true }); });
  after(() => testbed?.close());

  for (const version of WIDGET_VERSIONS) {
    for (const mode of PROXY_MODES) {
      const scenario = (name, body) => test(`${version}, ${mode}: ${name}`, (t) => testbed.scenario(body)(t));
      const widget = (token) => testbed.widget(version, {
        apiHost: testbed.gate.url(mode), apiKey: testbed.keys.tokens[token],
      });
      const questions = async () => (await testbed.stub.calls()).filter((c) => c.path === '/stream' && c.method === 'POST');

      for (const token of ['agent', 'source']) {
        scenario(`a conversation of a key bound to ${token === 'agent' ? 'an agent' : 'a source'} goes on`, async () => {
          await testbed.stub.reset();
          const chat = await widget(token);
          assert.match((await chat.ask(QUESTION)).answer, /turns=1\b/);
          assert.match((await chat.ask('And then?')).answer, /turns=2\b/);
          await testbed.gate.restart();
          const third = await chat.ask('And after that?');
          assertAnswered(third, testbed.keys);
          assert.match(third.answer, /turns=3\b/);
          const ids = (await questions()).slice(1).map((call) => call.json.conversation_id);
          assert.match(ids[0], BARE);
          assert.equal(ids[1], ids[0]);
        });
      }

      scenario('another key cannot continue it, before or after', async () => {
        const chat = await widget('agent');
        const answered = chat.page.waitForResponse((r) => r.url().endsWith('/stream') && r.request().method() === 'POST');
        await chat.ask(QUESTION);
        const id = (await (await answered).text()).match(/"type": "id", "id": "([^"]+)"/)[1];
        assert.match(id, /^[0-9a-f-]{36}\.[\w-]{24}$/);
        for (const restart of [false, true]) {
          if (restart) await testbed.gate.restart();
          for (const [token, turns] of [['source', 1], ['agent', restart ? 3 : 2]]) {
            const response = await fetch(`${testbed.gate.url(mode)}/api/answer`, {
              method: 'POST', headers: { 'Content-Type': 'application/json' },
              body: JSON.stringify({ question: QUESTION, api_key: testbed.keys.tokens[token], conversation_id: id }),
            });
            const text = await response.text();
            assert.equal(response.status, 200, `${token}, restart: ${restart}: ${text}`);
            assert.match(JSON.parse(text).answer, new RegExp(`turns=${turns}\\b`), `${token}, restart: ${restart}: ${text}`);
          }
        }
      });

      if (version !== '0.4.7') { // 0.4.7 sends feedback without a conversation id
        scenario('feedback on an answer from before is accepted', async () => {
          const chat = await widget('agent');
          await chat.ask(QUESTION);
          await testbed.gate.restart();
          const { status } = await chat.like();
          assert.equal(status, 200);
          const call = (await testbed.stub.calls()).filter((c) => c.path === '/api/feedback' && c.method === 'POST').at(-1);
          assert.match(call.json.conversation_id, BARE);
        });
      }
    }
  }
});
