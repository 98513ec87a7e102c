// Usage over time in the console: the chart of a key and the page of all keys show what clients have done, with the mouse, without it, in
// both themes and on a phone.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { axeViolations } from '../../lib/axe.mjs';
import { api, assertNoConsoleErrors, createKey, makeConsoleKeys, question, signIn, startConsole } from '../../lib/console.mjs';
import { startTestbed } from '../../lib/testbed.mjs';

describe('usage in the console', () => {
  let testbed;
  before(async () => { testbed = await startTestbed({ browser: true, keys: makeConsoleKeys(), start: startConsole }); });
  after(() => testbed?.close());

  async function assertAccessible(page) {
    for (const colorScheme of ['light', 'dark']) {
      for (const width of [1440, 390]) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height: 900 });
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `wider than ${width}: ${wide}`);
        assert.deepEqual(await axeViolations(page), [], `${colorScheme}, ${width}`);
      }
    }
    await page.setViewportSize({ width: 1440, height: 900 });
  }

  test('a key that answers, and is rejected', (t) => testbed.scenario(async () => {
    const page = await testbed.visit(`${testbed.gate.console('token')}/`);
    await signIn(page, testbed.keys.adminToken);
    const { id, name, token } = await createKey(testbed, page, { name: 'Measured', source: 'handbook' });
    await page.goto(`${testbed.gate.console('token')}/keys/${id}`);
    await page.getByRole('img', { name: 'No requests' }).waitFor();
    await assertAccessible(page);

    for (let n = 0; n < 3; n++) assert.equal((await question(testbed, token)).status, 200);
    await api(testbed, 'POST', `/v1/keys/${id}/disable`);
    assert.equal((await question(testbed, token)).status, 401);
    await page.reload();
    const chart = page.getByRole('img', { name: /^4 requests: 3 succeeded, 1 rejected; the most, 4, in the bar from/ });
    await chart.waitFor();
    assert.equal(await chart.locator('rect.succeeded').count(), 1);
    assert.equal(await chart.locator('rect.rejected').count(), 1);
    // The value of a bar is shown by the browser while the mouse is over it, wherever in its column.
    const bar = chart.locator('g').last();
    await bar.hover({ position: { x: 2, y: 2 } });
    assert.match(await bar.locator('title').textContent(), /UTC: 4 requests: 3 succeeded, 1 rejected$/);
    assert.notEqual(await bar.locator('.hit').evaluate((rect) => getComputedStyle(rect).fill), 'rgba(0, 0, 0, 0)');
    // Bars start at the axis, and the parts of a bar do not overlap.
    const [succeeded, rejected] = await Promise.all(['succeeded', 'rejected'].map((outcome) => chart.locator(`rect.${outcome}`).boundingBox()));
    assert.ok(Math.abs(rejected.y + rejected.height - succeeded.y) < 1.5, 'the parts of the bar are apart');
    assert.ok(Math.abs(succeeded.height / rejected.height - 3) < 0.2, 'the parts are not to scale');
    // The same in numbers, for those who do not see the chart.
    await page.getByText('As numbers').click();
    const row = page.getByRole('row').filter({ has: page.getByRole('rowheader') }).last();
    assert.deepEqual((await row.getByRole('cell').allInnerTexts()).map(Number), [4, 3, 0, 0, 1]);
    await page.getByText('The key or the visitor\'s token is not valid').waitFor();
    await assertAccessible(page);
    for (const range of ['Week', 'Month', 'Year']) {
      await page.getByRole('navigation', { name: 'Range' }).getByRole('link', { name: range }).click();
      await page.getByRole('img', { name: /^4 requests: / }).waitFor();
      assert.equal(await page.locator('.ranges [aria-current]').innerText(), range);
    }

    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Usage' }).click();
    await page.getByText('DocsGPT has responded to all requests of the last 15 minutes: 3.').waitFor();
    await page.getByRole('img', { name: /^4 requests: 3 succeeded, 1 rejected/ }).waitFor();
    await assertAccessible(page);
    await page.getByRole('link', { name }).click();
    await page.getByRole('heading', { name, exact: true }).waitFor();
    assertNoConsoleErrors(page);
  })(t));
});
