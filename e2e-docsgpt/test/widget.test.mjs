// The published widget in Chromium: straight at DocsGPT 1.1.0 it shows an error for every question, through docsgate it
// answers from the source of its key.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launchBrowser, openPage, externalHosts } from '../../e2e/lib/browser.mjs';
import { WIDGET_VERSIONS } from '../../e2e/lib/widget-packages.mjs';
import { PROXY_MODES } from '../../e2e/lib/gate.mjs';
import { serveSite } from '../../e2e/lib/widget-site.mjs';
import { mountWidget } from '../../e2e/lib/widget.mjs';
import { FACTS } from '../lib/stack-info.mjs';
import { documentsIn } from '../lib/classify-response.mjs';
import { QUESTION } from '../lib/stack.mjs';

const { tokens, ways } = FACTS.gate;
const [forwarding, proxy] = PROXY_MODES;
const DEADLINE = { deadline: 60_000 };

describe('the published widget', () => {
  let site;
  let browser;
  before(async () => {
    site = await serveSite();
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await site?.stop();
  });

  async function withWidget(version, props, body) {
    const page = await openPage(browser, site.page(version));
    try {
      await body(await mountWidget(page, props));
      assert.deepEqual(externalHosts(page), []);
    } finally {
      await page.context().close();
    }
  }

  for (const version of WIDGET_VERSIONS) {
    test(`${version}, straight at DocsGPT: an error`, () => withWidget(version, {
      apiHost: FACTS.api.login, apiKey: FACTS.agents.handbook.key,
    }, async (widget) => {
      assert.equal((await widget.ask(QUESTION, DEADLINE)).error, 'Something went wrong !');
    }));

    for (const [name, document, way] of [
      ['agent', 'handbook', forwarding], ['source', 'handbook', forwarding], ['agent', 'handbook', proxy],
      ['otherSource', 'payroll', proxy],
    ]) {
      test(`${version}, through docsgate (${way}) with the key "${name}": two answers`, () => withWidget(version, {
        apiHost: ways[way].login, apiKey: tokens[name],
      }, async (widget) => {
        for (const turns of [1, 2]) {
          const turn = await widget.ask(QUESTION, DEADLINE);
          assert.equal(turn.error, '');
          assert.deepEqual(documentsIn(turn.answer), [document], turn.answer);
          assert.match(turn.answer, new RegExp(`turns=${turns} `));
        }
      }));
    }

    test(`${version}, with a key that nobody gave out: a sentence, and no answer`, () => withWidget(version, {
      apiHost: ways[forwarding].login, apiKey: 'nobody-gave-this-out',
    }, async (widget) => {
      const turn = await widget.ask(QUESTION, DEADLINE);
      assert.match(turn.error || turn.answer, /API key/);
    }));
  }

  for (const way of PROXY_MODES) {
    test(`0.5.1, through docsgate (${way}): feedback`, () => withWidget('0.5.1', {
      apiHost: ways[way].login, apiKey: tokens.agent,
    }, async (widget) => {
      await widget.ask(QUESTION, DEADLINE);
      assert.equal((await widget.like()).status, 200);
    }));
  }
});
