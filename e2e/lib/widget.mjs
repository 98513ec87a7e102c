// A driver for the chat widget: what a reader does with it and what a reader sees in it. The widget's class names are
// generated, so parts are found by their place: the form, what stands above it, and rows of question and answer.

import { until } from './until.mjs';

const PIXEL = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';
const INPUT = 'input[placeholder="Ask your question"]';

/** Reads the conversation, in the page. */
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

/** Collects, in the page, each text that the last answer had, in order. */
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
 * Renders the widget in the page, with pictures that need no other host, and opens it as a reader does. (Its property
 * for starting open is spelled differently in each version, and in 0.4.7 it opens an invisible one.)
 *
 * @param {import('playwright-core').Page} page one that loaded the bundle of that version
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

/** Drives a chat widget that is open in the page. */
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
      await until('the question appears in the conversation', async () => (await turns()).length === before + 1);
    },
    /**
     * Waits until the widget would send another question, and gives the last turn. This is what hangs when a stream
     * does not end as the widget expects, so the deadline is the test.
     */
    async settled({ deadline = 30_000 } = {}) {
      await input.fill('and then?'); // with an empty input the button is off anyway
      await until('the widget takes another question', async () => {
        if (await turns() === null) throw new Error('the widget is gone from the page');
        return send.isEnabled();
      }, { deadline });
      await input.fill('');
      return last();
    },
    /** Sends a question and waits for the end of its answer. */
    async ask(question, options) {
      await this.send(question);
      return this.settled(options);
    },
    /** Says that the last answer was good. Gives the HTTP response. */
    async like() {
      const answered = page.waitForResponse((r) => r.url().endsWith('/api/feedback') && r.request().method() === 'POST');
      const bubble = page.locator(`div:has(> div > form:has(${INPUT})) > div:nth-child(2) > :last-child`);
      await bubble.hover();
      await bubble.locator('button').first().click();
      const response = await answered;
      return { status: response.status() };
    },
    /** The texts that the last answer went through while it grew. */
    steps: () => page.evaluate(() => window.answerSteps),
  };
}
