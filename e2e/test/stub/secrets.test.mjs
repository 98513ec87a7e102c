// The gate writes no key and no token to any log or file, in all error cases, at log level DEBUG.
//
// The other test files also search their gate's files, when they close their testbed. These requests are made for it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { findSecrets } from '../../lib/secrets.mjs';
import { startTestbed } from '../../lib/testbed.mjs';

describe('secrets', () => {
  let testbed;
  before(async () => { testbed = await startTestbed(); });
  after(() => testbed?.close());

  for (const mode of PROXY_MODES) {
    test(`${mode}: no key or token in any log, output or file`, (t) => testbed.scenario(async () => {
      const { tokens, agents, upstreamToken } = testbed.keys;
      const presented = [...Object.values(tokens), agents.handbook, upstreamToken];
      for (const token of presented) await everywhere(token);
      for (const fault of ['[[fail=400]]', '[[fail=401]]', '[[fail=500]]', '[[cut]]', '[[plainjson]]', '[[errorevent]]']) {
        await everywhere(tokens.agent, fault);
        await everywhere(tokens.source, fault);
      }
      await testbed.stub.stop();
      try {
        await everywhere(tokens.agent);
        await everywhere(tokens.source);
      } finally {
        await testbed.stub.start();
      }

      assert.match(testbed.gate.log(), /"status":\s?401/, 'the log is empty, so the search proves nothing');
      assert.match(testbed.gate.log(), /by-agent/, 'the log does not contain the id of the key');
      assert.deepEqual(findSecrets(testbed.dir, testbed.keys.secrets), []);
    })(t));

    /** Presents the token in all places of a request, correct and wrong ones. */
    async function everywhere(token, question = 'How do I reset the device?') {
      const base = testbed.gate.url(mode);
      const json = { 'Content-Type': 'application/json' };
      const bearer = { Authorization: `Bearer ${token}` };
      const body = JSON.stringify({ question, history: '[]', api_key: token });
      const chat = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: question }] });
      const q = encodeURIComponent(token);
      for (const [method, path, headers, content] of [
        ['POST', '/stream', json, body],
        ['POST', '/api/answer', json, body],
        ['POST', '/api/search', json, body],
        ['POST', '/api/feedback', json, body],
        ['POST', '/stream', json, `${body}x`],
        ['POST', '/stream', { ...json, ...bearer }, body],
        ['POST', `/stream?api_key=${q}`, json, body],
        ['POST', '/v1/chat/completions', { ...json, ...bearer }, chat],
        ['POST', '/v1/chat/completions', { ...json, Authorization: token }, chat],
        ['GET', '/v1/models', bearer],
        ['GET', `/v1/models?api_key=${q}`, { 'X-Api-Key': token, Cookie: `key=${token}` }],
        ['GET', `/api/nothing?api_key=${q}`, {}],
      ]) {
        const response = await fetch(`${base}${path}`, { method, headers, body: content });
        await response.text().catch(() => {}); // some faults truncate the response
      }
    }
  }

  test('the search finds an existing text', () => {
    // The key file holds digests only, so the test searches for the id of a key.
    assert.deepEqual(findSecrets(testbed.dir, { 'the id of a key': 'by-agent' }).includes('keys.yaml: the id of a key'), true);
  });
});
