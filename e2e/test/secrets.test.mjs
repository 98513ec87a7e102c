// No key and no token in anything that the gate writes, whatever goes wrong, with the log at its most talkative.
//
// Each other test file searches its gate's files too, when it closes its world. Here the requests are made for it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { WAYS } from '../lib/gate.mjs';
import { findSecrets } from '../lib/secrets.mjs';
import { startWorld } from '../lib/world.mjs';

describe('secrets', () => {
  let world;
  before(async () => { world = await startWorld(); });
  after(() => world?.close());

  for (const way of WAYS) {
    test(`${way}: no key or token in any log, output or file`, (t) => world.scenario(async () => {
      const { tokens, agents, upstreamToken } = world.keys;
      const presented = [...Object.values(tokens), agents.handbook, upstreamToken];
      for (const token of presented) await everywhere(token);
      for (const trouble of ['[[fail=400]]', '[[fail=401]]', '[[fail=500]]', '[[cut]]', '[[plainjson]]', '[[errorevent]]']) {
        await everywhere(tokens.agent, trouble);
        await everywhere(tokens.source, trouble);
      }
      await world.stub.stop();
      try {
        await everywhere(tokens.agent);
        await everywhere(tokens.source);
      } finally {
        await world.stub.start();
      }

      assert.match(world.gate.log(), /"status":\s?401/, 'the log was not written, so that the search proves nothing');
      assert.match(world.gate.log(), /by-agent/, 'the log does not name the key by its id');
      assert.deepEqual(findSecrets(world.dir, world.keys.secrets), []);
    })(t));

    /** Presents the token wherever a client can put it, right places and wrong ones. */
    async function everywhere(token, question = 'How do I reset the device?') {
      const base = world.gate.url(way);
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
        await response.text().catch(() => {}); // a cut answer is one of the troubles
      }
    }
  }

  test('the search finds a secret when there is one', () => {
    // The key file holds digests only, the stub's output its addresses: look for something that is surely there.
    assert.deepEqual(findSecrets(world.dir, { 'the id of a key': 'by-agent' }).includes('keys.yaml: the id of a key'), true);
  });
});
