// Signed visitors of a key in the store: a server gets a token from the API, or signs it with the secret that the API has created, and
// the published widgets use it in place of a key.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { assertErrorShown, assertFromHandbook } from '../../lib/assertions.mjs';
import { api, makeConsoleKeys, startConsole } from '../../lib/console.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { startTestbed } from '../../lib/testbed.mjs';
import { WIDGET_VERSIONS } from '../../lib/widget-packages.mjs';
import { serveSite } from '../../lib/widget-site.mjs';
import { mountWidget } from '../../lib/widget.mjs';

const QUESTION = 'How do I reset the device?';

/** The turn is a complete answer from the handbook. The gate has added the facts of a signed visitor, and nothing else. */
function assertAnswered(turn, keys) {
  assert.equal(turn.error, '', 'an error instead of an answer');
  assert.match(turn.answer, / live=passthrough /);
  assertFromHandbook(turn.answer.replace(' live=passthrough ', ' '), keys);
}

/** Signs a token as the server of a page does. */
function sign(secret, key, claims) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const text = `${encode({ alg: 'HS256', kid: key })}.${encode({ iat: now, exp: now + 600, ...claims })}`;
  return `${text}.${crypto.createHmac('sha256', secret).update(text).digest('base64url')}`;
}

describe('signed visitors of a key in the store', () => {
  let site;
  let foreignSite;
  let testbed;
  let key;
  before(async () => {
    site = await serveSite();
    foreignSite = await serveSite();
    testbed = await startTestbed({ browser: true, keys: makeConsoleKeys(), start: startConsole });
    key = await api(testbed, 'POST', '/v1/keys', {
      name: 'Signed visitors', source: testbed.keys.sources.handbook, kind: 'publishable', origins: [site.origin], visitors: 'required',
    });
  });
  after(async () => {
    await testbed?.close();
    await foreignSite?.stop();
    await site?.stop();
  });

  const tokenFor = async (visitor, more = {}) => (await api(testbed, 'POST', `/v1/keys/${key.id}/visitor-tokens`, { visitor, ...more })).token;

  for (const version of WIDGET_VERSIONS) {
    for (const mode of PROXY_MODES) {
      const scenario = (name, body) => test(`${version}, ${mode}: ${name}`, (t) => testbed.scenario(body)(t));
      const widget = async (apiKey, on = site) => mountWidget(await testbed.visit(on.page(version)), { apiHost: testbed.gate.url(mode), apiKey });
      const visitor = `${version}-${mode}`.replaceAll(' ', '-');

      scenario('a token of the API gets answers, and a conversation continues', async () => {
        await testbed.stub.reset();
        const token = await tokenFor(visitor, { origin: site.origin });
        const chat = await widget(token);
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
        const second = await chat.ask('And after that?');
        assertAnswered(second, testbed.keys);
        assert.match(second.answer, /turns=2\b/);
        for (const call of await testbed.stub.calls()) assert.ok(!JSON.stringify(call).includes(token), 'the token went upstream');
        assert.deepEqual(chat.page.trail.errors, []);
      });

      scenario('a token that the server signs gets answers', async () => {
        assertAnswered(await (await widget(sign(key.sign_secret, key.id, { sub: visitor }))).ask(QUESTION), testbed.keys);
      });

      scenario('the token of the key, and an expired token, get an error that says what to do', async () => {
        await testbed.stub.reset();
        const now = Math.floor(Date.now() / 1000);
        for (const [apiKey, expected] of [
          [key.token, 'This page needs a token for each visitor. Please reload the page.'],
          [sign(key.sign_secret, key.id, { sub: visitor, iat: now - 7200, exp: now - 3600 }), 'Your session has expired. Please reload the page.'],
        ]) {
          assert.equal(assertErrorShown(await (await widget(apiKey)).ask(QUESTION)), expected);
        }
        assert.deepEqual(await testbed.stub.calls(), [], 'a request went upstream');
      });

      scenario('a token does not work on another page', async () => {
        await testbed.stub.reset();
        const chat = await widget(await tokenFor(visitor), foreignSite);
        assert.equal((await chat.ask(QUESTION)).answer, '');
        assert.deepEqual(await testbed.stub.calls(), [], 'a request of another page went upstream');
      });

      scenario('a lower limit holds for its visitor only', async () => {
        const limited = await widget(await tokenFor(`${visitor}-limited`, { limits: { visitor_requests: '1/1h' } }));
        assertAnswered(await limited.ask(QUESTION), testbed.keys);
        assert.match(assertErrorShown(await limited.ask('And after that?')), /^Too many questions\. Please try again in /);
        assertAnswered(await (await widget(await tokenFor(`${visitor}-other`))).ask(QUESTION), testbed.keys);
      });

      scenario('an open page shows that all tokens were invalidated, and works after a reload', async () => {
        const chat = await widget(await tokenFor(visitor));
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
        await api(testbed, 'POST', `/v1/keys/${key.id}/visitor-tokens/invalidate`);
        assert.equal(assertErrorShown(await chat.ask('And after that?')), 'Your session has expired. Please reload the page.');
        assertAnswered(await (await widget(await tokenFor(visitor))).ask(QUESTION), testbed.keys);
        // The next tests sign with generation 0.
        key = await api(testbed, 'POST', '/v1/keys', {
          name: 'Signed visitors', source: testbed.keys.sources.handbook, kind: 'publishable', origins: [site.origin], visitors: 'required',
        });
      });
    }
  }
});
