// Keys with a policy in the published widgets: on an allowed and on another page, and over their limits. Users see a readable
// error, and the next question works as soon as the limit allows it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertAnswered, assertErrorShown } from '../../lib/assertions.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { makeKeys } from '../../lib/keys.mjs';
import { mountSearchBar } from '../../lib/search-bar.mjs';
import { startTestbed } from '../../lib/testbed.mjs';
import { waitFor } from '../../lib/wait-for.mjs';
import { WIDGET_VERSIONS } from '../../lib/widget-packages.mjs';
import { serveSite } from '../../lib/widget-site.mjs';
import { mountWidget } from '../../lib/widget.mjs';

const QUESTION = 'How do I reset the device?';
const SEARCH_VERSION = '0.5.1';

/** What the chat widgets show if their page cannot read the response. The wording is theirs. */
const GENERAL_ERROR = { answer: '', error: 'Something went wrong !', sources: [], waiting: false };

/** A sentence of a key that would have effects if a widget rendered it as HTML or Markdown. */
const MESSAGE = 'Zu viele Fragen. Bitte in {wait_short} erneut. <img src="/x" onerror="document.title=`owned`"> **fett** [Link](https://evil.example)';

/** One limited key for each test, since all pages of this machine are the same visitor. */
const LIMITED = [...WIDGET_VERSIONS.flatMap((version) => PROXY_MODES.map((mode) => `chat ${version} ${mode}`)),
  ...PROXY_MODES.flatMap((mode) => [`search ${mode}`, `script ${mode}`])];
const limitedKey = (name) => `limited-${LIMITED.indexOf(name)}`;

describe('keys with a policy', () => {
  let site;
  let foreignSite;
  let testbed;
  before(async () => {
    site = await serveSite();
    foreignSite = await serveSite();
    testbed = await startTestbed({
      browser: true,
      keys: makeKeys({
        policies: {
          publishable: { kind: 'publishable', origins: [site.origin] },
          secret: { kind: 'secret' },
          'one-stream': { limits: { visitor_streams: 1 } },
          message: { limits: { visitor_requests: '1/1h' }, limit_message: MESSAGE },
          'short-questions': { limits: { question_chars: 60 } },
          ...Object.fromEntries(LIMITED.map((name) => [limitedKey(name), { limits: { visitor_requests: '1/6s' } }])),
        },
      }),
    });
  });
  after(async () => {
    await testbed?.close();
    await foreignSite?.stop();
    await site?.stop();
  });

  /** Returns the properties of a widget with a key. */
  const props = (mode, key) => ({ apiHost: testbed.gate.url(mode), apiKey: testbed.keys.tokens[key] });

  /** Sends a question from outside of the browser, but as the same visitor. */
  const ask = (mode, key, question = QUESTION) => fetch(`${testbed.gate.url(mode)}/stream`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ question, api_key: testbed.keys.tokens[key] }),
  });

  /** Asks until the key's limit is reached. */
  async function exhaust(mode, key) {
    for (let status = 0; status !== 429;) {
      const response = await ask(mode, key);
      status = response.status;
      await response.text();
    }
  }

  /** The gate has rejected all requests of the page, which could not read why. */
  async function assertRejected(page) {
    assert.deepEqual(await testbed.stub.calls(), [], 'a request of another page went upstream');
    assert.match(testbed.gate.log(), /"msg":"request rejected".*"reason":"origin_not_allowed","key":"publishable"/);
    assert.ok(page.trail.console.some((line) => line.includes('blocked by CORS policy')), 'the page could read a response');
    assert.deepEqual(page.trail.errors, []);
  }

  for (const mode of PROXY_MODES) {
    for (const version of WIDGET_VERSIONS) {
      const scenario = (name, body) => test(`${version}, ${mode}: ${name}`, (t) => testbed.scenario(body)(t));
      const widget = async (key, on = site) => mountWidget(await testbed.visit(on.page(version)), props(mode, key));

      scenario('a publishable key on its page gets answers', async () => {
        const chat = await widget('publishable');
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
        assertAnswered(await chat.ask('And after that?'), testbed.keys);
        assert.deepEqual(chat.page.trail.errors, []);
      });

      scenario("a publishable key on another page gets no answers, and the page cannot read the gate's responses", async () => {
        await testbed.stub.reset();
        const chat = await widget('publishable', foreignSite);
        for (const question of [QUESTION, 'And now?']) assert.deepEqual(await chat.ask(question), { question, ...GENERAL_ERROR });
        await assertRejected(chat.page);
      });

      scenario('a secret key in a page gets a readable error, and a warning in the log', async () => {
        await testbed.stub.reset();
        const chat = await widget('secret');
        assert.equal(assertErrorShown(await chat.ask(QUESTION)),
          'This key is only for servers. It must not be used in a web page.');
        assert.deepEqual(await testbed.stub.calls(), [], 'the request went upstream');
        await waitFor('the log has a warning', () => /"level":"warn".*secret key.*"key":"secret"/.test(testbed.gate.log()));

        const response = await ask(mode, 'secret');
        assert.equal(response.status, 200, 'the same key on a server');
        await response.text();
      });

      scenario('a visitor over the limit sees the wait, and asks again after it', async () => {
        const key = limitedKey(`chat ${version} ${mode}`);
        const chat = await widget(key);
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
        await exhaust(mode, key);
        const sentence = assertErrorShown(await chat.ask('And after that?'));
        const [, seconds] = sentence.match(/^Too many questions\. Please try again in ([1-6]) seconds?\.$/) ?? assert.fail(sentence);
        await sleep(seconds * 1000); // what the sentence asks the user for
        assertAnswered(await chat.ask('And now?'), testbed.keys);
      });

      scenario("a visitor over the limit sees the key's own sentence, as plain text", async () => {
        await exhaust(mode, 'message');
        const chat = await widget('message');
        const title = await chat.page.title();
        const { error: sentence, answer, waiting } = await chat.ask(QUESTION);
        assert.deepEqual({ answer, waiting }, { answer: '', waiting: false });
        assert.match(sentence, /^Zu viele Fragen\. Bitte in \d+ (s|min) erneut\. /);
        assert.equal(sentence.replace(/\d+ (s|min)/, '{wait_short}'), MESSAGE);
        assert.equal(await chat.page.title(), title);
        assert.equal(await chat.page.locator('img[src="/x"], a[href*="evil"], strong').count(), 0, 'the sentence is rendered as markup');
      });

      scenario('a visitor with too many answers in flight sees a readable error', async () => {
        await testbed.stub.reset();
        const chat = await widget('one-stream');
        const busy = ask(mode, 'one-stream', `${QUESTION} [[wait=60]]`);
        try {
          await waitFor('the first question is with the backend', async () => (await testbed.stub.calls()).length === 1);
          assert.match(assertErrorShown(await chat.ask(QUESTION)), /try again in a few seconds/);
          assert.equal((await testbed.stub.calls()).length, 1, 'the second question went to the backend');
        } finally {
          await testbed.stub.stop(); // which ends the first answer
          await busy.then((response) => response.text()).catch(() => {});
          await testbed.stub.start();
        }
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
      });

      scenario('a question that is too long gets the limit, and a shorter one an answer', async () => {
        const chat = await widget('short-questions');
        assert.equal(assertErrorShown(await chat.ask(`${QUESTION} ${'It is the blue one. '.repeat(3)}`)),
          'The question is too long. Please shorten it to 60 characters.');
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
      });
    }

    const scenario = (name, body) => test(`search bar, ${mode}: ${name}`, (t) => testbed.scenario(body)(t));
    const searchBar = async (key, on = site) => mountSearchBar(await testbed.visit(on.page(SEARCH_VERSION)), props(mode, key));
    const foundIn = (bar) => waitFor('a result', async () => /handbook/i.test(await bar.shown()));

    scenario('a publishable key on its page finds its source', async () => {
      const bar = await searchBar('publishable');
      await bar.search('reset');
      await foundIn(bar);
    });

    scenario('a publishable key on another page finds nothing', async () => {
      await testbed.stub.reset();
      const bar = await searchBar('publishable', foreignSite);
      await bar.type('reset');
      await waitFor('the search has failed', () => bar.page.trail.console.some((line) => line.includes('Failed to fetch documents')));
      await waitFor('no results are shown', async () => (await bar.shown()).includes('No results found'));
      await assertRejected(bar.page);
    });

    scenario('a visitor over the limit finds nothing, and searches again after the wait', async () => {
      const key = limitedKey(`search ${mode}`);
      const bar = await searchBar(key);
      await exhaust(mode, key);
      const response = await bar.search('reset');
      assert.equal(response.status(), 429);
      await waitFor('no results are shown', async () => (await bar.shown()).includes('No results found'));
      await sleep(Number(response.headers()['retry-after']) * 1000);
      await bar.search('update');
      await foundIn(bar);
    });

    scenario("a visitor over the limit of a key with its own sentence finds nothing, and the page can read the sentence", async () => {
      await exhaust(mode, 'message');
      const bar = await searchBar('message');
      assert.equal((await bar.search('reset')).status(), 429);
      await waitFor('no results are shown', async () => (await bar.shown()).includes('No results found'));
      const message = await bar.page.evaluate(async ([url, body]) => {
        const response = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
        return (await response.json()).message;
      }, [`${testbed.gate.url(mode)}/api/search`, JSON.stringify({ question: 'reset', api_key: testbed.keys.tokens.message })]);
      assert.match(message, /^Zu viele Fragen\. Bitte in \d+ (s|min) erneut\. /);
    });

    test(`script, ${mode}: a page can read how long it must wait`, (t) => testbed.scenario(async () => {
      const key = limitedKey(`script ${mode}`);
      await exhaust(mode, key);
      const page = await testbed.visit(site.page());
      const response = await page.evaluate(async ([url, body]) => {
        const r = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
        const names = ['Retry-After', 'RateLimit', 'RateLimit-Policy', 'X-Request-Id'];
        return { status: r.status, code: (await r.json()).code, headers: names.map((name) => r.headers.get(name)) };
      }, [`${testbed.gate.url(mode)}/api/answer`, JSON.stringify({ question: QUESTION, api_key: testbed.keys.tokens[key] })]);
      assert.equal(response.status, 429);
      assert.equal(response.code, 'rate_limited');
      const [after, limit, policy, id] = response.headers;
      assert.match(after, /^[1-6]$/);
      assert.equal(limit, `"visitor";r=0;t=${after}`);
      assert.equal(policy, '"visitor";q=1;w=6');
      assert.match(id, /^[0-9a-f]{16}$/);
    })(t));
  }
});
