// Everything that a test file runs against, started and ended together: stub, gate, page and, when asked, a browser.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { launchBrowser, openPage } from './browser.mjs';
import { E2E } from './build.mjs';
import { startGate } from './gate.mjs';
import { makeKeys } from './keys.mjs';
import { findSecrets } from './secrets.mjs';
import { serveSite } from './site.mjs';
import { startStub } from './stub.mjs';
import { mountWidget } from './widget.mjs';

const OUTPUT = path.join(E2E, 'output');
const LOG_TAIL_LINES = 25;

/**
 * Starts a world.
 *
 * @param {{browser?: boolean, docsgpt?: {url: string, agentKey: string}, keys?: object, start?: typeof startGate}} [options]
 *   browser: whether pages will be opened; docsgpt: a running DocsGPT that the gate stands in front of, instead of the
 *   stub; keys and start: others than makeKeys and startGate give
 */
export async function startWorld({
  browser: withBrowser = false, docsgpt, keys = makeKeys({ agentKey: docsgpt?.agentKey }), start = startGate,
} = {}) {
  const closers = [];
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'docsgate-e2e-'));
  let stub;
  let gate;
  let site;
  let browser;
  const pages = new Set();

  async function close() {
    const faults = [];
    for (const closer of closers.reverse()) await closer().catch((error) => faults.push(error));
    try {
      // Only now has everything been written that will be.
      assert.deepEqual(findSecrets(dir, keys.secrets), [], 'a key or token was written to a log or a file');
    } catch (error) {
      faults.push(error);
    }
    fs.rmSync(dir, { recursive: true, force: true });
    if (faults.length > 0) throw faults.length === 1 ? faults[0] : new AggregateError(faults, 'closing the world');
  }

  try {
    stub = await startStub({ dir, ...keys.stub });
    closers.push(() => stub.stop());
    gate = await start({ dir, upstream: docsgpt ? new URL(docsgpt.url).host : stub.address, keys });
    closers.push(() => gate.stop());
    if (withBrowser) {
      site = await serveSite();
      closers.push(() => site.stop());
      browser = await launchBrowser();
      closers.push(() => browser.close());
    }
  } catch (error) {
    await close().catch(() => {}); // the first error is the one to tell
    throw error;
  }

  async function visit(url, options) {
    const page = await openPage(browser, url, options);
    pages.add(page);
    return page;
  }
  const open = (version, options) => visit(site.page(version), options);

  return {
    dir, keys, stub, gate, site, close,
    /** Opens a page. */
    visit,
    /** Opens the documentation page, without a widget when no version is named. */
    open,
    /** Opens the documentation page with a chat widget on it, open and ready for a question. */
    widget: async (version, props, options) => mountWidget(await open(version, options), props),
    /**
     * Wraps a test: on failure the end of the gate's log is printed and each open page is saved as a picture in
     * e2e/output; in any case the pages are closed.
     */
    scenario(body) {
      return async (t) => {
        try {
          await body(t);
        } catch (error) {
          await evidence(t, gate, pages);
          throw error;
        } finally {
          for (const page of pages) await page.context().close();
          pages.clear();
        }
      };
    },
  };
}

async function evidence(t, gate, pages) {
  const tail = gate.log().trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n');
  console.error(`end of the gate's log:\n${tail}\nits output:\n${gate.output().slice(-2000)}`);
  fs.mkdirSync(OUTPUT, { recursive: true });
  let n = 0;
  for (const page of pages) {
    n += 1;
    const file = path.join(OUTPUT, `${t.name.replace(/[^\w.]+/g, '-').slice(0, 100)}-${n}.png`);
    await page.screenshot({ path: file }).catch(() => {}); // a page that cannot be drawn must not hide the failure
    console.error(`picture: ${path.relative(E2E, file)}; page: ${JSON.stringify(page.trail)}`);
  }
}
