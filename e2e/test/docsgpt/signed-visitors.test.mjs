// Signed visitors with a real DocsGPT: the owner finds their questions in DocsGPT's Logs by the visitor that the gate has verified.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { describe, test } from 'node:test';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { signVisitor } from '../../lib/visitor-tokens.mjs';
import { waitFor } from '../../lib/wait-for.mjs';
import { STACK } from '../../lib/docsgpt/stack-info.mjs';
import { answerOf, documentsIn } from '../../lib/docsgpt/classify-response.mjs';
import { DocsGPTClient } from '../../lib/docsgpt/docsgpt-client.mjs';
import { QUESTION } from '../../lib/docsgpt/stack.mjs';
import { sendRaw } from '../../lib/docsgpt/raw-http.mjs';

const { urls, tokens, signSecret } = STACK.gate;
const owner = new DocsGPTClient(STACK.api.login, STACK.ownerSession);
const newVisitor = () => `v-${crypto.randomUUID()}`;

/** A client's own facts, which must reach neither the Logs nor a prompt. */
const FORGED = { docsgate_key: 'agent', docsgate_visitor: 'v-forged', plan: 'gold' };

/** Asks a question at an endpoint, with the token where the clients of the endpoint have it. */
function ask(mode, path, token) {
  if (path !== '/v1/chat/completions') {
    return sendRaw(urls[mode].login, { path, json: { question: QUESTION, api_key: token, passthrough: FORGED } });
  }
  return sendRaw(urls[mode].login, {
    path,
    headers: { Authorization: `Bearer ${token}` },
    json: { model: 'docsgpt', messages: [{ role: 'user', content: QUESTION }], user: 'v-forged', docsgpt: { passthrough: FORGED } },
  });
}

for (const mode of PROXY_MODES) {
  describe(`${mode}: DocsGPT's Logs`, () => {
    for (const [key, paths] of Object.entries({
      signed: ['/stream', '/api/answer', '/v1/chat/completions'], signedSource: ['/stream', '/api/answer'],
    })) {
      for (const path of paths) {
        test(`${path} with a token for the key "${key}": the entry has the visitor and the key`, async () => {
          const visitor = newVisitor();
          const response = await ask(mode, path, signVisitor(key, visitor, signSecret));
          assert.equal(response.status, 200, response.text);
          assert.deepEqual(documentsIn(answerOf(response)), ['handbook'], response.text);
          // DocsGPT writes the entry after the answer.
          const entries = await waitFor('the Logs have the answer', async () => {
            const found = await owner.answersInLogs({ docsgate_visitor: visitor });
            return found.length > 0 && found;
          });
          assert.equal(entries.length, 1);
          assert.equal(entries[0].question, QUESTION);
          assert.deepEqual(entries[0].passthrough, { docsgate_key: key, docsgate_visitor: visitor });
          assert.equal((await owner.answersInLogs({ docsgate_key: key, docsgate_visitor: visitor })).length, 1);
          assert.deepEqual(await owner.answersInLogs({ docsgate_visitor: 'v-forged' }), []);
          assert.deepEqual(await owner.answersInLogs({ docsgate_visitor: newVisitor() }), []);
        });
      }
    }

    test("the key's own token is rejected, and nothing is logged", async () => {
      const before = await owner.answersInLogs({ docsgate_key: 'signed' });
      for (const path of ['/stream', '/api/answer', '/v1/chat/completions']) {
        assert.equal((await ask(mode, path, tokens.signed)).status, 401, path);
      }
      assert.equal((await owner.answersInLogs({ docsgate_key: 'signed' })).length, before.length);
    });
  });
}
