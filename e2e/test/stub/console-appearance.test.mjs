// The appearance of the console: accessibility, both themes, a phone's width, and hostile texts in names.
//
// UPDATE_IMAGES=1 also takes the screenshots of the README.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { axeViolations } from '../../lib/axe.mjs';
import { REPO } from '../../lib/build.mjs';
import { USER, api, assertNoConsoleErrors, createKey, makeConsoleKeys, shownKey, signIn, startConsole } from '../../lib/console.mjs';
import { startTestbed } from '../../lib/testbed.mjs';

const THEMES = ['light', 'dark'];
const WIDTHS = [1440, 390];

/** Texts that try to break a page. A name has at most 200 characters. */
const HOSTILE = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>{{.Base}}</title>',
  'javascript:alert(1)',
  '\u202eevil reversed name\u202d and \u2066more',
  '\u0645\u0641\u062a\u0627\u062d \u0627\u0644\u0645\u0648\u0642\u0639 (docs.example.com)',
  'W'.repeat(200),
  '\u200b\u200d\u2060',
  '\u{1F600}\u{1F3F4}\u200d\u2620\ufe0f \u{1F469}\u200d\u{1F469}\u200d\u{1F467}',
  'Z\u0351\u0368\u0301\u0357\u0344a\u0340\u0357\u0357l\u0351\u0301\u0368g\u0344\u0351\u0357o\u0301 marks',
];
const HOSTILE_TITLE = '<img src=x onerror=alert(2)>\u202e';

describe('appearance of the console', () => {
  const keys = makeConsoleKeys({
    titles: {
      handbook: 'Handbook', payroll: 'Payroll', api: 'API reference', notes: 'Release notes', hostile: HOSTILE_TITLE,
    },
  });
  const inFile = { id: 'status-page', name: 'Status page', sha256: 'a5'.repeat(32), source: keys.sources.notes };
  keys.file = JSON.stringify({ keys: [inFile] });
  keys.env.SUPPORT_AGENT_KEY = keys.agents.handbook;
  let testbed;
  before(async () => {
    testbed = await startTestbed({ browser: true, keys, start: (options) => startConsole({ ...options, past: pastKeys(keys.sources) }) });
  });
  after(() => testbed?.close());

  /** Defines a test with a page of a console, which must have no console errors at the end. */
  function scenario(name, [at, where], body) {
    test(name, (t) => testbed.scenario(async () => {
      const page = await testbed.visit(`${testbed.gate.console(at)}${where}`, {
        width: WIDTHS[0], height: 900, ...at === 'password' && { httpCredentials: USER },
      });
      await body(page);
      assertNoConsoleErrors(page);
    })(t));
  }
  const inside = (name, where, body) => scenario(name, ['password', where], body);

  /** The page is accessible and not wider than the screen, at both widths and in these themes. */
  async function assertAppearance(page, themes = THEMES) {
    await page.waitForLoadState('load'); // with the page's styles
    for (const colorScheme of themes) {
      for (const width of WIDTHS) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height: 900 });
        const overflowing = await page.evaluate(() => [...document.querySelectorAll('body *')]
          .filter((e) => document.documentElement.scrollWidth > innerWidth && e.getBoundingClientRect().right > innerWidth + 1)
          .map((e) => e.outerHTML.slice(0, 150)));
        assert.deepEqual(overflowing, [], `wider than ${width}`);
        assert.deepEqual(await axeViolations(page), [], `${colorScheme}, ${width}`);
      }
    }
    assert.equal(await page.locator('script:not([src]), img[src=x]').count(), 0, 'a text was parsed as markup');
  }

  inside('the list, and a search without matches', '/', async (page) => {
    await page.getByText('12 keys').waitFor();
    await picture(page, 'console-list-light.png', 'light');
    await picture(page, 'console-list-dark.png', 'dark');
    await assertAppearance(page);
    await page.setViewportSize({ width: WIDTHS[1], height: 900 });
    const cut = await page.locator('.keys .name a').evaluateAll((links) => links
      .filter((a) => a.textContent.length < 26 && a.scrollWidth > a.clientWidth).map((a) => a.textContent));
    assert.deepEqual(cut, [], 'names that are truncated in favor of the sparkline');
    await page.goto(`${testbed.gate.console('password')}/?q=nothing+like+this`);
    await page.getByText('No keys match your search').waitFor();
    await assertAppearance(page);
  });

  test('a console without keys, and the first key if the address of the gate is not known', (t) => testbed.scenario(async () => {
    const dir = path.join(testbed.dir, 'empty');
    fs.mkdirSync(dir);
    const empty = await startConsole({ dir, upstream: testbed.stub.address, keys: { ...keys, file: '{"keys": []}' } });
    try {
      const page = await testbed.visit(empty.console('loopback'), { width: WIDTHS[0], height: 900 });
      await page.getByText('No keys yet').waitFor();
      await assertAppearance(page);
      await page.getByRole('link', { name: 'Create the first key' }).click();
      await page.getByRole('textbox', { name: 'Name' }).fill('First');
      await page.getByRole('checkbox', { name: 'Handbook' }).check();
      await page.getByRole('button', { name: 'Create key' }).click();
      await page.getByText('The public URL of the gate is not configured.').waitFor();
      await shownKey(testbed, page, 'First');
      await assertAppearance(page);
      assertNoConsoleErrors(page);
    } finally {
      await empty.stop();
    }
  })(t));

  scenario('signing in', ['token', '/'], async (page) => {
    await assertAppearance(page);
    await signIn(page, 'wrong');
    await page.getByText('This is not the admin token.').waitFor();
    await assertAppearance(page);
  });

  inside('the form for a new key, and its validation errors', '/new', async (page) => {
    await assertAppearance(page);
    await page.getByRole('radio', { name: /^Agent/ }).check();
    await page.getByRole('radio', { name: 'On a date' }).check();
    await page.getByText('Activate later').click();
    await page.getByRole('button', { name: 'Create key' }).click();
    await page.getByText('The key was not created').waitFor();
    await assertAppearance(page);
  });

  inside('a new key, and the form submitted again', '/', async (page) => {
    await createKey(testbed, page, { name: 'docs.example.com, search', source: 'Handbook', lifetime: '90 days' });
    await picture(page, 'console-created.png', 'light', 1160);
    await page.getByLabel('Question').fill('How do I reset the device?');
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.getByText('Sources: Handbook').waitFor();
    await assertAppearance(page);
    await page.reload();
    await page.getByText('This key was already created').waitFor();
    await assertAppearance(page);
  });

  inside('a key with a previous token, its audit trail, and the confirmation pages for rotation and revocation', '/', async (page) => {
    await page.getByRole('link', { name: 'docs.example.com', exact: true }).click();
    await page.getByText('It is still used').waitFor();
    const base = page.url();
    await assertAppearance(page);
    await page.goto(`${base}/rotate`);
    await page.getByRole('radio', { name: 'Custom' }).check();
    await page.getByRole('button', { name: 'Rotate key' }).click();
    await page.getByText('30 days at most').waitFor();
    await assertAppearance(page);
    await page.goto(`${base}/revoke`);
    await assertAppearance(page);
  });

  inside('a revoked key, the confirmation page for its deletion, and what is shown afterwards', '/', async (page) => {
    const base = testbed.gate.console('password');
    const { id } = await api(testbed, 'POST', '/v1/keys', { name: 'Old shop', source: keys.sources.handbook });
    await api(testbed, 'POST', `/v1/keys/${id}/revoke`, {});
    await page.goto(`${base}/keys/${id}`);
    await page.getByRole('link', { name: 'Delete' }).waitFor();
    await assertAppearance(page);
    await page.getByRole('link', { name: 'Delete' }).click();
    await page.getByRole('heading', { name: 'Delete this key?' }).waitFor();
    await assertAppearance(page);
    await page.getByRole('button', { name: 'Delete Old shop' }).click();
    await page.getByText('The key Old shop is deleted.').waitFor();
    await assertAppearance(page);
    await page.goto(`${base}/audit`);
    await page.getByRole('main').getByRole('listitem').filter({ hasText: id }).filter({ hasText: 'Deleted' }).waitFor();
    await assertAppearance(page);
    await page.goto(`${base}/keys/${id}`);
    await page.getByText('This key was deleted').waitFor();
    await assertAppearance(page);
  });

  inside('usage of all keys, and of one', '/usage?range=week', async (page) => {
    await page.getByText(/DocsGPT at .* responds\./).waitFor();
    await page.getByRole('img', { name: /requests: .* succeeded, .* aborted, .* failed, .* rejected/ }).waitFor();
    await picture(page, 'console-usage-light.png', 'light', 1000);
    await assertAppearance(page);
    await page.getByRole('link', { name: 'docs.example.com', exact: true }).click();
    await page.getByRole('heading', { name: 'Usage' }).waitFor();
    await picture(page, 'console-key-usage.png', 'light', 1160);
    await assertAppearance(page);
  });

  inside('a key of a file, the whole audit trail, and a page that does not exist', '/keys/status-page', async (page) => {
    await page.getByText('It is read-only here.').waitFor();
    await assertAppearance(page);
    await page.getByRole('link', { name: 'Audit trail' }).click();
    await assertAppearance(page);
    await page.goto(`${testbed.gate.console('password')}/nothing/here`);
    await page.getByText('There is nothing at this address.').waitFor();
    await assertAppearance(page);
  });

  inside('signed visitors: a new key, its page, a replaced secret and a test token', '/new', async (page) => {
    await page.getByRole('textbox', { name: 'Name' }).fill('Signed');
    await page.getByRole('checkbox', { name: 'Handbook' }).check();
    await page.getByRole('radio', { name: /^Required/ }).check();
    await page.getByRole('button', { name: 'Create key' }).click();
    await page.getByText('Copy the secret for signing, too').waitFor();
    testbed.keys.secrets['a sign secret'] = await page.locator('#sign-secret').innerText();
    await shownKey(testbed, page, 'Signed');
    await assertAppearance(page);
    await page.getByRole('link', { name: /go to the key/ }).click();
    await page.getByText('Replace the secret').first().click();
    await page.getByText('Invalidate all signed tokens').first().click();
    await page.getByText('Create a test token').first().click();
    await assertAppearance(page);
    await page.getByRole('button', { name: 'Create a test token' }).click();
    await page.getByText('Enter an ID of 1 to 128').waitFor();
    await assertAppearance(page);
    await page.getByRole('textbox', { name: 'ID of the visitor' }).fill('u-42');
    await page.getByRole('button', { name: 'Create a test token' }).click();
    await page.getByText('Copy the token now').waitFor();
    testbed.keys.secrets['a test token'] = await page.locator('#token').innerText();
    await assertAppearance(page);
    await page.getByRole('link', { name: /go to the key/ }).click();
    await page.getByText('Replace the secret').first().click();
    await page.getByRole('button', { name: 'Replace the secret' }).click();
    await page.getByText('A new secret for signing').waitFor();
    testbed.keys.secrets['a replaced sign secret'] = await page.locator('#token').innerText();
    await page.getByRole('link', { name: /go to the key/ }).click();
    await page.getByText('replaced, valid until').waitFor();
    await assertAppearance(page);
  });

  inside('hostile names are shown as text on every page', '/', async (page) => {
    const base = testbed.gate.console('password');
    for (const name of HOSTILE) await api(testbed, 'POST', '/v1/keys', { name, source: keys.sources.hostile });
    await page.reload();
    const titles = await page.locator('.keys .name a').evaluateAll((links) => links.map((a) => a.title));
    assert.deepEqual(HOSTILE.filter((name) => !titles.includes(name)), []);
    await page.getByText('(invisible name)').first().waitFor();
    await page.getByText(HOSTILE[0], { exact: true }).waitFor();
    await assertAppearance(page, ['light']);
    await page.getByRole('link', { name: 'Audit trail' }).click();
    await page.getByText(HOSTILE[0], { exact: true }).waitFor();
    await assertAppearance(page, ['light']);

    await page.goto(base);
    const addresses = await page.locator('.keys .name a').evaluateAll((links) => links.map((a) => [a.title, a.href]));
    for (const name of HOSTILE.slice(0, 6)) {
      const [, address] = addresses.find(([title]) => title === name);
      for (const view of ['', '/rotate', '/revoke', '/delete']) {
        if (view === '/delete') await api(testbed, 'POST', `/v1${new URL(address).pathname}/revoke`, {});
        await page.goto(address + view);
        assert.ok((await page.locator('main bdi').allInnerTexts()).some((text) => text.includes(name)), `${view}: ${name}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${view} is ${wide} pixels wider than the screen: ${name}`);
      }
      await page.getByRole('button', { name: /^Delete/ }).click();
      const notice = page.locator('main .notice');
      await notice.getByText('is deleted.').waitFor();
      assert.ok((await notice.locator('bdi').allInnerTexts()).some((text) => text.includes(name)), `notice: ${name}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `the list is ${wide} pixels wider than the screen: ${name}`);
    }
  });

  inside('hostile texts in forms are accepted as text or rejected with a readable error', '/', async (page) => {
    await page.setViewportSize({ width: WIDTHS[1], height: 900 });
    await createKey(testbed, page, { name: HOSTILE[1], source: '<img' });
    await page.getByRole('heading', { name: HOSTILE[1] }).waitFor();
    await page.getByLabel('Question').fill(HOSTILE[0]);
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.getByRole('log').getByText(HOSTILE[0]).waitFor();
    await assertAppearance(page, ['light']);

    const long = '<b>'.repeat(3334);
    await page.goto(`${testbed.gate.console('password')}/new`);
    // The field is limited to 200 characters; a program that submits the form is not.
    await page.getByRole('textbox', { name: 'Name' }).evaluate((field, text) => {
      field.removeAttribute('maxlength');
      field.value = text;
    }, long);
    await page.getByText('Enter other source IDs').click();
    await page.getByLabel('Source IDs').fill(`${HOSTILE.join('\n')}\n${long}`);
    await page.getByRole('button', { name: 'Create key' }).click();
    await page.getByText('Must have at most 200 characters, but has 10002.').waitFor();
    await assertAppearance(page, ['light']);
    await page.getByRole('textbox', { name: 'Name' }).fill('Short');
    await page.getByRole('button', { name: 'Create key' }).click();
    await page.getByText('The key was not created').waitFor();
    assert.match(await page.locator('#sources-error').innerText(), /source/i);
    await assertAppearance(page, ['light']);

    await page.goto(testbed.gate.console('password'));
    await page.getByRole('searchbox', { name: 'Search' }).fill(HOSTILE[1]);
    await page.getByText('1 key', { exact: true }).waitFor();
    await page.goto(`${testbed.gate.console('password')}/?q=${encodeURIComponent(long)}&source=${encodeURIComponent(HOSTILE[1])}`);
    await page.getByText('No keys match your search').waitFor();
    await assertAppearance(page, ['light']);
  });
});

/** Keys as a team may have them after some months, in the format of e2e/seed. */
function pastKeys({ handbook, api: reference, notes }) {
  const by = USER.username;
  return [
    { name: 'Old intranet', sources: [handbook], days: 240, by, then: ['revoke'] },
    { name: 'Contractor access', sources: [reference], days: 200, expires_days: -4, by },
    { name: 'Load test', sources: [reference], days: 180, by: 'bob', then: ['disable'] },
    { name: 'Help center search', sources: [handbook], days: 150, peak: 60, by },
    { name: 'Trade fair, booth 12', sources: [notes], days: 90, begins_days: 18, expires_days: 23, by },
    { name: 'Slack bot', agent: '{env.FORMER_AGENT_KEY}', days: 80, peak: 3, by },
    { name: 'CI: broken-link checker', sources: [reference], days: 60, expires_days: 88, peak: 2, by: 'bob' },
    { name: 'Mobile app, iOS and Android', sources: [handbook, reference, notes], days: 40, peak: 210, by },
    { name: 'Sales demo', sources: [handbook], days: 21, expires_days: 12, peak: 14, by: 'bob' },
    { name: 'Support chat (production)', agent: '{env.SUPPORT_AGENT_KEY}', days: 9, peak: 1320, by },
    { name: 'docs.example.com', sources: [handbook, reference], days: 8, peak: 480, by, then: ['rotate'] },
  ];
}

async function picture(page, name, colorScheme, height = 829) {
  if (!process.env.UPDATE_IMAGES) return;
  await page.emulateMedia({ colorScheme });
  await page.setViewportSize({ width: WIDTHS[0], height });
  await page.mouse.move(0, 0);
  const folder = path.join(REPO, 'docs', 'images');
  fs.mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, name), animations: 'disabled' });
}
