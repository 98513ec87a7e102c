// Debian's Chromium, driven by playwright-core.

import fs from 'node:fs';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
  // Outside hosts are blocked by name resolution. Playwright's own request interception must stay off: while it is
  // on, it answers CORS preflights by itself and allows everything, and they would never reach the gate.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];

const USUAL_PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

function executable() {
  const given = process.env.DOCSGATE_CHROMIUM;
  const file = given || USUAL_PLACES.find((place) => fs.existsSync(place));
  if (!file || !fs.existsSync(file)) {
    throw new Error(`no browser at ${given || USUAL_PLACES.join(', ')}: install Debian's package "chromium", or name `
      + 'one with DOCSGATE_CHROMIUM');
  }
  return file;
}

/** Starts the browser. It is ended with close(). */
export function launchBrowser() {
  return chromium.launch({ executablePath: executable(), headless: true, args: FLAGS });
}

/**
 * Opens a fresh page. Its member "trail" collects what the page did: requests as {method, url}, console messages,
 * uncaught errors and dialogs as text. init is a function that runs in the page before its own scripts. Further options
 * are those of a browser context.
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

/** Hosts outside of this machine that the page asked for. */
export function outsideHosts(page) {
  const hosts = page.trail.requests.map((r) => new URL(r.url)).filter((u) => u.protocol.startsWith('http'));
  return [...new Set(hosts.map((u) => u.hostname).filter((host) => host !== '127.0.0.1'))];
}
