// The curl commands of DocsGPT's API guide, with the gate's address and a key of the gate.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { assertFromHandbook, assertHumanReadable } from '../../lib/assertions.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { startTestbed } from '../../lib/testbed.mjs';

const QUESTION = 'How do I reset the device?';
const JSON_TYPE = ['-H', 'Content-Type: application/json'];

describe('curl', () => {
  let testbed;
  before(async () => { testbed = await startTestbed(); });
  after(() => testbed?.close());

  for (const mode of PROXY_MODES) {
    const scenario = (name, body) => test(`${mode}: ${name}`, (t) => testbed.scenario(body)(t));
    const url = (path) => `${testbed.gate.url(mode)}${path}`;
    const data = (token, more = {}) => ['-d', JSON.stringify({ question: QUESTION, api_key: testbed.keys.tokens[token], ...more })];

    for (const token of ['agent', 'source']) {
      for (const [name, more] of [['as in the guide', {}], ['with a history', { history: '[]' }]]) {
        scenario(`POST /api/answer ${name} (key bound to ${token})`, async () => {
          const { status, body } = await curl('-X', 'POST', url('/api/answer'), ...JSON_TYPE, ...data(token, more));
          assert.equal(status, 200, body);
          const answer = JSON.parse(body);
          assertFromHandbook(answer.answer, testbed.keys);
          assert.match(answer.conversation_id, /^[0-9a-f-]{36}\.[\w-]{24}$/);
        });
      }

      scenario(`POST /stream as in the guide (key bound to ${token})`, async () => {
        const { status, body } = await curl(
          '-N', '-X', 'POST', url('/stream'), ...JSON_TYPE, '-H', 'Accept: text/event-stream', ...data(token),
        );
        assert.equal(status, 200, body);
        const events = body.split('\n').filter((line) => line.startsWith('data: ')).map((line) => JSON.parse(line.slice(6)));
        assertFromHandbook(events.map((event) => event.answer ?? '').join(''), testbed.keys);
        assert.equal(events.at(-1).type, 'end');
      });
    }

    scenario('an invalid key: 401 with a readable error', async () => {
      const { status, body } = await curl('-X', 'POST', url('/api/answer'), ...JSON_TYPE, ...data('unknown'));
      assert.equal(status, 401);
      assertHumanReadable(JSON.parse(body).error);
    });

    scenario('without the content type: a readable error, not forwarded', async () => {
      await testbed.stub.reset();
      const { status, body } = await curl('-X', 'POST', url('/api/answer'), ...data('agent'));
      assert.equal(status, 415, body);
      assertHumanReadable(JSON.parse(body).error);
      assert.deepEqual(await testbed.stub.calls(), []);
    });

    scenario('GET /api/health', async () => {
      const { status, body } = await curl(url('/api/health'));
      assert.equal(status, 200, body);
    });
  }
});

/** Runs curl. Returns the status and the body of the response. */
async function curl(...args) {
  const { stdout } = await promisify(execFile)('curl', ['-sS', '--max-time', '20', '-w', '\n%{http_code}', ...args]);
  const cut = stdout.lastIndexOf('\n');
  return { status: Number(stdout.slice(cut + 1)), body: stdout.slice(0, cut) };
}
