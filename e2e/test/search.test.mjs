// The search bar of widget 0.5.1 through the gate.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { assertFromHandbook } from '../lib/expect.mjs';
import { WAYS } from '../lib/gate.mjs';
import { until } from '../lib/until.mjs';
import { driveWidget } from '../lib/widget.mjs';
import { startWorld } from '../lib/world.mjs';

const VERSION = '0.5.1'; // the first published one with a search bar

describe('search bar', () => {
  let world;
  before(async () => { world = await startWorld({ browser: true }); });
  after(() => world?.close());

  for (const way of WAYS) {
    const scenario = (name, body) => test(`${way}: ${name}`, (t) => world.scenario(body)(t));

    scenario('it finds the bound source, and nothing of the other', async () => {
      const { page, search, shown } = await bar(way, 'agent');
      await search('reset');
      const text = await until('a result', async () => /handbook/i.test(await shown()) && shown());
      assert.doesNotMatch(text, /payroll/i);
      assert.deepEqual(page.trail.errors, []);
    });

    scenario('a key that does not count finds nothing, and the bar stays in use', async () => {
      const { page, search, shown } = await bar(way, 'unknown');
      await search('reset');
      await until('it says so', async () => (await shown()).includes('No results found'));
      await until('the page tells of the refusal that it has read', () => page.trail.console.some((line) => line.includes('Error: 401')));
      await search('update');
      await until('it says so again', async () => (await shown()).includes('No results found'));
      assert.deepEqual(page.trail.errors, []);
    });

    scenario('"Ask the AI" opens the chat with the same key', async () => {
      const { page, search } = await bar(way, 'agent');
      await search('How do I reset the device?');
      await page.getByText('Ask the AI').click();
      const chat = await driveWidget(page);
      await until('the question was sent', async () => (await chat.turns()).length === 1);
      const turn = await chat.settled();
      assert.equal(turn.error, '');
      assertFromHandbook(turn.answer, world.keys);
    });
  }

  async function bar(way, token) {
    const page = await world.open(VERSION);
    await page.waitForFunction(() => typeof window.renderSearchBar === 'function');
    await page.evaluate((props) => window.renderSearchBar('app', props), {
      apiHost: world.gate.url(way), apiKey: world.keys.tokens[token],
    });
    await page.getByText('Search here').click();
    const field = page.getByPlaceholder('Search or Ask AI...');
    return {
      page,
      /** Types a query and waits for the answer to it; the bar asks half a second after the last letter. */
      async search(query) {
        await field.fill('');
        const answered = page.waitForResponse((r) => r.url().endsWith('/api/search') && r.request().method() === 'POST');
        await field.fill(query);
        await answered;
      },
      shown: () => page.locator('#app').innerText(),
    };
  }
});
