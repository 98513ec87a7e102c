// Each version's stream, as it comes and garbled, through the gate into the published widgets and into a reader that
// is strict: every one ends in the whole answer or in a sentence, and the next question works.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { launchBrowser, openPage } from '../lib/browser.mjs';
import { gateBinary } from '../lib/build.mjs';
import { WIDGET_VERSIONS } from '../lib/bundles.mjs';
import { assertSentence } from '../lib/expect.mjs';
import { WAYS } from '../lib/gate.mjs';
import {
  DIALECTS, EXCEPTION, WAYS_OF_PLAYING, conversationOf, startReplay, wholeAnswer,
} from '../lib/replay.mjs';
import { serveSite } from '../lib/site.mjs';
import { startVersionGate } from '../lib/version-gate.mjs';
import { mountWidget } from '../lib/widget.mjs';

const QUESTION = 'How do I reset the device?';
const INTERRUPTED = /\b(interrupted|incomplete)\b/;

describe('dialects', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'docsgate-dialects-'));
  let program;
  let browser;
  let site;

  before(async () => {
    program = gateBinary();
    site = await serveSite();
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await site?.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  });

  for (const [n, dialect] of DIALECTS.entries()) {
    describe(`DocsGPT ${dialect}`, () => {
      const whole = wholeAnswer(dialect);
      let replay;
      let gate;

      before(async () => {
        replay = await startReplay(dialect);
        gate = await startVersionGate({ program, dir: path.join(dir, dialect), version: dialect, upstream: replay.address });
      });
      after(async () => {
        await gate?.stop();
        await replay?.stop();
      });

      for (const way of WAYS) {
        test(`${way}: a strict reader`, async (t) => {
          for (const [name, { shows }] of Object.entries(WAYS_OF_PLAYING)) {
            await t.test(name, async () => {
              const { answer, last } = await read(`${gate.url(way)}/stream`, {
                question: `${QUESTION} [[${name}]]`, history: '[]', api_key: gate.token,
              });
              if (last.type === 'error') assertSentence(last.error);
              else assert.equal(last.type, 'end');
              assertShown(shows, answer, last.type === 'error' ? last.error : '');
            });
          }
          for (const { body } of replay.asked()) assert.equal(body.api_key, gate.agent);
        });
      }

      // The strict reader has seen both ways; each widget takes turns with them.
      for (const [m, version] of WIDGET_VERSIONS.entries()) {
        const way = WAYS[(n + m) % WAYS.length];
        test(`${way}: widget ${version}`, async (t) => {
          let chat;
          for (const [name, { shows }] of Object.entries(WAYS_OF_PLAYING)) {
            await t.test(name, async () => {
              const page = chat?.page ?? await openPage(browser, site.page(version));
              try {
                chat ??= await mountWidget(page, { apiHost: gate.url(way), apiKey: gate.token });
                const turn = await chat.ask(`${QUESTION} [[${name}]]`);
                assert.equal(turn.waiting, false, 'the widget still waits');
                assertShown(shows, turn.answer, turn.error);
                assert.deepEqual(page.trail.errors, [], 'uncaught errors in the page');
              } catch (error) {
                chat = undefined; // the next one begins anew
                await page.context().close();
                throw error;
              }
            });
          }
          // Whatever came before, the same widget takes the next question, and shows all of the answer.
          await t.test('and then a plain question', async () => {
            assert.ok(chat, 'it did not last so long');
            const turn = await chat.ask(QUESTION);
            assertShown('all', turn.answer, turn.error);

            const asked = replay.asked().map(({ body }) => body);
            for (const { api_key: key } of asked) assert.equal(key, gate.agent);
            assert.equal(asked[0].conversation_id ?? null, null);
            assert.equal(asked.at(-1).conversation_id ?? null, conversationOf(dialect) ?? null, 'not the same conversation');
          });
          await chat?.page.context().close();
        });
      }

      /** The text and the error are what that way of playing must come to. */
      function assertShown(shows, answer, error) {
        const shown = squeeze(answer);
        assert.ok(!`${shown}${error}`.includes(EXCEPTION), 'the text of an exception reached the reader');
        if (shows === 'sentence') {
          assert.equal(shown, '');
          assertSentence(error);
          return;
        }
        if (shows === 'all' || (shows === 'all or part' && shown === squeeze(whole))) {
          assert.equal(shown, squeeze(whole));
          assert.equal(error, '');
          return;
        }
        assert.ok(shown.startsWith(squeeze(whole).slice(0, 8)), `the text so far is lost: ${shown}`);
        assert.match(shown, INTERRUPTED, 'the reader takes it for the whole answer');
        if (error) assertSentence(error);
      }
    });
  }
});

/** Asks, and reads the events as strictly as the oldest widget does: whole data events, one line each, nothing else. */
async function read(url, body) {
  const response = await fetch(url, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
  });
  assert.match(response.headers.get('Content-Type'), /^text\/event-stream/);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  assert.ok(text.endsWith('\n\n'), `it does not end with a whole event: ${JSON.stringify(text.slice(-80))}`);
  const events = text.slice(0, -2).split('\n\n').map((event) => {
    assert.match(event, /^data: \{.*\}$/, 'not one whole data line');
    return JSON.parse(event.slice('data: '.length));
  });
  assert.ok(!text.includes(EXCEPTION), 'the text of an exception was passed on');
  return { answer: events.map((event) => event.answer ?? '').join(''), last: events.at(-1) };
}

/** Markdown joins lines and drops blanks at their ends; that is no difference here. */
function squeeze(text) {
  return text.replace(/\s+/g, ' ').trim();
}
