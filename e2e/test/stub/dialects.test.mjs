// The recorded stream of each version, intact and damaged, through the gate to the published widgets and to a strict
// client: every one ends in the whole answer or in a readable error, and the next question works.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { launchBrowser, openPage } from '../../lib/browser.mjs';
import { gateBinary } from '../../lib/build.mjs';
import { assertHumanReadable } from '../../lib/assertions.mjs';
import { dataEvents } from '../../lib/data-events.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import {
  DIALECTS, EXCEPTION, REPLAY_MODES, conversationOf, startReplay, wholeAnswer,
} from '../../lib/recorded-streams.mjs';
import { WIDGET_VERSIONS } from '../../lib/widget-packages.mjs';
import { serveSite } from '../../lib/widget-site.mjs';
import { startVersionGate } from '../../lib/version-gate.mjs';
import { mountWidget } from '../../lib/widget.mjs';

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

      for (const mode of PROXY_MODES) {
        test(`${mode}: a strict client`, async (t) => {
          for (const [name, { shows }] of Object.entries(REPLAY_MODES)) {
            await t.test(name, async () => {
              const { answer, last } = await read(`${gate.url(mode)}/stream`, {
                question: `${QUESTION} [[${name}]]`, history: '[]', api_key: gate.token,
              });
              if (last.type === 'error') assertHumanReadable(last.error);
              else assert.equal(last.type, 'end');
              assertShown(shows, answer, last.type === 'error' ? last.error : '');
            });
          }
          for (const { body } of replay.takeRequests()) assert.equal(body.api_key, gate.agent);
        });
      }

      // The strict client covers both proxy modes; the widgets alternate between them.
      for (const [m, version] of WIDGET_VERSIONS.entries()) {
        const mode = PROXY_MODES[(n + m) % PROXY_MODES.length];
        test(`${mode}: widget ${version}`, async (t) => {
          let chat;
          for (const [name, { shows }] of Object.entries(REPLAY_MODES)) {
            await t.test(name, async () => {
              const page = chat?.page ?? await openPage(browser, site.page(version));
              try {
                chat ??= await mountWidget(page, { apiHost: gate.url(mode), apiKey: gate.token });
                const turn = await chat.ask(`${QUESTION} [[${name}]]`);
                assert.equal(turn.waiting, false, 'the widget is still waiting');
                assertShown(shows, turn.answer, turn.error);
                assert.deepEqual(page.trail.errors, [], 'uncaught errors in the page');
              } catch (error) {
                chat = undefined; // the next case opens a new page
                await page.context().close();
                throw error;
              }
            });
          }
          // After all these streams the same widget still accepts a question and shows the whole answer.
          await t.test('and then a plain question', async () => {
            assert.ok(chat, 'an earlier case failed');
            const turn = await chat.ask(QUESTION);
            assertShown('all', turn.answer, turn.error);

            const asked = replay.takeRequests().map(({ body }) => body);
            for (const { api_key: key } of asked) assert.equal(key, gate.agent);
            assert.equal(asked[0].conversation_id ?? null, null);
            assert.equal(asked.at(-1).conversation_id ?? null, conversationOf(dialect) ?? null, 'not the same conversation');
          });
          await chat?.page.context().close();
        });
      }

      /** The text and the error that the client sees are those that the replay mode requires. */
      function assertShown(shows, answer, error) {
        const shown = normalizeSpace(answer);
        assert.ok(!`${shown}${error}`.includes(EXCEPTION), 'the text of an exception reached the client');
        if (shows === 'sentence') {
          assert.equal(shown, '');
          assertHumanReadable(error);
          return;
        }
        if (shows === 'all' || (shows === 'all or part' && shown === normalizeSpace(whole))) {
          assert.equal(shown, normalizeSpace(whole));
          assert.equal(error, '');
          return;
        }
        assert.ok(shown.startsWith(normalizeSpace(whole).slice(0, 8)), `the text so far is lost: ${shown}`);
        assert.match(shown, INTERRUPTED, 'nothing says that the answer is incomplete');
        if (error) assertHumanReadable(error);
      }
    });
  }
});

/** Sends a question and parses the stream as strictly as the oldest widget. */
async function read(url, body) {
  const response = await fetch(url, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
  });
  assert.match(response.headers.get('Content-Type'), /^text\/event-stream/);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  const events = dataEvents(text);
  assert.ok(!text.includes(EXCEPTION), 'the text of an exception was forwarded');
  return { answer: events.map((event) => event.answer ?? '').join(''), last: events.at(-1) };
}

/** Normalizes whitespace: the widget's Markdown joins lines and drops trailing spaces. */
function normalizeSpace(text) {
  return text.replace(/\s+/g, ' ').trim();
}
