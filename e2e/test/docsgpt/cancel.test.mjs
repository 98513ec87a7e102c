// An answer that no client reads any longer is canceled at DocsGPT, so that the model stops, if DocsGPT allows that to the gate's
// credential. Each test reports the time from the disconnect until the request to the model has ended.

import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { launchBrowser, openPage } from '../../lib/browser.mjs';
import { DocsGPTClient } from '../../lib/docsgpt/docsgpt-client.mjs';
import { SLOWLY } from '../../lib/docsgpt/fake-llm.mjs';
import { GateWithDocsGPTFeed } from '../../lib/docsgpt/feed-gate.mjs';
import { ProcessGroups } from '../../lib/docsgpt/process-groups.mjs';
import { STACK } from '../../lib/docsgpt/stack-info.mjs';
import { waitFor } from '../../lib/wait-for.mjs';
import { mountWidget } from '../../lib/widget.mjs';
import { WIDGET_VERSIONS } from '../../lib/widget-packages.mjs';
import { serveSite } from '../../lib/widget-site.mjs';

const FEED = 'feed docsgpt {env.POSTGRES_URI}\n\t\tupstream_token {env.DOCSGPT_TOKEN}';

/** DocsGPT looks for cancellations every two seconds and stops at the next word, which the fake LLM writes after a second at most. */
const MODEL_ENDS = { deadline: 8_000 };
/** An answer takes about 20 seconds. */
const COMPLETE = { deadline: 60_000, every: 100 };

const owner = new DocsGPTClient(STACK.api.login, STACK.ownerSession);
const processes = new ProcessGroups(path.join(STACK.dir, 'logs'));
const key = STACK.agents.handbook.key;

const running = async () => (await fetch(`${STACK.llm}/running`)).json();
const modelRuns = (n) => waitFor(`${n} answers of the model are in progress`, async () => (await running()) === n, COMPLETE);

async function startGate(name, token) {
  const gate = await GateWithDocsGPTFeed.create({
    folder: path.join(STACK.dir, name), processes, env: { POSTGRES_URI: STACK.postgres, DOCSGPT_TOKEN: token },
  });
  await gate.start(FEED);
  return gate;
}

/** Begins an answer. Returns when a part of it has arrived; disconnect ends the connection. */
async function beginStream(url, token) {
  const client = new AbortController();
  const response = await fetch(`${url}/stream`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, signal: client.signal,
    body: JSON.stringify({ question: SLOWLY, history: '[]', api_key: token }),
  });
  assert.equal(response.status, 200);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('"answer"')) {
    const { value, done } = await reader.read();
    assert.ok(!done, text);
    text += value;
  }
  return { disconnect: () => client.abort() };
}

/** Checks that the request to the model ends soon after an event, and that the gate counts a canceled answer for that reason. */
async function assertModelEnds(t, gate, reason, event) {
  const name = `caddy_docsgate_cancelled_answers_total{reason="${reason}",result="canceled"} `;
  const count = await gate.metric(name);
  await event();
  const began = performance.now();
  await waitFor('the request to the model has ended', async () => (await running()) === 0, MODEL_ENDS);
  t.diagnostic(`the request to the model ended after ${Math.round(performance.now() - began)} ms`);
  await waitFor('it is counted', async () => (await gate.metric(name)) === count + 1);
}

after(() => processes.stopAll());

describe('with a session as the credential, an answer is canceled when', () => {
  let gate;
  before(async () => { gate = await startGate('cancel-gate', STACK.ownerSession); });
  after(() => gate?.stop());

  for (const name of ['login', 'open']) {
    test(`the client disconnects (${name})`, async (t) => {
      await modelRuns(0);
      const { disconnect } = await beginStream(gate[name], key);
      await modelRuns(1);
      await assertModelEnds(t, gate, 'client_disconnected', disconnect);
    });
  }

  test('the client disconnects before DocsGPT has named the message', async (t) => {
    await modelRuns(0);
    await assertModelEnds(t, gate, 'client_disconnected', async () => {
      const client = new AbortController();
      const sent = fetch(`${gate.login}/stream`, {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, signal: client.signal,
        body: JSON.stringify({ question: SLOWLY, history: '[]', api_key: key }),
      }).catch(() => {});
      await waitFor('DocsGPT has the request', async () => (await gate.metric('caddy_docsgate_requests_in_flight{class="answer"} ')) > 0,
        { every: 1 });
      client.abort();
      await sent;
    });
  });

  test('the key is revoked', async (t) => {
    await modelRuns(0);
    const agent = await owner.createAgent('cancel', STACK.sources.handbook);
    try {
      await waitFor('the key is valid', async () => {
        const { status } = await fetch(`${gate.login}/v1/models`, { headers: { Authorization: `Bearer ${agent.key}` } });
        return status === 200;
      });
      await beginStream(gate.login, agent.key);
      await modelRuns(1);
      await assertModelEnds(t, gate, 'key_revoked', () => gate.docsgate('keys', 'disable', `agent_${agent.id}`));
    } finally {
      await owner.deleteAgent(agent.id);
    }
  });

  for (const version of WIDGET_VERSIONS) {
    test(`the page with the widget ${version} is closed`, async (t) => {
      await modelRuns(0);
      const site = await serveSite();
      const browser = await launchBrowser();
      try {
        const page = await openPage(browser, site.page(version));
        const widget = await mountWidget(page, { apiHost: gate.login, apiKey: key });
        await widget.send(SLOWLY);
        await waitFor('the answer has begun', async () => (await widget.last()).answer !== '');
        await assertModelEnds(t, gate, 'client_disconnected', () => page.close());
      } finally {
        await browser.close();
        await site.stop();
      }
    });
  }
});

describe('with a personal access token as the credential', () => {
  let gate;
  before(async () => { gate = await startGate('cancel-token-gate', STACK.secrets['access token']); });
  after(() => gate?.stop());

  const total = (result) => gate.metric(`caddy_docsgate_cancelled_answers_total{reason="client_disconnected",result="${result}"} `);

  test('the model continues, the metric says so, and the gate does not try again', async (t) => {
    await modelRuns(0);
    for (const n of [1, 2]) {
      const { disconnect } = await beginStream(gate.login, key);
      await modelRuns(n);
      disconnect();
      await waitFor('it is counted', async () => (await total('not_allowed')) === n);
    }
    const began = performance.now();
    await modelRuns(0);
    assert.ok(performance.now() - began > MODEL_ENDS.deadline, 'the answers were canceled');
    t.diagnostic(`the model completed the answers in ${Math.round(performance.now() - began)} ms`);
    assert.equal(gate.log().split('DocsGPT does not let the gate cancel answers').length - 1, 1, 'the warning is not logged once');
  });

  test('an answer is canceled if DocsGPT requires no authentication', async (t) => {
    await modelRuns(0);
    const { disconnect } = await beginStream(gate.open, key);
    await modelRuns(1);
    await assertModelEnds(t, gate, 'client_disconnected', disconnect);
  });
});
