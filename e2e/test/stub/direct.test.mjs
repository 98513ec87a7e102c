// The published widgets without the gate: connected directly to a current DocsGPT they fail at every question. Through the
// gate they work.
//
// UPDATE_IMAGES=1 also takes the two screenshots of the README. If DOCSGPT_URL and DOCSGPT_AGENT_KEY are set, a running
// DocsGPT is used in place of the stub.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { REPO } from '../../lib/build.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { makeKeys } from '../../lib/keys.mjs';
import { startTestbed } from '../../lib/testbed.mjs';
import { WIDGET_VERSIONS } from '../../lib/widget-packages.mjs';

const QUESTION = 'How do I reset the device?';
const ANSWER = 'Run `device reset` and wait until the light turns green, which takes about a minute. Your settings are kept. '
  + 'If the light stays red, hold the button on the back for five seconds and try again.';
const PICTURED = WIDGET_VERSIONS.at(-1);

describe('without and with docsgate', () => {
  const docsgpt = process.env.DOCSGPT_URL
    ? { url: process.env.DOCSGPT_URL.replace(/\/$/, ''), agentKey: process.env.DOCSGPT_AGENT_KEY }
    : undefined;
  let testbed;
  before(async () => {
    const keys = makeKeys({ agentKey: docsgpt?.agentKey });
    keys.stub.sources[keys.sources.handbook] = 'Handbook';
    keys.stub.answers = { [QUESTION]: ANSWER };
    testbed = await startTestbed({ browser: true, docsgpt, keys });
  });
  after(() => testbed?.close());

  for (const version of WIDGET_VERSIONS) {
    test(`${version}: directly at the backend every question fails`, (t) => testbed.scenario(async () => {
      const chat = await testbed.widget(version, {
        apiHost: docsgpt?.url ?? testbed.stub.url, apiKey: testbed.keys.agents.handbook, ...LOOK,
      }, FRAME);
      const turn = await chat.ask(QUESTION);
      await picture(chat.page, version, 'widget-without-docsgate.png');
      assert.equal(turn.error, 'Something went wrong !');
      assert.equal((await chat.ask('And now?')).error, 'Something went wrong !');
    })(t));

    test(`${version}: through docsgate it answers`, (t) => testbed.scenario(async () => {
      const chat = await testbed.widget(version, {
        apiHost: testbed.gate.url(PROXY_MODES[0]), apiKey: testbed.keys.tokens.agent, ...LOOK,
      }, FRAME);
      const turn = await chat.ask(QUESTION);
      await picture(chat.page, version, 'widget-with-docsgate.png');
      assert.equal(turn.error, '');
      assert.ok(turn.answer.includes(docsgpt ? QUESTION : ANSWER.replaceAll('`', '')), `not an answer to the question: ${turn.answer}`);
      const next = await chat.ask('And now?');
      assert.equal(next.error, '');
      assert.ok(next.answer.includes('And now?'), `not an answer to the question: ${next.answer}`);
    })(t));
  }
});

/** Size of the screenshots. */
const FRAME = { width: 660, height: 440, scale: 1.5 };

/** The widget's texts in the screenshots. */
const LOOK = {
  title: 'Ask the manual',
  description: 'Answers from the handbook of the device',
  theme: 'light',
};

async function picture(page, version, name) {
  if (!process.env.UPDATE_IMAGES || version !== PICTURED) return;
  const folder = path.join(REPO, 'docs', 'images');
  fs.mkdirSync(folder, { recursive: true });
  await page.mouse.move(0, 0);
  await page.screenshot({ path: path.join(folder, name), animations: 'disabled' });
}
