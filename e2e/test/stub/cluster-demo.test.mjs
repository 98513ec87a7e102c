// `make demo-cluster`: three gates of examples/cluster on one PostgreSQL, behind a load balancer. A key that is revoked at one gate, in a
// real browser, is rejected at all of them and its streams end. A gate that is killed is replaced by the others.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { launchBrowser, openPage } from '../../lib/browser.mjs';
import { REPO, gateBinary } from '../../lib/build.mjs';
import { LOOPBACK, freePorts, isListening } from '../../lib/net.mjs';
import { startProcess } from '../../lib/processes.mjs';
import { waitFor } from '../../lib/wait-for.mjs';

/** Returns the first of 22 free ports in a row. */
async function firstOfFreePorts() {
  for (;;) {
    const ports = await freePorts(22);
    if (ports.at(-1) - ports[0] === 21) return ports[0];
  }
}

describe('several gates', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'docsgate-demo-cluster-'));
  let port;
  let demo;
  let browser;
  let page;

  before(async () => {
    fs.chmodSync(dir, 0o755); // for PostgreSQL's user
    port = await firstOfFreePorts();
    demo = startProcess('demo', path.join(REPO, 'scripts/demo-cluster.sh'), [String(port)], {
      dir, env: { ...process.env, DOCSGATE_BIN: gateBinary(), TMPDIR: dir },
    });
    await demo.ready('prints its addresses', () => demo.output().includes('Press Ctrl-C'), { deadline: 120_000 });
    browser = await launchBrowser();
    page = await openPage(browser, `http://${LOOPBACK}:${port}/`);
  });
  after(async () => {
    await browser?.close();
    await demo?.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  });

  const cells = (name) => page.$$eval(`[data-cell="${name}"]`, (all) => all.map((cell) => cell.textContent));
  const shown = (what, name, expected) => waitFor(what, async () => (await cells(name)).every((text) => expected.test(text)));
  const pidOf = (what) => Number(demo.output().match(new RegExp(`(\\d+) +# ${what}`))[1]);

  test('a key of one gate is valid at all, also through the load balancer', async () => {
    await page.selectOption('#create-at', '3');
    await page.click('#create');
    await shown('the key is valid at all gates', 'state', /^is valid$/);
    await waitFor('the load balancer', async () => /^200 from 127/.test(await page.textContent('#balanced')));
  });

  test('a key that is disabled at one gate is rejected at all until it is enabled', async () => {
    await page.selectOption('#change-at', '1');
    await page.click('#disable');
    await shown('the key is rejected at all gates', 'state', /^is rejected$/);
    await page.selectOption('#change-at', '2');
    await page.click('#enable');
    await shown('the key is valid at all gates', 'state', /^is valid$/);
  });

  test('the load balancer uses the other gates when one is killed, and the gate continues when it is started again', async () => {
    process.kill(pidOf('gate 1'), 'SIGKILL');
    await waitFor('gate 1 does not listen', async () => !(await isListening(port + 1)));
    for (let i = 0; i < 6; i++) {
      const response = await fetch(`http://${LOOPBACK}:${port}/any/api/health`);
      assert.equal(response.status, 200);
      assert.notEqual(response.headers.get('gate'), `${LOOPBACK}:${port + 1}`);
    }
    const script = demo.output().match(/(\S+\/gate1\.sh)/)[1];
    const again = startProcess('gate-1', script, [], { dir });
    try {
      await again.ready('listens', () => isListening(port + 1));
      await shown('the key is valid at all gates', 'state', /^is valid$/);
    } finally {
      await again.stop();
    }
  });

  test('a key that is revoked at one gate is rejected at all, and its streams end', async () => {
    const script = demo.output().match(/(\S+\/gate1\.sh)/)[1];
    const again = startProcess('gate-1-again', script, [], { dir });
    try {
      await again.ready('listens', () => isListening(port + 1));
      await shown('the key is valid at all gates', 'state', /^is valid$/);
      await page.click('#stream');
      await shown('the streams are open', 'stream', /^open$/);
      await page.selectOption('#change-at', '2');
      await page.click('#revoke');
      await shown('the key is rejected at all gates', 'state', /^is rejected$/);
      await shown('the streams have ended', 'stream', /^ended after \d+ ms: key_revoked$/);
      await shown('the time is shown', 'delay', /^after \d+ ms$/);
      assert.match(await page.textContent('#status'), /^Gate 2 has revoked key_/);
    } finally {
      await again.stop();
    }
    assert.deepEqual(page.trail.errors, []);
  });

  test('only the page itself reaches the consoles without their token', async () => {
    for (const headers of [{}, { 'Sec-Fetch-Site': 'cross-site' }]) {
      const response = await fetch(`http://${LOOPBACK}:${port}/gate/1/v1/keys`, { headers });
      assert.equal(response.status, 404);
    }
  });

  test('nothing is left when it ends, and no key is in a log', async () => {
    const token = /dgk_[0-9A-Za-z]{36}/;
    const folder = demo.output().match(/Logs: +(\S+)\/\*\.log/)[1];
    for (const name of fs.readdirSync(folder).filter((file) => file.endsWith('.log'))) {
      assert.doesNotMatch(fs.readFileSync(path.join(folder, name), 'utf8'), token, name);
    }
    await demo.stop();
    await waitFor('its folder is removed', async () => !fs.existsSync(folder));
    for (let i = 0; i <= 3; i++) assert.equal(await isListening(port + i), false, `port ${port + i}`);
  });
});
