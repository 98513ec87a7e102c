// The page for keys, as people use it: made, shown once, tried, listed, changed, rotated, revoked; and that what it says
// of a key is so at the gate.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { WIDGET_VERSIONS } from '../lib/bundles.mjs';
import {
  USER, api, assertQuiet, createKey, makeConsoleKeys, question, shownKey, signIn, startConsole,
} from '../lib/console.mjs';
import { runProgram, servePages, usePage } from '../lib/examples.mjs';
import { assertAnswered, assertFromHandbook, assertSentence, assertToldWhy } from '../lib/expect.mjs';
import { WAYS } from '../lib/gate.mjs';
import { findSecrets } from '../lib/secrets.mjs';
import { until } from '../lib/until.mjs';
import { startWorld } from '../lib/world.mjs';

const QUESTION = 'How do I reset the device?';

describe('console', () => {
  let world;
  before(async () => { world = await startWorld({ browser: true, keys: makeConsoleKeys(), start: startConsole }); });
  after(() => world?.close());

  /** A test whose pages of the console have to be quiet. It gets open(path, options), which opens one, signed in. */
  function scenario(name, body) {
    test(name, (t) => world.scenario(async () => {
      const pages = [];
      await body(async (path = '/', { entered = true, at = 'token', ...options } = {}) => {
        const page = await world.visit(`${world.gate.console(at)}${path}`, options);
        pages.push(page);
        if (entered && at === 'token') await signIn(page, world.keys.adminToken);
        return page;
      });
      for (const page of pages) assertQuiet(page);
    })(t));
  }

  const rowOf = (page, name) => page.getByRole('row').filter({ has: page.getByRole('rowheader', { name }) });
  const countOfKeys = async () => (await api(world, 'GET', '/v1/keys?limit=1')).total;

  scenario('signing in: not with a wrong token, then to the page that was asked for, and out again', async (open) => {
    const page = await open('/audit', { entered: false });
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await signIn(page, 'not the admin token at all');
    await page.getByText('This is not the admin token.').waitFor();
    assert.equal(await page.getByLabel('Admin token').inputValue(), '', 'what was typed is sent back');
    await signIn(page, world.keys.adminToken);
    await page.getByRole('heading', { name: 'Audit trail' }).waitFor();

    const [cookie] = await page.context().cookies();
    assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, 'Strict']);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await page.context().addCookies([cookie]);
    await page.goto(world.gate.console());
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  });

  scenario('the list: search while typing, filters, pages; keys of a file can only be looked at', async (open) => {
    await api(world, 'POST', '/v1/import', {
      keys: Array.from({ length: 60 }, (_, i) => (
        { name: `Batch ${i}`, source: world.keys.sources[i < 7 ? 'payroll' : 'handbook'] }
      )),
    });
    const page = await open();
    await page.getByText(/^1 to 50 of \d+ keys$/).waitFor();
    await page.getByRole('link', { name: 'Next page' }).click();
    await page.getByText(/^51 to \d+ of/).waitFor();
    await page.getByRole('link', { name: 'First page' }).click();
    await page.getByText(/^1 to 50 of \d+ keys$/).waitFor();
    await page.waitForLoadState('load'); // only then does it search while one types

    const search = page.getByRole('searchbox', { name: 'Search' });
    await search.fill('batch 59');
    await page.getByText('1 key', { exact: true }).waitFor();
    await page.waitForURL(/\?q=batch\+59$/);
    await search.fill('Batch');
    await page.getByText('1 to 50 of 60 keys').waitFor();
    await page.getByLabel('Source', { exact: true }).fill(world.keys.sources.payroll);
    await page.getByText('7 keys', { exact: true }).waitFor();
    await page.getByLabel('State', { exact: true }).selectOption('revoked');
    await page.getByText('No key fits this search').waitFor();
    const marked = page.getByRole('navigation', { name: 'Keys by state' }).locator('[aria-current]');
    assert.match(await marked.innerText(), /Revoked/);
    await page.getByLabel('State', { exact: true }).selectOption('');
    await page.getByText('7 keys', { exact: true }).waitFor();
    assert.equal(await marked.count(), 0, 'a state that is not the one of the list');
    await page.getByRole('link', { name: 'Clear the search' }).click();
    await page.getByLabel('Feed').selectOption({ label: 'file:keys.yaml' });
    await page.getByText('7 keys', { exact: true }).waitFor();

    await page.getByRole('link', { name: 'Bound to a source' }).click();
    await page.getByText('It can be looked at here, and changed only where it is written.').waitFor();
    for (const name of ['Rotate', 'Disable', 'Revoke', 'Save changes']) {
      assert.equal(await page.getByRole('button', { name }).or(page.getByRole('link', { name })).count(), 0, name);
    }
    assert.doesNotMatch(await page.content(), new RegExp(world.keys.agents.handbook));
  });

  test('a search while the gate is away says so, and goes on once it is back', (t) => world.scenario(async () => {
    const page = await world.visit(world.gate.console('loopback'));
    const found = page.locator('#found');
    const before = await found.innerText();
    await page.context().setOffline(true);
    await page.getByRole('searchbox', { name: 'Search' }).fill('nothing like this');
    await page.getByText('The console could not be reached.').waitFor();
    await page.context().setOffline(false);
    await page.getByRole('searchbox', { name: 'Search' }).fill('');
    await until('the list is as before', async () => await found.innerText() === before);
    assert.deepEqual(page.trail.errors, []);
  })(t));

  scenario('a token that is pasted into the search gets into no address, page or log', async (open) => {
    const name = 'Found by its end';
    const { token } = await api(world, 'POST', '/v1/keys', { name, source: world.keys.sources.handbook });
    const page = await open();
    await page.getByRole('searchbox', { name: 'Search' }).waitFor();
    await page.waitForLoadState('load'); // only then does it search while one types
    await page.getByRole('searchbox', { name: 'Search' }).fill(token);
    await page.getByText('1 key', { exact: true }).waitFor();
    await rowOf(page, name).waitFor();
    const plain = await open(undefined, { javaScriptEnabled: false });
    await plain.getByRole('searchbox', { name: 'Search' }).fill(token);
    await plain.getByRole('button', { name: 'Search' }).click();
    await rowOf(plain, name).waitFor();
    for (const one of [page, plain]) assert.ok(!(one.url() + await one.content()).includes(token));
    await until('the search is in the log', () => world.gate.log().includes(`q=${token.slice(-4)}`));
    assert.deepEqual(findSecrets(world.dir, { token }), []);
  });

  scenario('the token is shown once, and is nowhere else', async (open) => {
    const page = await open(undefined, { permissions: ['clipboard-read', 'clipboard-write'] });
    const { name, token, id } = await createKey(world, page, { name: 'Shown once', source: 'handbook', lifetime: '90 days' });
    await page.getByRole('button', { name: 'Copy' }).first().click();
    await page.getByText('The key is on the clipboard.').waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), token);
    assert.ok(!(await page.evaluate(() => [location.href, document.title, document.cookie, history.state,
      ...Object.entries(localStorage), ...Object.entries(sessionStorage)].join())).includes(token));
    assert.match(await page.getByText(/^\d{4}-\d\d-\d\d \d\d:\d\d UTC$/).textContent(), /./);

    const keys = await countOfKeys();
    await page.reload(); // sends the form once more, as a browser's "send again" does
    await page.getByRole('heading', { name: 'This key was made already' }).waitFor();
    assert.equal(await countOfKeys(), keys, 'a second key was made');
    assert.ok(!(await page.content()).includes(token));

    await page.getByRole('link', { name: `Go to the key ${name}` }).click();
    await page.getByRole('heading', { name }).waitFor();
    const there = new URL(page.url()).pathname;
    assert.equal(there, `/keys/${id}`);
    await page.goBack().catch(() => {}); // Chromium would have to send the form again, and shows a page of its own
    assert.ok(!(await until('there is a page', () => page.content())).includes(token), 'the way back shows the token');
    assert.ok(page.trail.requests.every((r) => !r.url.includes(token)));
    await page.goto(world.gate.console() + there);
    assert.ok((await page.content()).includes(`dgk_...${token.slice(-4)}`));
    assert.ok(!(await page.content()).includes(token));
  });

  scenario('a form that is sent twice at once makes one key', async (open) => {
    const page = await open('/new');
    await page.getByRole('textbox', { name: 'Name' }).fill('Twice');
    await page.getByRole('checkbox', { name: 'handbook' }).check();
    const answers = await page.evaluate(async () => {
      const form = document.querySelector('form[action="/new"]');
      const body = new URLSearchParams(new FormData(form));
      const send = async () => (await fetch(form.action, { method: 'POST', body })).status;
      return Promise.all([send(), send(), send()]);
    });
    assert.deepEqual(answers.sort(), [201, 409, 409]);
    assert.equal((await api(world, 'GET', '/v1/keys?q=Twice')).total, 1);
  });

  scenario('"Try it" writes the answer while it comes', async (open) => {
    const page = await open();
    await createKey(world, page, { name: 'Tried', typed: world.keys.sources.handbook });
    await page.evaluate(() => {
      window.steps = new Set();
      const box = document.getElementById('answer');
      new MutationObserver(() => window.steps.add(box.textContent))
        .observe(box, { childList: true, subtree: true, characterData: true });
    });
    await page.getByLabel('Question').fill(`${QUESTION} [[words=20]]`);
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.getByText('Sources: handbook').waitFor();
    assertFromHandbook(await page.getByRole('log').textContent(), world.keys);
    const steps = await page.evaluate(() => window.steps.size);
    assert.ok(steps > 3, `${steps} steps`);

    await page.getByLabel('Question').fill('[[fail=429]]');
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.getByText('(status 429)').waitFor();

    // By keyboard, and longer than its box: the end of the answer is in view, and the focus stays on the button.
    await page.getByLabel('Question').fill(`${QUESTION} [[words=150]]`);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByText('Sources: handbook').waitFor();
    const [hidden, rest] = await page.getByRole('log').evaluate((box) => (
      [box.scrollHeight - box.clientHeight, box.scrollHeight - box.clientHeight - box.scrollTop]));
    assert.ok(hidden > 0 && rest < 2, `${rest} of ${hidden} below what is seen`);
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Ask');
  });

  scenario('a key for an agent by reference: the snippets that the page shows are programs', async (open) => {
    const page = await open();
    const { token } = await createKey(world, page, { name: 'Agent by reference', agent: '{env.E2E_AGENT_HANDBOOK}' });
    const code = async (tab) => {
      await page.getByRole('tab', { name: tab, exact: true }).click();
      return page.getByRole('tabpanel', { name: tab, exact: true }).locator('pre').textContent();
    };
    assert.match(await runProgram('sh', await code('curl')), /source=handbook/);
    assert.match(await runProgram('js', await code('OpenAI (JavaScript)')), /source=handbook/);
    const fetched = await runProgram('js', `${await code('DocsGPT API')}\nconsole.log(answer, sources[0].title)`);
    assert.match(fetched, /source=handbook[^]* handbook/);
    const python = await code('OpenAI (Python)'); // the SDK for Python is not here; that it is a program can be seen
    await runProgram('py', `import ast\nast.parse(${JSON.stringify(python)})`);
    assert.match(await code('React'), new RegExp(`apiKey="${token}"`));
    const html = await code('Widget');
    const pages = await servePages();
    try {
      assert.match(await usePage(page.context().browser(), pages.put(html), html), /source=handbook/);
    } finally {
      await pages.stop();
    }
  });

  scenario('a key for an agent by its pasted key, which no page shows', async (open) => {
    const page = await open();
    const { id, token } = await createKey(world, page, { name: 'Agent by its key', agentKey: world.keys.agents.handbook });
    for (const way of WAYS) assertFromHandbook((await question(world, token, way)).answer, world.keys);
    for (const path of ['', `/keys/${id}`, '/audit']) {
      if (path) await page.goto(world.gate.console() + path);
      assert.ok(!(await page.content()).includes(world.keys.agents.handbook), path);
    }
  });

  for (const version of WIDGET_VERSIONS) {
    scenario(`${version}: a key answers in the widget from when it is made until it is revoked`, async (open) => {
      const page = await open();
      const { name, token } = await createKey(world, page, { name: `Widget ${version}`, source: 'handbook' });
      const chats = [];
      for (const way of WAYS) {
        const chat = await world.widget(version, { apiHost: world.gate.url(way), apiKey: token });
        assertAnswered(await chat.ask(QUESTION), world.keys);
        chats.push(chat);
      }

      await page.getByRole('link', { name: /go to the key/ }).click();
      await page.getByRole('button', { name: 'Disable' }).click();
      await page.getByText('The key is disabled').waitFor();
      assertToldWhy(await chats[0].ask(QUESTION));
      await page.getByRole('button', { name: 'Enable' }).click();
      await page.getByText('The key is enabled again').waitFor();
      assertAnswered(await chats[0].ask(QUESTION), world.keys);

      await page.getByRole('link', { name: 'Revoke' }).click();
      await page.getByRole('heading', { name: 'Revoke this key?' }).waitFor();
      assert.match(await page.getByRole('main').innerText(), new RegExp(`${name}[^]*This cannot be undone`));
      await page.getByRole('button', { name: `Revoke ${name}` }).click();
      await page.getByText('The key is revoked').waitFor();
      for (const chat of chats) assertToldWhy(await chat.ask(QUESTION));
      assert.equal((await question(world, token)).status, 401);
      assert.equal(await page.getByRole('link', { name: 'Rotate' }).count(), 0, 'a revoked key is offered to be rotated');
      await page.getByRole('link', { name: 'Keys', exact: true }).first().click();
      assert.match(await rowOf(page, name).innerText(), /Revoked/);
    });
  }

  scenario('rotating: with a grace both tokens count, and it is seen who still uses the old one; without one it is refused', async (open) => {
    const page = await open();
    const first = await createKey(world, page, { name: 'Turned', source: 'handbook' });
    await page.getByRole('link', { name: /go to the key/ }).click();
    await page.getByRole('link', { name: 'Rotate' }).click();
    await page.getByRole('radio', { name: 'Custom' }).check();
    await page.getByLabel('Time', { exact: true }).fill('31');
    await page.getByRole('button', { name: 'Rotate key' }).click();
    await page.getByText('30 days at most').waitFor();
    await page.getByRole('radio', { name: '7 days' }).check();
    await page.getByRole('button', { name: 'Rotate key' }).click();
    const second = await shownKey(world, page, 'Turned');
    assert.equal(second.id, first.id);
    assert.notEqual(second.token, first.token);

    const list = await open();
    await rowOf(list, 'Turned').getByText('old still counts').waitFor();
    for (const way of WAYS) {
      for (const { token } of [first, second]) assertFromHandbook((await question(world, token, way)).answer, world.keys);
    }
    await list.reload();
    await rowOf(list, 'Turned').getByText('old still used').waitFor();

    await page.getByRole('link', { name: /go to the key/ }).click();
    await page.getByText('It is still used').waitFor();
    await page.getByRole('link', { name: 'Rotate' }).click();
    await page.getByText('is still used').waitFor();
    await page.getByRole('radio', { name: 'Not at all' }).check();
    await page.getByRole('button', { name: 'Rotate key' }).click();
    await page.getByText('is refused from now on').waitFor();
    const third = await shownKey(world, page, 'Turned');
    assert.equal((await question(world, second.token)).status, 401);
    assert.equal((await question(world, third.token)).status, 200);
  });

  scenario('a key is changed, and is refused from the moment at which it ends', async (open) => {
    const page = await open();
    const { id, token } = await createKey(world, page, { name: 'To be changed', source: 'handbook', lifetime: '30 days' });
    await page.getByRole('link', { name: /go to the key/ }).click();
    await page.getByRole('textbox', { name: 'Name' }).fill('Changed');
    await page.getByLabel('Not before (UTC)').fill('2999-01-01T00:00');
    await page.getByRole('button', { name: 'Save changes' }).click();
    await page.locator('[aria-invalid=true]').waitFor();
    assertSentence(await page.locator('.wrong').innerText());
    assert.equal((await question(world, token)).status, 200);
    await page.getByLabel('Expires (UTC)').fill('');
    await page.getByRole('button', { name: 'Save changes' }).click();
    await page.getByText('The changes are stored and in force.').waitFor();
    await page.getByRole('heading', { name: 'Changed' }).first().waitFor();
    await page.getByText('Not yet valid').waitFor();
    assert.equal((await question(world, token)).status, 401);
    await page.getByLabel('Not before (UTC)').fill('');
    await page.getByRole('button', { name: 'Save changes' }).click();
    await page.getByText('Active').waitFor();
    assert.equal((await question(world, token)).status, 200);

    await api(world, 'PATCH', `/v1/keys/${id}`, { expires: new Date(Date.now() + 5000).toISOString() });
    const refused = await until('the key ends', async () => {
      const answer = await question(world, token);
      return answer.status === 401 && answer;
    });
    assertSentence(refused.error);
    await page.goto(`${world.gate.console()}/?state=expired&q=Changed`);
    await rowOf(page, 'Changed').getByText('Expired').waitFor();
  });

  scenario('the audit trail tells what was done, who did it and from where', async (open) => {
    const { sources } = world.keys;
    const made = await api(world, 'POST', '/v1/keys', { name: 'Told of', source: sources.handbook });
    for (const step of ['disable', 'enable', 'rotate', 'revoke']) await api(world, 'POST', `/v1/keys/${made.id}/${step}`, {});
    const other = await open(undefined, { at: 'password', httpCredentials: USER });
    await createKey(world, other, { name: 'By alice', source: 'handbook' });
    assert.match(await other.getByRole('banner').innerText(), /alice/);

    const page = await open('/audit');
    const entries = page.getByRole('main').getByRole('listitem');
    assert.match(await entries.filter({ hasText: 'By alice' }).innerText(), /^Created[^]*alice\s+from 127\.0\.0\.1/);
    await entries.filter({ hasText: 'Told of' }).first().getByTitle('Entries of this key only').click();
    await page.getByText('Only of the key').waitFor();
    const told = await entries.allInnerTexts();
    assert.deepEqual(told.map((text) => text.split(/\s/)[0]), ['Revoked', 'Rotated', 'Enabled', 'Disabled', 'Created']);
    for (const text of told) assert.match(text, /admin token\s+from 127\.0\.0\.1/);
    assert.doesNotMatch(await page.content(), /dgk_[0-9A-Za-z]{36}/);
  });

  scenario('a key can be made with the keyboard alone', async (open) => {
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
      assert.fail(`Tab does not come to ${wanted}, but to ${await focused()}`);
    };
    await page.getByRole('heading', { name: 'Keys' }).waitFor();
    await tabTo(/^Create New$/);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Create New' }).waitFor();
    await until('the cursor is in the first field', async () => await focused() === 'Name');
    await page.keyboard.type('By keyboard');
    await tabTo(/^handbook/);
    await page.keyboard.press('Space');
    await tabTo(/^No end/);
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    const { token } = await shownKey(world, page, 'By keyboard');
    assert.equal((await question(world, token)).status, 200);
    await page.getByRole('tab', { name: 'Widget' }).waitFor(); // a script makes it
    await tabTo(/^Widget$/);
    await page.keyboard.press('ArrowRight');
    await page.getByRole('tab', { name: 'React', selected: true }).waitFor();
    await page.keyboard.press('End');
    await page.getByRole('tabpanel').waitFor();
  });

  scenario('without JavaScript keys are made and revoked, and the theme is chosen', async (open) => {
    const page = await open(undefined, { javaScriptEnabled: false });
    const { name, token } = await createKey(world, page, { name: 'No script', source: 'handbook' });
    assert.equal(await page.getByRole('button', { name: 'Copy' }).count(), 0, 'a button that does nothing');
    assert.equal((await question(world, token)).status, 200);
    await page.getByRole('link', { name: /go to the key/ }).click();
    await page.getByRole('link', { name: 'Revoke' }).click();
    await page.getByRole('button', { name: `Revoke ${name}` }).click();
    await page.getByText('The key is revoked').waitFor();
    assert.equal((await question(world, token)).status, 401);
    await page.getByRole('button', { name: 'Dark' }).click();
    assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark');
    await page.getByRole('link', { name: 'Audit trail' }).click();
    assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark');
  });

  scenario('behind basic_auth: nothing without the password, and no other form of signing in', async (open) => {
    const base = world.gate.console('password');
    assert.equal((await fetch(base)).status, 401);
    assert.equal((await fetch(`${base}/v1/keys`, { headers: { Authorization: `Bearer ${world.keys.adminToken}` } })).status, 401);
    const page = await open('/', { at: 'password', httpCredentials: USER });
    const { token } = await createKey(world, page, { name: 'Behind a password', source: 'handbook' });
    assert.equal((await question(world, token)).status, 200);
    assert.equal(await page.getByRole('button', { name: 'Sign out' }).count(), 0);
  });

  scenario('on loopback: usable at once, for pages of this machine only', async (open) => {
    const page = await open('/', { at: 'loopback' });
    const { token } = await createKey(world, page, { name: 'From here', source: 'handbook' });
    assert.equal((await question(world, token)).status, 200);
    const base = world.gate.console('loopback');
    const send = (headers) => runProgram('sh',
      `curl -sS -o /dev/null -w '%{http_code}' ${headers.map((h) => `-H '${h}'`).join(' ')} ${base}/v1/keys`);
    assert.equal(await send([]), '200');
    assert.equal(await send(['X-Forwarded-For: 192.0.2.1']), '403');
    assert.equal(await send(['Host: keys.example.com']), '403', 'a name that somebody pointed at this machine');
    assert.equal(await send(['Sec-Fetch-Site: cross-site']), '403');
  });

  scenario('a page of another site can do nothing with the sign-in or the place of this browser', async (open) => {
    const page = await open();
    const { id, token } = await api(world, 'POST', '/v1/keys', { name: 'Not theirs', source: world.keys.sources.handbook });
    for (const at of ['token', 'loopback']) {
      const other = await page.context().newPage(); // on another port, which to cookies is the same site
      await other.goto(world.site.origin);
      const address = `${world.gate.console(at)}/keys/${id}/revoke`;
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
    assert.equal((await question(world, token)).status, 200);
    await page.goto(`${world.gate.console()}/keys/${id}/revoke`);
    await page.getByRole('button', { name: 'Revoke Not theirs' }).click();
    await page.getByText('The key is revoked').waitFor();
  });
});
