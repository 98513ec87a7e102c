// Signed visitors in the published widgets: a token of `docsgate keys sign` as the apiKey gets answers, an expired one asks the
// user to reload the page, and the key's own token is rejected if visitors are required.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertErrorShown, assertFromHandbook } from '../../lib/assertions.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { makeKeys } from '../../lib/keys.mjs';
import { mountSearchBar } from '../../lib/search-bar.mjs';
import { startTestbed } from '../../lib/testbed.mjs';
import { newSignSecret, signExpiredVisitor, signVisitor } from '../../lib/visitor-tokens.mjs';
import { waitFor } from '../../lib/wait-for.mjs';
import { WIDGET_VERSIONS } from '../../lib/widget-packages.mjs';
import { serveSite } from '../../lib/widget-site.mjs';
import { mountWidget } from '../../lib/widget.mjs';

const QUESTION = 'How do I reset the device?';
const SEARCH_VERSION = '0.5.1';
const EXPIRED = 'Your session has expired. Please reload the page.';
const REQUIRED = 'This page needs a token for each visitor. Please reload the page.';

/** The turn is a complete answer from the handbook. The gate has added the facts of a signed visitor, and nothing else. */
function assertAnswered(turn, keys, signed) {
  assert.equal(turn.error, '', 'an error instead of an answer');
  const withoutFacts = turn.answer.replace(' live=passthrough ', ' ');
  assert.equal(withoutFacts !== turn.answer, signed, `whether the backend got facts: ${turn.answer}`);
  assertFromHandbook(withoutFacts, keys);
}

describe('signed visitors', () => {
  const secret = newSignSecret();
  const tokens = {};
  let site;
  let testbed;
  before(async () => {
    site = await serveSite();
    const keys = makeKeys({
      policies: {
        required: { visitors: 'required', sign_secret: '{env.E2E_SIGN_SECRET}', kind: 'publishable', origins: [site.origin] },
        optional: { visitors: 'optional', sign_secret: '{env.E2E_SIGN_SECRET}' },
      },
    });
    keys.env.E2E_SIGN_SECRET = secret;
    Object.assign(tokens, {
      signed: signVisitor('required', 'u-42', secret, ['--origin', site.origin]),
      'signed for a key with optional visitors': signVisitor('optional', 'u-42', secret),
      'signed for another page': signVisitor('required', 'u-42', secret, ['--origin', 'https://other.example']),
      'signed with another secret': signVisitor('required', 'u-42', newSignSecret()),
      expired: signExpiredVisitor('required', 'u-42', secret),
      'own token of a key with required visitors': keys.tokens.required,
      'own token of a key with optional visitors': keys.tokens.optional,
    });
    Object.assign(keys.secrets, { 'secret of signed visitors': secret, ...tokens });
    testbed = await startTestbed({ browser: true, keys });
  });
  after(async () => {
    await testbed?.close();
    await site?.stop();
  });

  const props = (mode, token) => ({ apiHost: testbed.gate.url(mode), apiKey: tokens[token] });

  for (const mode of PROXY_MODES) {
    for (const version of WIDGET_VERSIONS) {
      const scenario = (name, body) => test(`${version}, ${mode}: ${name}`, (t) => testbed.scenario(body)(t));
      const widget = async (token) => mountWidget(await testbed.visit(site.page(version)), props(mode, token));

      for (const token of [
        'signed', 'signed for a key with optional visitors', 'own token of a key with optional visitors',
      ]) {
        scenario(`${token}: answers, also in the same conversation`, async () => {
          const chat = await widget(token);
          for (const question of [QUESTION, 'And after that?']) {
            assertAnswered(await chat.ask(question), testbed.keys, token.startsWith('signed'));
          }
          assert.deepEqual(chat.page.trail.errors, []);
        });
      }

      for (const [token, sentence] of [['expired', EXPIRED], ['own token of a key with required visitors', REQUIRED]]) {
        scenario(`${token}: asks to reload the page, repeatedly`, async () => {
          await testbed.stub.reset();
          const chat = await widget(token);
          for (const question of [QUESTION, 'And now?']) assert.equal(assertErrorShown(await chat.ask(question)), sentence);
          assert.deepEqual(await testbed.stub.calls(), [], 'a request went upstream');
        });
      }

      scenario('signed with another secret: the error of an unknown key', async () => {
        await testbed.stub.reset();
        const chat = await widget('signed with another secret');
        assert.match(assertErrorShown(await chat.ask(QUESTION)), /API key/);
        assert.deepEqual(await testbed.stub.calls(), [], 'a request went upstream');
      });

      scenario('signed for another page: no answer', async () => {
        await testbed.stub.reset();
        const chat = await widget('signed for another page');
        const turn = await chat.ask(QUESTION);
        assert.equal(turn.answer, '');
        assert.notEqual(turn.error, '');
        assert.deepEqual(await testbed.stub.calls(), [], 'a request went upstream');
      });
    }

    test(`${mode}: the verified facts reach DocsGPT, and those of the client do not`, (t) => testbed.scenario(async () => {
      await testbed.stub.reset();
      const page = await testbed.visit(site.page());
      const status = await page.evaluate(async ([url, body]) => {
        const response = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
        return response.status;
      }, [`${testbed.gate.url(mode)}/api/answer`, JSON.stringify({
        question: QUESTION, api_key: tokens.signed, passthrough: { docsgate_visitor: 'u-1', plan: 'gold' },
      })]);
      assert.equal(status, 200);
      const [call] = await testbed.stub.calls();
      assert.deepEqual(JSON.parse(call.body).passthrough, { docsgate_key: 'required', docsgate_visitor: 'u-42' });
    })(t));

    test(`search bar, ${mode}: a signed token finds the source of its key`, (t) => testbed.scenario(async () => {
      const bar = await mountSearchBar(await testbed.visit(site.page(SEARCH_VERSION)), props(mode, 'signed'));
      await bar.search('reset');
      await waitFor('a result', async () => /handbook/i.test(await bar.shown()));
    })(t));

    test(`${mode}: with required visitors every endpoint rejects the key's own token`, async () => {
      await testbed.stub.reset();
      const own = tokens['own token of a key with required visitors'];
      const requests = {
        '/stream': { question: QUESTION, api_key: own },
        '/api/answer': { question: QUESTION, api_key: own },
        '/api/search': { question: QUESTION, api_key: own },
        '/v1/chat/completions': { model: 'docsgpt', messages: [{ role: 'user', content: QUESTION }] },
        '/mcp': { jsonrpc: '2.0', id: 1, method: 'tools/list' },
      };
      for (const [path, body] of Object.entries(requests)) {
        const response = await fetch(testbed.gate.url(mode) + path, {
          method: 'POST',
          headers: {
            'Content-Type': 'application/json', Accept: 'application/json, text/event-stream', Origin: site.origin,
            ...(path === '/v1/chat/completions' || path === '/mcp' ? { Authorization: `Bearer ${own}` } : {}),
          },
          body: JSON.stringify(body),
        });
        assert.equal(response.status, 401, path);
        assert.match(await response.text(), /visitor_required|Please reload the page/, path);
      }
      assert.deepEqual(await testbed.stub.calls(), [], 'a request went upstream');
    });
  }
});
