// The environment of a test file: stub, gate and, on request, a documentation page and a browser.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { launchBrowser, openPage } from './browser.mjs';
import { E2E } from './build.mjs';
import { startGate } from './gate.mjs';
import { makeKeys } from './keys.mjs';
import { findSecrets } from './secrets.mjs';
import { serveSite } from './widget-site.mjs';
import { startStub } from './stub.mjs';
import { mountWidget } from './widget.mjs';

const OUTPUT = path.join(E2E, 'output');
const LOG_TAIL_LINES = 25;

/**
 * Starts a testbed.
 *
 * @param {{browser?: boolean, docsgpt?: {url: string, agentKey: string}, keys?: object, start?: typeof startGate}} [options]
 *   browser: whether the test opens pages; docsgpt: a running DocsGPT as the upstream in place of the stub; keys and start:
 *   replacements for makeKeys() and startGate
 */
export async function startTestbed({
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
    const errors = [];
    for (const closer of closers.reverse()) await closer().catch((error) => errors.push(error));
    try {
      // All processes have ended, so the files are complete.
      assert.deepEqual(findSecrets(dir, keys.secrets), [], 'a key or token was written to a log or a file');
    } catch (error) {
      errors.push(error);
    }
    fs.rmSync(dir, { recursive: true, force: true });
    if (errors.length > 0) throw errors.length === 1 ? errors[0] : new AggregateError(errors, 'closing the testbed');
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
    await close().catch(() => {}); // report the first error
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
    /** Opens the documentation page, without a widget if there is no version. */
    open,
    /** Opens the documentation page with an open chat widget, and returns its driver. */
    widget: async (version, props, options) => mountWidget(await open(version, options), props),
    /**
     * Wraps a test. If the test fails, the end of the gate's log is printed and a screenshot of each open page is saved in
     * e2e/output. The pages are closed in any case.
     */
    scenario(body) {
      return async (t) => {
        try {
          await body(t);
        } catch (error) {
          await reportFailure(t, gate, pages);
          throw error;
        } finally {
          for (const page of pages) await page.context().close();
          pages.clear();
        }
      };
    },
  };
}

async function reportFailure(t, gate, pages) {
  const tail = gate.log().trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n');
  console.error(`end of the gate's log:\n${tail}\nits output:\n${gate.output().slice(-2000)}`);
  fs.mkdirSync(OUTPUT, { recursive: true });
  let n = 0;
  for (const page of pages) {
    n += 1;
    const file = path.join(OUTPUT, `${t.name.replace(/[^\w.]+/g, '-').slice(0, 100)}-${n}.png`);
    await page.screenshot({ path: file }).catch(() => {}); // a failed screenshot must not hide the test's failure
    console.error(`screenshot: ${path.relative(E2E, file)}; page: ${JSON.stringify(page.trail)}`);
  }
}
