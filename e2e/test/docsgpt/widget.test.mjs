// The published widgets in Chromium: connected directly to DocsGPT 1.1.0 they show an error for every question, through
// docsgate they show an answer from the source of the key.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { launchBrowser, openPage, externalHosts } from '../../lib/browser.mjs';
import { WIDGET_VERSIONS } from '../../lib/widget-packages.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { serveSite } from '../../lib/widget-site.mjs';
import { mountWidget } from '../../lib/widget.mjs';
import { STACK } from '../../lib/docsgpt/stack-info.mjs';
import { documentsIn } from '../../lib/docsgpt/classify-response.mjs';
import { QUESTION } from '../../lib/docsgpt/stack.mjs';

const { tokens, urls, sitePort } = STACK.gate;
const [forwarding, proxy] = PROXY_MODES;
const DEADLINE = { deadline: 60_000 };

describe('the published widget', () => {
  let site;
  let foreignSite;
  let browser;
  before(async () => {
    site = await serveSite({ port: sitePort });
    foreignSite = await serveSite();
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await foreignSite?.stop();
    await site?.stop();
  });

  async function withWidget(version, props, body, on = site) {
    const page = await openPage(browser, on.page(version));
    try {
      await body(await mountWidget(page, props));
      assert.deepEqual(externalHosts(page), []);
    } finally {
      await page.context().close();
    }
  }

  for (const version of WIDGET_VERSIONS) {
    test(`${version}, directly at DocsGPT: an error`, () => withWidget(version, {
      apiHost: STACK.api.login, apiKey: STACK.agents.handbook.key,
    }, async (widget) => {
      assert.equal((await widget.ask(QUESTION, DEADLINE)).error, 'Something went wrong !');
    }));

    for (const [name, document, mode] of [
      ['agent', 'handbook', forwarding], ['source', 'handbook', forwarding], ['agent', 'handbook', proxy],
      ['otherSource', 'payroll', proxy],
    ]) {
      test(`${version}, through docsgate (${mode}) with the key "${name}": two answers`, () => withWidget(version, {
        apiHost: urls[mode].login, apiKey: tokens[name],
      }, async (widget) => {
        for (const turns of [1, 2]) {
          const turn = await widget.ask(QUESTION, DEADLINE);
          assert.equal(turn.error, '');
          assert.deepEqual(documentsIn(turn.answer), [document], turn.answer);
          assert.match(turn.answer, new RegExp(`turns=${turns} `));
        }
      }));
    }

    test(`${version}, with an unknown key: a readable error`, () => withWidget(version, {
      apiHost: urls[forwarding].login, apiKey: 'an-unknown-key',
    }, async (widget) => {
      const turn = await widget.ask(QUESTION, DEADLINE);
      assert.match(turn.error || turn.answer, /API key/);
    }));
  }

  for (const mode of PROXY_MODES) {
    const props = (key) => ({ apiHost: urls[mode].login, apiKey: tokens[key] });

    test(`0.5.1, through docsgate (${mode}): a publishable key gets answers on its page`, () => withWidget('0.5.1', props('publishable'),
      async (widget) => {
        const turn = await widget.ask(QUESTION, DEADLINE);
        assert.equal(turn.error, '');
        assert.deepEqual(documentsIn(turn.answer), ['handbook'], turn.answer);
      }));

    test(`0.5.1, through docsgate (${mode}): a publishable key gets none on another page`, () => withWidget('0.5.1', props('publishable'),
      async (widget) => {
        const turn = await widget.ask(QUESTION, DEADLINE);
        assert.equal(turn.error, 'Something went wrong !'); // the widget's own message: the page cannot read the response
        assert.equal(turn.answer, '');
      }, foreignSite));

    test(`0.5.1, through docsgate (${mode}): a secret key gets none in a page`, () => withWidget('0.5.1', props('secret'),
      async (widget) => {
        const turn = await widget.ask(QUESTION, DEADLINE);
        assert.equal(turn.error, 'This key is only for servers. It must not be used in a web page.');
      }));

    test(`0.5.1, through docsgate (${mode}): a visitor over the limit sees the wait, and asks again after it`, () => withWidget(
      '0.5.1', props('limited'), async (widget) => {
        let turn;
        do { // the other mode has used the limit, too
          turn = await widget.ask(QUESTION, DEADLINE);
        } while (turn.error === '');
        const [, seconds] = turn.error.match(/^Too many questions\. Please try again in (\d+) seconds?\.$/) ?? assert.fail(turn.error);
        await sleep(seconds * 1000); // what the sentence asks the user for
        turn = await widget.ask(QUESTION, DEADLINE);
        assert.equal(turn.error, '');
        assert.deepEqual(documentsIn(turn.answer), ['handbook'], turn.answer);
      },
    ));

    test(`0.5.1, through docsgate (${mode}): feedback`, () => withWidget('0.5.1', {
      apiHost: urls[mode].login, apiKey: tokens.agent,
    }, async (widget) => {
      await widget.ask(QUESTION, DEADLINE);
      assert.equal((await widget.like()).status, 200);
    }));
  }
});
