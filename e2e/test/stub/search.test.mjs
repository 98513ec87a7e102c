// The search bar of widget 0.5.1 through the gate.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertFromHandbook } from '../../lib/assertions.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { mountSearchBar } from '../../lib/search-bar.mjs';
import { startTestbed } from '../../lib/testbed.mjs';
import { waitFor } from '../../lib/wait-for.mjs';
import { driveWidget } from '../../lib/widget.mjs';

const VERSION = '0.5.1'; // the first published version with a search bar

describe('search bar', () => {
  let testbed;
  before(async () => { testbed = await startTestbed({ browser: true }); });
  after(() => testbed?.close());

  for (const mode of PROXY_MODES) {
    const scenario = (name, body) => test(`${mode}: ${name}`, (t) => testbed.scenario(body)(t));

    scenario('it finds the bound source, and no other', async () => {
      const { page, search, shown } = await bar(mode, 'agent');
      await search('reset');
      const text = await waitFor('a result', async () => /handbook/i.test(await shown()) && shown());
      assert.doesNotMatch(text, /payroll/i);
      assert.deepEqual(page.trail.errors, []);
    });

    scenario('an invalid key finds nothing, and the bar remains usable', async () => {
      const { page, search, shown } = await bar(mode, 'unknown');
      await search('reset');
      await waitFor('no results are shown', async () => (await shown()).includes('No results found'));
      await waitFor('the page logs the error response', () => page.trail.console.some((line) => line.includes('Error: 401')));
      await search('update');
      await waitFor('no results are shown again', async () => (await shown()).includes('No results found'));
      assert.deepEqual(page.trail.errors, []);
    });

    scenario('"Ask the AI" opens the chat with the same key', async () => {
      const { page, search } = await bar(mode, 'agent');
      await search('How do I reset the device?');
      await page.getByText('Ask the AI').click();
      const chat = await driveWidget(page);
      await waitFor('the question was sent', async () => (await chat.turns()).length === 1);
      const turn = await chat.finished();
      assert.equal(turn.error, '');
      assertFromHandbook(turn.answer, testbed.keys);
    });
  }

  async function bar(mode, token) {
    return mountSearchBar(await testbed.open(VERSION), { apiHost: testbed.gate.url(mode), apiKey: testbed.keys.tokens[token] });
  }
});
