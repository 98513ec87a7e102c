// A key is disabled while the published widget shows an answer: the answer ends with a readable note, the next question gets an error,
// and once the key is enabled again, the same page works.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { assertAnswered, assertErrorShown } from '../../lib/assertions.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { startTestbed } from '../../lib/testbed.mjs';
import { waitFor } from '../../lib/wait-for.mjs';
import { WIDGET_VERSIONS } from '../../lib/widget-packages.mjs';

const QUESTION = 'How do I reset the device?';

describe('a key that is disabled in mid-answer', () => {
  let testbed;
  before(async () => { testbed = await startTestbed({ browser: true }); });
  after(() => testbed?.close());

  /** Writes the key file, with changed fields of one key, as a whole. */
  function changeKey(id, fields) {
    const { keys } = JSON.parse(testbed.keys.file);
    Object.assign(keys.find((key) => key.id === id), fields);
    const file = path.join(testbed.dir, 'keys.yaml');
    fs.writeFileSync(`${file}.new`, JSON.stringify({ keys }));
    fs.renameSync(`${file}.new`, file);
  }

  for (const version of WIDGET_VERSIONS) {
    for (const mode of PROXY_MODES) {
      test(`${version}, ${mode}`, (t) => testbed.scenario(async () => {
        await testbed.stub.reset();
        const chat = await testbed.widget(version, { apiHost: testbed.gate.url(mode), apiKey: testbed.keys.tokens.agent });
        try {
          await chat.send(`${QUESTION} [[gap=60]]`);
          await waitFor('the answer has begun', async () => (await chat.last()).answer !== '');
          changeKey('by-agent', { state: 'disabled' });
          const { answer, error } = await chat.finished();
          assert.match(answer, /^stub/, 'the text before it is lost');
          assert.match(`${answer} ${error}`, /interrupted|no longer valid/);
          assert.match(assertErrorShown(await chat.ask(QUESTION)), /API key is missing or not valid/);
        } finally {
          changeKey('by-agent', {});
        }
        await waitFor('the key is valid', async () => {
          const { status } = await fetch(`${testbed.gate.url(mode)}/v1/models`, {
            headers: { Authorization: `Bearer ${testbed.keys.tokens.agent}` },
          });
          return status === 200;
        });
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
      })(t));
    }
  }
});
