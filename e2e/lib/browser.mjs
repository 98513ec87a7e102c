// Chromium, driven by playwright-core.

import fs from 'node:fs';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
  // External hosts are blocked by name resolution. Playwright's request interception must stay off: while it is on,
  // Playwright itself answers CORS preflights and allows everything, so they never reach the gate.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];

const DEFAULT_PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

function executable() {
  const configured = process.env.DOCSGATE_CHROMIUM;
  const file = configured || DEFAULT_PATHS.find((candidate) => fs.existsSync(candidate));
  if (!file || !fs.existsSync(file)) {
    throw new Error(`no browser at ${configured || DEFAULT_PATHS.join(', ')}: install the Debian package "chromium", or `
      + 'set DOCSGATE_CHROMIUM to the path of a browser');
  }
  return file;
}

/** Starts the browser. The caller closes it. */
export function launchBrowser() {
  return chromium.launch({ executablePath: executable(), headless: true, args: FLAGS });
}

/**
 * Opens a page in a new browser context. page.trail records what the page does: requests as {method, url}, and console
 * messages, uncaught errors and dialogs as text. init is a function that runs in the page before its own scripts. Other
 * options are passed to the browser context.
 */
export async function openPage(browser, url, { width = 900, height = 640, scale = 1, init, ...more } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, deviceScaleFactor: scale, ...more });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.trail = { requests: [], console: [], errors: [], dialogs: [] };
  page.on('request', (request) => page.trail.requests.push({ method: request.method(), url: request.url() }));
  page.on('console', (message) => page.trail.console.push(message.text()));
  page.on('pageerror', (error) => page.trail.errors.push(error.message));
  page.on('dialog', async (dialog) => {
    page.trail.dialogs.push(dialog.message());
    await dialog.dismiss();
  });
  if (init) await page.addInitScript(init);
  await page.goto(url);
  return page;
}

/** Returns the external hosts that the page sent requests to. */
export function externalHosts(page) {
  const hosts = page.trail.requests.map((r) => new URL(r.url)).filter((u) => u.protocol.startsWith('http'));
  return [...new Set(hosts.map((u) => u.hostname).filter((host) => host !== '127.0.0.1'))];
}
