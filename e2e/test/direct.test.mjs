// The contrast: the same widgets straight at a current DocsGPT fail at every question, and answer through the gate.
//
// UPDATE_IMAGES=1 also takes the two pictures of the README. With DOCSGPT_URL and DOCSGPT_AGENT_KEY in the environment
// a running DocsGPT is used in place of the stub.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { REPO } from '../lib/build.mjs';
import { WIDGET_VERSIONS } from '../lib/bundles.mjs';
import { WAYS } from '../lib/gate.mjs';
import { startWorld } from '../lib/world.mjs';

const QUESTION = 'How do I reset the device?';
const PICTURED = WIDGET_VERSIONS.at(-1);

describe('without docsgate and with it', () => {
  const docsgpt = process.env.DOCSGPT_URL
    ? { url: process.env.DOCSGPT_URL.replace(/\/$/, ''), agentKey: process.env.DOCSGPT_AGENT_KEY }
    : undefined;
  let world;
  before(async () => { world = await startWorld({ browser: true, docsgpt }); });
  after(() => world?.close());

  for (const version of WIDGET_VERSIONS) {
    test(`${version}: straight at the backend every question fails`, (t) => world.scenario(async () => {
      const chat = await world.widget(version, {
        apiHost: docsgpt?.url ?? world.stub.url, apiKey: world.keys.agents.handbook, ...LOOK,
      }, FRAME);
      const turn = await chat.ask(QUESTION);
      await picture(chat.page, version, 'widget-without-docsgate.png');
      assert.equal(turn.error, 'Something went wrong !');
      assert.equal((await chat.ask('And now?')).error, 'Something went wrong !');
    })(t));

    test(`${version}: through docsgate it answers`, (t) => world.scenario(async () => {
      const chat = await world.widget(version, {
        apiHost: world.gate.url(WAYS[0]), apiKey: world.keys.tokens.agent, ...LOOK,
      }, FRAME);
      const turn = await chat.ask(QUESTION);
      await picture(chat.page, version, 'widget-with-docsgate.png');
      assert.equal(turn.error, '');
      assert.ok(turn.answer.includes(QUESTION), `not an answer to the question: ${turn.answer}`);
      assert.equal((await chat.ask('And now?')).error, '');
    })(t));
  }
});

/** Size of the pictures. */
const FRAME = { width: 660, height: 440, scale: 1.5 };

/** The widget's own texts, for the pictures. */
const LOOK = {
  title: 'Ask the manual',
  description: 'Answers from the device manual',
  theme: 'light',
};

async function picture(page, version, name) {
  if (!process.env.UPDATE_IMAGES || version !== PICTURED) return;
  const folder = path.join(REPO, 'docs', 'images');
  fs.mkdirSync(folder, { recursive: true });
  await page.mouse.move(0, 0);
  await page.screenshot({ path: path.join(folder, name), animations: 'disabled' });
}
