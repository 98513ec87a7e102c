// The console as users see it: keys are created, shown once, tried, listed, updated, rotated and revoked, and the gate
// treats a key as the console says.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { WIDGET_VERSIONS } from '../../lib/widget-packages.mjs';
import {
  USER, api, assertNoConsoleErrors, createKey, makeConsoleKeys, question, shownKey, signIn, startConsole,
} from '../../lib/console.mjs';
import { runProgram, servePages, askOnPage } from '../../lib/run-snippets.mjs';
import { assertAnswered, assertErrorShown, assertFromHandbook, assertHumanReadable } from '../../lib/assertions.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { findSecrets } from '../../lib/secrets.mjs';
import { waitFor } from '../../lib/wait-for.mjs';
import { startTestbed } from '../../lib/testbed.mjs';

const QUESTION = 'How do I reset the device?';

describe('console', () => {
  let testbed;
  before(async () => { testbed = await startTestbed({ browser: true, keys: makeConsoleKeys(), start: startConsole }); });
  after(() => testbed?.close());

  /**
   * Defines a test. body gets open(path, options), which opens a page of the console, signed in; these pages must have no
   * console errors at the end.
   */
  function scenario(name, body) {
    test(name, (t) => testbed.scenario(async () => {
      const pages = [];
      await body(async (path = '/', { signedIn = true, at = 'token', ...options } = {}) => {
        const page = await testbed.visit(`${testbed.gate.console(at)}${path}`, options);
        pages.push(page);
        if (signedIn && at === 'token') await signIn(page, testbed.keys.adminToken);
        return page;
      });
      for (const page of pages) assertNoConsoleErrors(page);
    })(t));
  }

  const rowOf = (page, name) => page.getByRole('row').filter({ has: page.getByRole('rowheader', { name }) });
  const countKeys = async () => (await api(testbed, 'GET', '/v1/keys?limit=1')).total;

  scenario('signing in: a wrong token is rejected, the right one leads to the requested page, and signing out works', async (open) => {
    const page = await open('/audit', { signedIn: false });
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await signIn(page, 'not the admin token at all');
    await page.getByText('This is not the admin token.').waitFor();
    assert.equal(await page.getByLabel('Admin token').inputValue(), '', 'the form contains the rejected token');
    await signIn(page, testbed.keys.adminToken);
    await page.getByRole('heading', { name: 'Audit trail' }).waitFor();

    const [cookie] = await page.context().cookies();
    assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, 'Strict']);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await page.context().addCookies([cookie]);
    await page.goto(testbed.gate.console());
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  });

  scenario('the list: search while typing, filters, pagination; keys of a file are read-only', async (open) => {
    await api(testbed, 'POST', '/v1/import', {
      keys: Array.from({ length: 60 }, (_, i) => (
        { name: `Batch ${i}`, source: testbed.keys.sources[i < 7 ? 'payroll' : 'handbook'] }
      )),
    });
    const page = await open();
    await page.getByText(/^1 to 50 of \d+ keys$/).waitFor();
    await page.getByRole('link', { name: 'Next page' }).click();
    await page.getByText(/^51 to \d+ of/).waitFor();
    await page.getByRole('link', { name: 'First page' }).click();
    await page.getByText(/^1 to 50 of \d+ keys$/).waitFor();
    await page.waitForLoadState('load'); // search while typing needs the page's script

    const search = page.getByRole('searchbox', { name: 'Search' });
    await search.fill('batch 59');
    await page.getByText('1 key', { exact: true }).waitFor();
    await page.waitForURL(/\?q=batch\+59$/);
    await search.fill('Batch');
    await page.getByText('1 to 50 of 60 keys').waitFor();
    await page.getByLabel('Source', { exact: true }).fill(testbed.keys.sources.payroll);
    await page.getByText('7 keys', { exact: true }).waitFor();
    await page.getByLabel('State', { exact: true }).selectOption('revoked');
    await page.getByText('No keys match your search').waitFor();
    const marked = page.getByRole('navigation', { name: 'Keys by state' }).locator('[aria-current]');
    assert.match(await marked.innerText(), /Revoked/);
    await page.getByLabel('State', { exact: true }).selectOption('');
    await page.getByText('7 keys', { exact: true }).waitFor();
    assert.equal(await marked.count(), 0, 'a state is marked that is not the filter of the list');
    await page.getByRole('link', { name: 'Clear the search' }).click();
    await page.getByLabel('Feed').selectOption({ label: 'Key file' });
    await page.getByText('7 keys', { exact: true }).waitFor();

    await page.getByLabel('Sort by').selectOption('Name, A to Z');
    await page.locator('th[aria-sort="ascending"]').getByText('Name').waitFor();
    const names = await page.getByRole('rowheader').getByRole('link').allInnerTexts();
    assert.deepEqual(names, names.toSorted((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1)));
    await page.getByRole('link', { name: 'Bound to a source' }).click();
    await page.getByText('It is read-only here. Change it in its feed.').waitFor();
    for (const name of ['Rotate', 'Disable', 'Revoke', 'Save changes']) {
      assert.equal(await page.getByRole('button', { name }).or(page.getByRole('link', { name })).count(), 0, name);
    }
    assert.doesNotMatch(await page.content(), new RegExp(testbed.keys.agents.handbook));
  });

  test('a search while the gate is unreachable says so, and recovers', (t) => testbed.scenario(async () => {
    const page = await testbed.visit(testbed.gate.console('loopback'));
    const found = page.locator('#found');
    const before = await found.innerText();
    await page.context().setOffline(true);
    await page.getByRole('searchbox', { name: 'Search' }).fill('nothing like this');
    await page.getByText('The console could not be reached.').waitFor();
    await page.context().setOffline(false);
    await page.getByRole('searchbox', { name: 'Search' }).fill('');
    await waitFor('the list is restored', async () => await found.innerText() === before);
    assert.deepEqual(page.trail.errors, []);
  })(t));

  scenario('a token that is pasted into the search is not in any URL, page or log', async (open) => {
    const name = 'Found by its last characters';
    const { token } = await api(testbed, 'POST', '/v1/keys', { name, source: testbed.keys.sources.handbook });
    const page = await open();
    await page.getByRole('searchbox', { name: 'Search' }).waitFor();
    await page.waitForLoadState('load'); // search while typing needs the page's script
    await page.getByRole('searchbox', { name: 'Search' }).fill(token);
    await page.getByText('found by its token').waitFor();
    await rowOf(page, name).waitFor();
    assert.equal(await page.getByRole('searchbox', { name: 'Search' }).inputValue(), '');
    const unknown = crypto.randomUUID(); // as DocsGPT's own keys
    await page.getByRole('searchbox', { name: 'Search' }).fill(unknown);
    await page.getByText('No key has this token').waitFor();
    assert.ok(!page.url().includes(unknown));
    await page.getByRole('searchbox', { name: 'Search' }).fill(token);
    await page.getByText('found by its token').waitFor();
    const plain = await open(undefined, { javaScriptEnabled: false });
    await plain.getByRole('searchbox', { name: 'Search' }).fill(token);
    await plain.getByRole('button', { name: 'Search' }).click();
    await rowOf(plain, name).waitFor();
    for (const one of [page, plain]) assert.ok(!(one.url() + await one.content()).includes(token));
    await waitFor('the search is in the log', () => testbed.gate.log().includes('"uri":"/?REDACTED"'));
    assert.deepEqual(findSecrets(testbed.dir, { token, unknown }), []);
  });

  scenario('the token is shown once, and nowhere else', async (open) => {
    const page = await open(undefined, { permissions: ['clipboard-read', 'clipboard-write'] });
    const { name, token, id } = await createKey(testbed, page, { name: 'Shown once', source: 'handbook', lifetime: '90 days' });
    await page.getByRole('button', { name: 'Copy' }).first().click();
    await page.getByText('The key is on the clipboard.').waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), token);
    assert.ok(!(await page.evaluate(() => [location.href, document.title, document.cookie, history.state,
      ...Object.entries(localStorage), ...Object.entries(sessionStorage)].join())).includes(token));
    assert.match(await page.getByText(/^\d{4}-\d\d-\d\d \d\d:\d\d UTC$/).textContent(), /./);

    const keys = await countKeys();
    await page.reload(); // submits the form again
    await page.getByRole('heading', { name: 'This key was already created' }).waitFor();
    assert.equal(await countKeys(), keys, 'a second key was created');
    assert.ok(!(await page.content()).includes(token));

    await page.getByRole('link', { name: `Go to the key ${name}` }).click();
    await page.getByRole('heading', { name }).waitFor();
    const keyPath = new URL(page.url()).pathname;
    assert.equal(keyPath, `/keys/${id}`);
    await page.goBack().catch(() => {}); // Chromium shows its own page instead of submitting the form again
    assert.ok(!(await waitFor('a page is shown', () => page.content())).includes(token), 'going back shows the token');
    assert.ok(page.trail.requests.every((r) => !r.url.includes(token)));
    await page.goto(testbed.gate.console() + keyPath);
    assert.ok((await page.content()).includes(`dgk_...${token.slice(-4)}`));
    assert.ok(!(await page.content()).includes(token));
  });

  scenario('a form that is submitted several times concurrently creates one key', async (open) => {
    const page = await open('/new');
    await page.getByRole('textbox', { name: 'Name' }).fill('Twice');
    await page.getByRole('checkbox', { name: 'handbook' }).check();
    const statuses = await page.evaluate(async () => {
      const form = document.querySelector('form[action="/new"]');
      const body = new URLSearchParams(new FormData(form));
      const send = async () => (await fetch(form.action, { method: 'POST', body })).status;
      return Promise.all([send(), send(), send()]);
    });
    assert.deepEqual(statuses.sort(), [201, 409, 409]);
    assert.equal((await api(testbed, 'GET', '/v1/keys?q=Twice')).total, 1);
  });

  scenario('"Try it" streams the answer', async (open) => {
    const page = await open();
    await createKey(testbed, page, { name: 'Tried', typed: testbed.keys.sources.handbook });
    await page.evaluate(() => {
      window.steps = new Set();
      const box = document.getElementById('answer');
      new MutationObserver(() => window.steps.add(box.textContent))
        .observe(box, { childList: true, subtree: true, characterData: true });
    });
    await page.getByLabel('Question').fill(`${QUESTION} [[words=20]]`);
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.getByText('Sources: handbook').waitFor();
    assertFromHandbook(await page.getByRole('log').textContent(), testbed.keys);
    const steps = await page.evaluate(() => window.steps.size);
    assert.ok(steps > 3, `${steps} steps`);

    await page.getByLabel('Question').fill('[[fail=429]]');
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.getByText('(status 429)').waitFor();

    // By keyboard, with an answer longer than its box: the end of the answer is in view, and the button keeps the focus.
    await page.getByLabel('Question').fill(`${QUESTION} [[words=150]]`);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByText('Sources: handbook').waitFor();
    const [hidden, rest] = await page.getByRole('log').evaluate((box) => (
      [box.scrollHeight - box.clientHeight, box.scrollHeight - box.clientHeight - box.scrollTop]));
    assert.ok(hidden > 0 && rest < 2, `${rest} of ${hidden} pixels below the visible part`);
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Ask');
  });

  scenario('a key for an agent by reference: the snippets that the page shows work', async (open) => {
    const page = await open();
    const { token } = await createKey(testbed, page, { name: 'Agent by reference', agent: '{env.E2E_AGENT_HANDBOOK}' });
    const code = async (tab) => {
      await page.getByRole('tab', { name: tab, exact: true }).click();
      return page.getByRole('tabpanel', { name: tab, exact: true }).locator('pre').textContent();
    };
    assert.match(await runProgram('sh', await code('curl')), /source=handbook/);
    assert.match(await runProgram('js', await code('OpenAI (JavaScript)')), /source=handbook/);
    const fetched = await runProgram('js', `${await code('DocsGPT API')}\nconsole.log(answer, sources[0].title)`);
    assert.match(fetched, /source=handbook[^]* handbook/);
    const python = await code('OpenAI (Python)'); // the SDK for Python is not installed, so only the syntax is checked
    await runProgram('py', `import ast\nast.parse(${JSON.stringify(python)})`);
    assert.match(await code('React'), new RegExp(`apiKey="${token}"`));
    const html = await code('Widget');
    const pages = await servePages();
    try {
      assert.match(await askOnPage(page.context().browser(), pages.add(html), html), /source=handbook/);
    } finally {
      await pages.stop();
    }
  });

  scenario('agents that can be chosen are those that are listed and keys of other feeds; no other is taken', async (open) => {
    const page = await open();
    await page.getByRole('link', { name: 'Create key' }).click();
    await page.getByRole('radio', { name: /^Agent/ }).check();
    const values = await page.locator('#agent option').evaluateAll((all) => all.map((option) => option.value));
    assert.equal(values[1], '{env.E2E_AGENT_HANDBOOK}');
    assert.ok(!values.some((value) => value.startsWith('{') && value !== '{env.E2E_AGENT_HANDBOOK}'), values.join(' '));
    const count = await countKeys();
    const said = new Set();
    for (const reference of ['{file./etc/hostname}', '{file./not/there}', '{env.PATH}']) {
      const response = await fetch(`${testbed.gate.console()}/v1/import`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${testbed.keys.adminToken}`, 'Content-Type': 'application/json' },
        body: JSON.stringify({ dry_run: true, keys: [{ name: 'x', agent: reference }] }),
      });
      said.add(`${response.status} ${await response.text()}`);
      // A page that was tampered with.
      await page.locator('#agent').evaluate((select, value) => select.add(new Option(value, value, true, true)), reference);
      await page.getByRole('textbox', { name: 'Name' }).fill('Not listed');
      await page.getByRole('button', { name: 'Create key' }).click();
      await page.getByText('This reference is not listed in the configuration').waitFor();
    }
    assert.equal(said.size, 1, [...said].join('\n'));
    assert.match([...said][0], /^422 .*agent_not_listed/);
    assert.equal(await countKeys(), count);
  });

  scenario('a key for an agent by its pasted key, which is not on any page', async (open) => {
    const page = await open();
    const { id, token } = await createKey(testbed, page, { name: 'Agent by its key', agentKey: testbed.keys.agents.handbook });
    for (const mode of PROXY_MODES) assertFromHandbook((await question(testbed, token, mode)).answer, testbed.keys);
    for (const path of ['', `/keys/${id}`, '/audit']) {
      if (path) await page.goto(testbed.gate.console() + path);
      assert.ok(!(await page.content()).includes(testbed.keys.agents.handbook), path);
    }
  });

  for (const version of WIDGET_VERSIONS) {
    scenario(`${version}: a key works in the widget from its creation to its revocation`, async (open) => {
      const page = await open();
      const { name, token } = await createKey(testbed, page, { name: `Widget ${version}`, source: 'handbook' });
      const chats = [];
      for (const mode of PROXY_MODES) {
        const chat = await testbed.widget(version, { apiHost: testbed.gate.url(mode), apiKey: token });
        assertAnswered(await chat.ask(QUESTION), testbed.keys);
        chats.push(chat);
      }

      await page.getByRole('link', { name: /go to the key/ }).click();
      await page.getByRole('button', { name: 'Disable' }).click();
      await page.getByText('The key is disabled').waitFor();
      assertErrorShown(await chats[0].ask(QUESTION));
      await page.getByRole('button', { name: 'Enable' }).click();
      await page.getByText('The key is enabled again').waitFor();
      assertAnswered(await chats[0].ask(QUESTION), testbed.keys);

      await page.getByRole('link', { name: 'Revoke' }).click();
      await page.getByRole('heading', { name: 'Revoke this key?' }).waitFor();
      assert.match(await page.getByRole('main').innerText(), new RegExp(`${name}[^]*This cannot be undone`));
      await page.getByRole('button', { name: `Revoke ${name}` }).click();
      await page.getByText('The key is revoked').waitFor();
      for (const chat of chats) assertErrorShown(await chat.ask(QUESTION));
      assert.equal((await question(testbed, token)).status, 401);
      assert.equal(await page.getByRole('link', { name: 'Rotate' }).count(), 0, 'a revoked key is offered to be rotated');
      await page.getByRole('link', { name: 'Keys', exact: true }).first().click();
      assert.match(await rowOf(page, name).innerText(), /Revoked/);
    });
  }

  scenario('rotation: both tokens are valid in the grace period, and use of the previous one is shown; without one it is rejected', async (open) => {
    const page = await open();
    const first = await createKey(testbed, page, { name: 'Turned', source: 'handbook' });
    await page.getByRole('link', { name: /go to the key/ }).click();
    await page.getByRole('link', { name: 'Rotate' }).click();
    await page.getByRole('radio', { name: 'Custom' }).check();
    await page.getByLabel('Duration', { exact: true }).fill('31d');
    await page.getByRole('button', { name: 'Rotate key' }).click();
    await page.getByText('30 days at most').waitFor();
    await page.getByRole('radio', { name: '7 days' }).check();
    await page.getByRole('button', { name: 'Rotate key' }).click();
    const second = await shownKey(testbed, page, 'Turned');
    assert.equal(second.id, first.id);
    assert.notEqual(second.token, first.token);

    const list = await open();
    await rowOf(list, 'Turned').getByText('previous token still valid').waitFor();
    for (const mode of PROXY_MODES) {
      for (const { token } of [first, second]) assertFromHandbook((await question(testbed, token, mode)).answer, testbed.keys);
    }
    await list.reload();
    await rowOf(list, 'Turned').getByText('previous token still used').waitFor();

    await page.getByRole('link', { name: /go to the key/ }).click();
    await page.getByText('It is still used').waitFor();
    await page.getByRole('link', { name: 'Rotate' }).click();
    await page.getByText('is still used').waitFor();
    await page.getByRole('radio', { name: 'None' }).check();
    await page.getByRole('button', { name: 'Rotate key' }).click();
    await page.getByText('no longer valid').waitFor();
    const third = await shownKey(testbed, page, 'Turned');
    assert.equal((await question(testbed, second.token)).status, 401);
    assert.equal((await question(testbed, third.token)).status, 200);
  });

  scenario('a key is updated, and is rejected from the time at which it expires', async (open) => {
    const page = await open();
    const { id, token } = await createKey(testbed, page, { name: 'To be changed', source: 'handbook', lifetime: '30 days' });
    await page.getByRole('link', { name: /go to the key/ }).click();
    await page.getByRole('textbox', { name: 'Name' }).fill('Changed');
    await page.getByLabel('Not before (UTC)').fill('2999-01-01T00:00');
    await page.getByRole('button', { name: 'Save changes' }).click();
    await page.locator('[aria-invalid=true]').waitFor();
    assertHumanReadable(await page.locator('.wrong').innerText());
    assert.equal((await question(testbed, token)).status, 200);
    await page.getByLabel('Expires (UTC)').fill('');
    await page.getByRole('button', { name: 'Save changes' }).click();
    await page.getByText('The changes are saved and in effect.').waitFor();
    await page.getByRole('heading', { name: 'Changed' }).first().waitFor();
    await page.getByText('Not yet valid').waitFor();
    assert.equal((await question(testbed, token)).status, 401);
    await page.getByLabel('Not before (UTC)').fill('');
    await page.getByRole('button', { name: 'Save changes' }).click();
    await page.getByText('Active').waitFor();
    assert.equal((await question(testbed, token)).status, 200);

    await api(testbed, 'PATCH', `/v1/keys/${id}`, { expires: new Date(Date.now() + 5000).toISOString() });
    const rejected = await waitFor('the key expires', async () => {
      const response = await question(testbed, token);
      return response.status === 401 && response;
    });
    assertHumanReadable(rejected.error);
    await page.goto(`${testbed.gate.console()}/?state=expired&q=Changed`);
    await rowOf(page, 'Changed').locator('.badge').getByText('Expired').waitFor();
  });

  for (const javaScriptEnabled of [true, false]) {
    const name = javaScriptEnabled ? 'Deleted' : 'Deleted without JavaScript';
    scenario(`${name}: a revoked key is deleted after a confirmation; its audit trail remains, and its token is still rejected`, async (open) => {
      const { sources } = testbed.keys;
      const { id, token } = await api(testbed, 'POST', '/v1/keys', { name, source: sources.handbook });
      const page = await open(`/keys/${id}`, { javaScriptEnabled });
      await page.getByRole('link', { name: 'Revoke' }).waitFor();
      assert.equal(await page.getByRole('link', { name: 'Delete' }).count(), 0, 'a valid key is offered to be deleted');
      await api(testbed, 'POST', `/v1/keys/${id}/revoke`, {});
      await page.reload();
      await page.getByRole('link', { name: 'Delete' }).click();
      await page.getByRole('heading', { name: 'Delete this key?' }).waitFor();
      assert.match(await page.getByRole('main').innerText(),
        new RegExp(`${name}[^]*${id}[^]*What is lost[^]*policy[^]*What remains[^]*audit trail[^]*This cannot be undone`));
      await page.getByRole('link', { name: 'Cancel' }).click();
      await page.getByRole('heading', { name, exact: true }).waitFor();
      assert.equal((await api(testbed, 'GET', `/v1/keys/${id}`)).state, 'revoked');

      const keys = await countKeys();
      await page.getByRole('link', { name: 'Delete' }).click();
      await page.getByRole('button', { name: `Delete ${name}`, exact: true }).click();
      await page.getByText(`The key ${name} is deleted.`).waitFor();
      assert.equal(await countKeys(), keys - 1);
      assert.equal(await page.locator(`a[href="/keys/${id}"]`).count(), 0, 'the key is in the list');
      for (const mode of PROXY_MODES) assert.equal((await question(testbed, token, mode)).status, 401);

      await page.getByRole('link', { name: 'Its audit trail' }).click();
      await page.getByText('Entries of the key').waitFor();
      const texts = await page.getByRole('main').getByRole('listitem').allInnerTexts();
      assert.deepEqual(texts.map((text) => text.split(/\s/)[0]), ['Deleted', 'Revoked', 'Created']);
      for (const text of texts) assert.match(text, /admin token\s+from 127\.0\.0\.1/);
      await page.getByLabel('Action').selectOption('Deleted');
      await page.getByLabel('Key', { exact: true }).fill('');
      await page.getByRole('button', { name: 'Filter' }).click();
      await page.waitForURL((url) => url.search === '?action=deleted');
      const entry = page.getByRole('main').getByRole('listitem').filter({ hasText: id });
      assert.match(await entry.innerText(), new RegExp(name));
      assert.equal(await entry.locator(`a[href^="/keys/"]`).count(), 0, 'a link to a page that does not exist');

      const response = await page.goto(`${testbed.gate.console()}/keys/${id}`); // from a bookmark
      assert.equal(response.status(), 404);
      await page.getByText(/^This key was deleted on .* UTC\. Its audit trail remains\.$/).waitFor();
      await page.getByRole('link', { name: 'Audit trail of the key' }).click();
      await page.getByText('Entries of the key').waitFor();
    });
  }

  scenario('the audit trail shows action, actor and address', async (open) => {
    const { sources } = testbed.keys;
    const created = await api(testbed, 'POST', '/v1/keys', { name: 'Told of', source: sources.handbook });
    for (const step of ['disable', 'enable', 'rotate', 'revoke']) await api(testbed, 'POST', `/v1/keys/${created.id}/${step}`, {});
    const other = await open(undefined, { at: 'password', httpCredentials: USER });
    await createKey(testbed, other, { name: 'By alice', source: 'handbook' });
    assert.match(await other.getByRole('banner').innerText(), /alice/);

    const page = await open('/audit');
    const entries = page.getByRole('main').getByRole('listitem');
    assert.match(await entries.filter({ hasText: 'By alice' }).innerText(), /^Created[^]*alice\s+from 127\.0\.0\.1/);
    await entries.filter({ hasText: 'Told of' }).first().getByTitle('Entries of this key only').click();
    await page.getByText('Entries of the key').waitFor();
    const texts = await entries.allInnerTexts();
    assert.deepEqual(texts.map((text) => text.split(/\s/)[0]), ['Revoked', 'Rotated', 'Enabled', 'Disabled', 'Created']);
    for (const text of texts) assert.match(text, /admin token\s+from 127\.0\.0\.1/);
    assert.doesNotMatch(await page.content(), /dg[kps]_[0-9A-Za-z]{36}/);
  });

  scenario('a key for a public page: the preset, the preview and the effect agree with the gate', async (open) => {
    const page = await open('/new');
    await page.getByRole('textbox', { name: 'Name' }).fill('For one page');
    await page.getByRole('checkbox', { name: 'handbook' }).check();
    await page.waitForLoadState('load'); // presets without a round trip need the page's script
    await page.getByRole('button', { name: 'Public page' }).click();
    assert.ok(await page.getByRole('radio', { name: /^Publishable/ }).isChecked());
    await page.getByRole('button', { name: 'Create key' }).click();
    await page.getByText('A publishable key needs origins').waitFor();
    assert.ok(await page.getByRole('checkbox', { name: 'handbook' }).isChecked(), 'the selected source is lost');
    assert.equal(await page.getByLabel('Requests per visitor').inputValue(), '20/1m');
    await page.getByLabel('Pages that may use the key').fill('https://docs.example.com');
    const preview = page.locator('#preview');
    for (const [address, result] of [['https://docs.example.com/start', 'allowed'], ['https://shop.example.com', 'origin_not_allowed']]) {
      await page.getByLabel('Check a page').fill(address);
      await page.getByRole('button', { name: 'Check', exact: true }).click();
      await preview.getByText(`${new URL(address).origin}: ${result}`).waitFor();
    }
    await page.getByRole('button', { name: 'Create key' }).click();
    const { token, id } = await shownKey(testbed, page, 'For one page');
    assert.match(token, /^dgp_/);
    for (const [origin, status] of [['https://docs.example.com', 200], ['https://shop.example.com', 403]]) {
      const response = await fetch(`${testbed.gate.url(PROXY_MODES[0])}/api/answer`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Origin: origin },
        body: JSON.stringify({ question: QUESTION, api_key: token }),
      });
      assert.equal(response.status, status, origin);
    }
    await page.goto(`${testbed.gate.console()}/keys/${id}`);
    await page.getByText('on pages of docs.example.com, at widget, 20 requests a minute per visitor').waitFor();
    await page.getByLabel('Requests per visitor').fill('30/1m');
    await page.getByRole('button', { name: 'Save changes' }).click();
    await page.getByText('30 requests a minute per visitor').waitFor();
  });

  scenario('the audit trail can be filtered by action, key, actor and time', async (open) => {
    const { id, token } = await api(testbed, 'POST', '/v1/keys', { name: 'Filtered', source: testbed.keys.sources.handbook });
    await api(testbed, 'POST', `/v1/keys/${id}/disable`, {});
    const page = await open('/audit', { javaScriptEnabled: false });
    await page.getByLabel('Key', { exact: true }).fill(token);
    await page.getByLabel('Action').selectOption('Disabled');
    await page.getByRole('button', { name: 'Filter' }).click();
    await page.waitForURL((url) => url.search !== '');
    assert.equal(await page.locator('.trail li').count(), 1);
    assert.ok(page.url().includes(id) && !page.url().includes(token));
    await page.getByLabel('Actor').fill('nobody');
    await page.getByRole('button', { name: 'Filter' }).click();
    await page.getByText('There are no entries.').waitFor();
    await page.getByLabel('Actor').fill('admin');
    await page.getByLabel('Before (UTC)').fill('2020-01-01T00:00');
    await page.getByRole('button', { name: 'Filter' }).click();
    await page.getByText('There are no entries.').waitFor();
  });

  scenario('a key can be created with the keyboard alone', async (open) => {
    const page = await open();
    const focused = () => page.evaluate(() => {
      const e = document.activeElement;
      return (e.matches('a, button, summary') ? e : e.labels?.[0])?.textContent.trim() ?? '';
    });
    const tabTo = async (wanted) => {
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press('Tab');
        if (wanted.test(await focused())) return;
      }
      assert.fail(`Tab does not reach ${wanted}; the focus is on ${await focused()}`);
    };
    await page.getByRole('heading', { name: 'Keys' }).waitFor();
    await tabTo(/^Create key$/);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Create key' }).waitFor();
    await waitFor('the cursor is in the first field', async () => await focused() === 'Name');
    await page.keyboard.type('By keyboard');
    await tabTo(/^handbook/);
    await page.keyboard.press('Space');
    await tabTo(/^Never/);
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    const { token } = await shownKey(testbed, page, 'By keyboard');
    assert.equal((await question(testbed, token)).status, 200);
    await page.getByRole('tab', { name: 'Widget' }).waitFor(); // added by a script
    await tabTo(/^Widget$/);
    await page.keyboard.press('ArrowRight');
    await page.getByRole('tab', { name: 'React', selected: true }).waitFor();
    await page.keyboard.press('End');
    await page.getByRole('tabpanel').waitFor();
  });

  scenario('without JavaScript keys can be created and revoked, and the theme can be changed', async (open) => {
    const page = await open(undefined, { javaScriptEnabled: false });
    const { name, token } = await createKey(testbed, page, { name: 'No script', source: 'handbook' });
    assert.equal(await page.getByRole('button', { name: 'Copy' }).count(), 0, 'a button without function');
    assert.equal((await question(testbed, token)).status, 200);
    await page.getByRole('link', { name: /go to the key/ }).click();
    await page.getByRole('link', { name: 'Revoke' }).click();
    await page.getByRole('button', { name: `Revoke ${name}` }).click();
    await page.getByText('The key is revoked').waitFor();
    assert.equal((await question(testbed, token)).status, 401);
    await page.getByRole('button', { name: 'Dark' }).click();
    assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark');
    await page.getByRole('link', { name: 'Audit trail' }).click();
    assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark');
  });

  for (const javaScriptEnabled of [true, false]) {
    scenario(`a source that DocsGPT does not list is named before a key is created, ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, async (open) => {
      const page = await open(undefined, { javaScriptEnabled });
      const [name, unknown] = [`Unknown source, ${javaScriptEnabled}`, crypto.randomUUID()];
      await page.getByRole('link', { name: 'Create key' }).click();
      await page.getByRole('textbox', { name: 'Name' }).fill(name);
      await page.getByText('Enter other source IDs').click();
      await page.getByLabel('Source IDs').fill(unknown);
      if (!javaScriptEnabled) {
        await page.getByRole('button', { name: 'Create key', exact: true }).click();
        await page.getByText('The key was not created yet').waitFor();
        assert.equal((await api(testbed, 'GET', `/v1/keys?source=${unknown}`)).total, 0);
      }
      await page.getByText('DocsGPT does not list every one of these sources').waitFor();
      await page.getByRole('button', { name: /^Create key/ }).click();
      await shownKey(testbed, page, name);
    });
  }

  scenario('a new key that is restricted to a page and to addresses: the page says from where it asks, and the answer comes', async (open) => {
    const page = await open();
    await page.getByRole('link', { name: 'Create key' }).click();
    await page.getByRole('textbox', { name: 'Name' }).fill('Restricted');
    await page.getByRole('checkbox', { name: 'handbook' }).check();
    await page.getByRole('radio', { name: /^Publishable/ }).check();
    await page.getByLabel('Pages that may use the key').fill('https://*.example.com');
    await page.getByText('Networks and endpoints').click();
    await page.locator('[name=ips]').fill('127.0.0.0/8');
    await page.getByRole('button', { name: 'Create key' }).click();
    await shownKey(testbed, page, 'Restricted');
    await page.getByText('on a page of https://www.example.com, from your address 127.0.0.1').waitFor();
    await page.getByLabel('Question').fill(QUESTION);
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.getByText('Sources: handbook').waitFor();
    assert.deepEqual(await page.getByRole('tab').allTextContents(), ['Widget', 'React', 'curl']);
  });

  scenario('behind basic_auth: the password is required, and there is no other sign-in', async (open) => {
    const base = testbed.gate.console('password');
    assert.equal((await fetch(base)).status, 401);
    assert.equal((await fetch(`${base}/v1/keys`, { headers: { Authorization: `Bearer ${testbed.keys.adminToken}` } })).status, 401);
    const page = await open('/', { at: 'password', httpCredentials: USER });
    const { token } = await createKey(testbed, page, { name: 'Behind a password', source: 'handbook' });
    assert.equal((await question(testbed, token)).status, 200);
    assert.equal(await page.getByRole('button', { name: 'Sign out' }).count(), 0);
  });

  scenario('on loopback: usable without signing in, from this machine only', async (open) => {
    const page = await open('/', { at: 'loopback' });
    const { token } = await createKey(testbed, page, { name: 'From here', source: 'handbook' });
    assert.equal((await question(testbed, token)).status, 200);
    const base = testbed.gate.console('loopback');
    const send = (headers) => runProgram('sh',
      `curl -sS -o /dev/null -w '%{http_code}' ${headers.map((h) => `-H '${h}'`).join(' ')} ${base}/v1/keys`);
    assert.equal(await send([]), '200');
    assert.equal(await send(['X-Forwarded-For: 192.0.2.1']), '403');
    assert.equal(await send(['Host: keys.example.com']), '403', 'DNS rebinding');
    assert.equal(await send(['Sec-Fetch-Site: cross-site']), '403');
  });

  scenario('a page of another site can use neither the session nor the loopback address of this browser (CSRF)', async (open) => {
    const page = await open();
    const { id, token } = await api(testbed, 'POST', '/v1/keys', { name: 'Not theirs', source: testbed.keys.sources.handbook });
    for (const at of ['token', 'loopback']) {
      const other = await page.context().newPage(); // on another port, which is the same site for cookies
      await other.goto(testbed.site.origin);
      const address = `${testbed.gate.console(at)}/keys/${id}/revoke`;
      const [response] = await Promise.all([
        other.waitForResponse(address),
        other.evaluate((to) => {
          const form = Object.assign(document.createElement('form'), { method: 'post', action: to });
          document.body.append(form);
          form.submit();
        }, address),
      ]);
      assert.equal(response.status(), 403, at);
    }
    assert.equal((await question(testbed, token)).status, 200);
    await page.goto(`${testbed.gate.console()}/keys/${id}/revoke`);
    await page.getByRole('button', { name: 'Revoke Not theirs' }).click();
    await page.getByText('The key is revoked').waitFor();
  });
});
