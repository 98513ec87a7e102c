// A driver for the chat widget. The widget's class names are generated, so elements are found by their position: the form,
// the conversation above it, and its rows of question and answer.

import { waitFor } from './wait-for.mjs';

const PIXEL = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';
const INPUT = 'input[placeholder="Ask your question"]';

/** Runs in the page: returns the turns of the conversation. */
function readTurns(inputSelector) {
  const input = document.querySelector(inputSelector);
  if (!input) return null; // the widget was unmounted
  const rows = [...input.closest('form').parentElement.previousElementSibling.children];
  const turns = [];
  for (let i = 0; i + 1 < rows.length; i += 2) {
    const row = rows[i + 1];
    const turn = { question: rows[i].textContent.trim(), answer: '', error: '', sources: [], waiting: false };
    if (row.querySelector('h5')) {
      turn.error = row.querySelector('span').textContent.trim();
    } else {
      const links = [...row.querySelectorAll('a[target="_blank"][title]')];
      turn.sources = links.map((a) => ({ title: a.textContent.trim(), href: a.getAttribute('href') }));
      turn.answer = [...row.children].filter((part) => !part.querySelector('a[target="_blank"][title], svg'))
        .map((part) => part.textContent).join('').trim();
      if (/^\.{3}$/.test(turn.answer)) Object.assign(turn, { answer: '', waiting: true });
    }
    turns.push(turn);
  }
  return turns;
}

/** Runs in the page: records each text that the last answer had, in order. */
function watchAnswer([inputSelector, readSource]) {
  const read = new Function(`return (${readSource})`)();
  window.answerSteps = [];
  window.answerWatcher?.disconnect();
  window.answerWatcher = new MutationObserver(() => {
    const text = read(inputSelector)?.at(-1)?.answer;
    if (text && text !== window.answerSteps.at(-1)) window.answerSteps.push(text);
  });
  window.answerWatcher.observe(document.body, { childList: true, subtree: true, characterData: true });
}

/**
 * Renders the widget in the page, with images that need no other host, and opens it with its button. (The property that
 * opens it initially has another name in each version, and in 0.4.7 the opened widget is invisible.)
 *
 * @param {import('playwright-core').Page} page a page that loaded the bundle of that version
 * @param {{apiHost: string, apiKey: string}} props
 */
export async function mountWidget(page, props) {
  await page.waitForFunction(() => typeof window.renderDocsGPTWidget === 'function');
  await page.evaluate((p) => window.renderDocsGPTWidget('app', p), {
    avatar: PIXEL,
    buttonIcon: PIXEL,
    buttonText: 'Ask a question',
    ...props,
  });
  await page.getByText('Ask a question').click();
  return driveWidget(page);
}

/** Returns a driver for the chat widget that is open in the page. */
export async function driveWidget(page) {
  const input = page.locator(INPUT);
  const send = page.locator(`form:has(${INPUT}) button`);
  await input.waitFor();

  const turns = () => page.evaluate(readTurns, INPUT);
  const last = async () => (await turns())?.at(-1);

  return {
    page,
    turns,
    last,
    /** Types a question and sends it. */
    async send(question) {
      const before = (await turns()).length;
      await page.evaluate(watchAnswer, [INPUT, readTurns.toString()]);
      await input.fill(question);
      await send.click();
      await waitFor('the question appears in the conversation', async () => (await turns()).length === before + 1);
    },
    /**
     * Waits until the widget accepts another question, and returns the last turn. The widget hangs here if a stream does
     * not end as it expects, so the deadline is part of the test.
     */
    async finished({ deadline = 30_000 } = {}) {
      await input.fill('and then?'); // with an empty input the button is disabled in any case
      await waitFor('the widget accepts another question', async () => {
        if (await turns() === null) throw new Error('the widget was removed from the page');
        return send.isEnabled();
      }, { deadline });
      await input.fill('');
      return last();
    },
    /** Sends a question and waits for the end of its answer. */
    async ask(question, options) {
      await this.send(question);
      return this.finished(options);
    },
    /** Rates the last answer as good. Returns the status of the HTTP response. */
    async like() {
      const answered = page.waitForResponse((r) => r.url().endsWith('/api/feedback') && r.request().method() === 'POST');
      const bubble = page.locator(`div:has(> div > form:has(${INPUT})) > div:nth-child(2) > :last-child`);
      await bubble.hover();
      await bubble.locator('button').first().click();
      const response = await answered;
      return { status: response.status() };
    },
    /** Returns the texts that the last answer had while it was streamed. */
    steps: () => page.evaluate(() => window.answerSteps),
  };
}
