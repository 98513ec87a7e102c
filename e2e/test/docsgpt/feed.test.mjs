// `feed docsgpt`: keys of DocsGPT's agents are valid at the gate for as long as they are valid in DocsGPT. These tests start a
// gate of their own, with the database of the real DocsGPT.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import OpenAI from 'openai';
import { launchBrowser, openPage, externalHosts } from '../../lib/browser.mjs';
import { runCommand } from '../../lib/processes.mjs';
import { findSecrets } from '../../lib/secrets.mjs';
import { serveSite } from '../../lib/widget-site.mjs';
import { waitFor } from '../../lib/wait-for.mjs';
import { mountWidget } from '../../lib/widget.mjs';
import { GateWithDocsGPTFeed, psql } from '../../lib/docsgpt/feed-gate.mjs';
import { startFlakyProxy } from '../../lib/docsgpt/flaky-proxy.mjs';
import { STACK } from '../../lib/docsgpt/stack-info.mjs';
import { answerOf, bareID, documentsIn } from '../../lib/docsgpt/classify-response.mjs';
import { DocsGPTClient } from '../../lib/docsgpt/docsgpt-client.mjs';
import { ProcessGroups } from '../../lib/docsgpt/process-groups.mjs';
import { CANARY, QUESTION } from '../../lib/docsgpt/stack.mjs';
import { parseJSON, sendRaw } from '../../lib/docsgpt/raw-http.mjs';

const FOLDER = path.join(STACK.dir, 'feed-gate');
const LOGS = path.join(STACK.dir, 'logs');
const ROLE = 'docsgate_tests';
const DEADLINE = { deadline: 15_000, every: 25 };
const { handbook, payroll } = STACK.agents;
const owner = new DocsGPTClient(STACK.api.login, STACK.ownerSession);
const secrets = { ...STACK.secrets };
const agents = new Set();
let proxy;
let processes;
let gate;

/** Returns the feed line of the Caddyfile, with the name of the variable that has the URI. options are lines of its block. */
function feed(variable, ...options) {
  const block = options.length > 0 ? ` {\n\t\t\t${options.join('\n\t\t\t')}\n\t\t}` : '';
  return `feed docsgpt {env.${variable}}${block}`;
}

/** Adds a secret that must not be in any file of the gate, and returns it. */
function addSecret(name, value) {
  secrets[`${name} ${Object.keys(secrets).length}`] = value;
  return value;
}

/** Creates an agent for the handbook. It is deleted after the tests. */
async function createAgent(name) {
  const agent = await owner.createAgent(`feed: ${name}`, STACK.sources.handbook);
  agents.add(agent.id);
  addSecret('agent key', agent.key);
  return agent;
}

const rotateKey = async (agent) => addSecret('agent key', await owner.rotateAgentKey(agent.id));

async function deleteAgent(id) {
  await owner.deleteAgent(id);
  agents.delete(id);
}

const ask = (base, key, more = {}, endpoint = '/api/answer') => sendRaw(base, {
  path: endpoint, json: { question: QUESTION, history: '[]', api_key: key, ...more },
});

/** The key is accepted, and the answer comes from the handbook only. */
async function assertAnswers(base, key, more, endpoint) {
  const response = await ask(base, key, more, endpoint);
  assert.equal(response.status, 200, response.text);
  assert.deepEqual(documentsIn(answerOf(response) ?? ''), ['handbook'], response.text);
  assert.ok(!response.text.includes(CANARY.payroll), response.text);
}

/** Returns the result of a cheap request with the key: the status, and the error code if there is one. */
async function keyState(key, base = gate.open) {
  const response = await sendRaw(base, { method: 'GET', path: '/v1/models', headers: { Authorization: `Bearer ${key}` } });
  const code = parseJSON(response)?.error?.code;
  return code ? `${response.status} ${code}` : `${response.status}`;
}

const VALID = '200';
const INVALID = '401 invalid_api_key';
const NOT_READY = '503 not_ready';

/** Waits until the key has this state, and reports the elapsed time. */
async function waitForState(t, what, key, wanted) {
  const began = performance.now();
  await waitFor(`${what}: ${wanted}`, async () => {
    const current = await keyState(key);
    if (current !== wanted) throw new Error(`it is ${current}`);
    return true;
  }, DEADLINE);
  t.diagnostic(`${what}: ${Math.round(performance.now() - began)} ms`);
}

/** Runs the SQL that "docsgate adopt" prints. Returns the SQL. */
async function runAdopt(...flags) {
  const sql = await gate.docsgate('adopt', ...flags);
  await psql(sql);
  return sql;
}

/** Creates a key of the gate that is bound to an agent of the feed. Returns its token. */
async function createToken(name, agent) {
  const token = await gate.docsgate('keys', 'create', '--name', name, '--agent', `agent_${agent.id}`);
  return addSecret('token', token.trim());
}

before(async () => {
  processes = new ProcessGroups(LOGS);
  const address = new URL(STACK.postgres);
  proxy = await startFlakyProxy(address.port);
  const proxiedAddress = new URL(address);
  proxiedAddress.port = proxy.port;
  proxiedAddress.username = ROLE;
  proxiedAddress.password = addSecret('password of the role', crypto.randomBytes(12).toString('hex'));
  gate = await GateWithDocsGPTFeed.create({
    folder: FOLDER, processes, env: { POSTGRES_URI: STACK.postgres, POSTGRES_URI_OF_THE_ROLE: proxiedAddress.href },
  });
  await gate.start(feed('POSTGRES_URI'));
});

after(async () => {
  for (const id of agents) await owner.deleteAgent(id);
  await processes.stopAll();
  await proxy.disconnect();
});

describe('keys of agents', () => {
  for (const api of ['open', 'login']) {
    test(`${api}: curl`, async () => {
      const body = JSON.stringify({ question: QUESTION, api_key: handbook.key });
      const output = await runCommand([
        'curl', '-sS', `${gate[api]}/api/answer`, '-H', 'Content-Type: application/json', '-d', '@-',
      ], { input: body });
      assert.deepEqual(documentsIn(JSON.parse(output).answer), ['handbook']);
    });

    test(`${api}: /stream`, () => assertAnswers(gate[api], handbook.key, {}, '/stream'));

    test(`${api}: OpenAI SDK`, async () => {
      const sdk = new OpenAI({ baseURL: `${gate[api]}/v1`, apiKey: handbook.key, maxRetries: 0 });
      const answer = await sdk.chat.completions.create({
        model: 'docsgpt', messages: [{ role: 'user', content: QUESTION }],
      });
      assert.deepEqual(documentsIn(answer.choices[0].message.content), ['handbook']);
    });
  }

  test('the published widget, with only the host changed', async () => {
    const site = await serveSite();
    const browser = await launchBrowser();
    try {
      const page = await openPage(browser, site.page('0.5.1'));
      const widget = await mountWidget(page, { apiHost: gate.login, apiKey: handbook.key });
      const turn = await widget.ask(QUESTION, { deadline: 60_000 });
      assert.equal(turn.error, '');
      assert.deepEqual(documentsIn(turn.answer), ['handbook']);
      assert.deepEqual(externalHosts(page), []);
    } finally {
      await browser.close();
      await site.stop();
    }
  });

  test('a key reaches only its own source, with any additional fields', async () => {
    const calls = async () => (await fetch(`${STACK.llm}/calls`)).json();
    const earlier = (await calls()).length;
    for (const base of [gate.open, gate.login]) {
      await assertAnswers(base, handbook.key, {
        active_docs: STACK.sources.payroll, selectedDocs: STACK.sources.payroll, agent_id: payroll.id,
      });
    }
    const received = (await calls()).slice(earlier).flat();
    assert.ok(received.includes(CANARY.handbook));
    assert.ok(!received.includes(CANARY.payroll));
  });

  test('a key in upper case is rejected, although DocsGPT itself accepts it', async () => {
    const upperCase = addSecret('agent key', handbook.key.toUpperCase());
    assert.notEqual(upperCase, handbook.key);
    assert.equal(await keyState(upperCase, STACK.api.login), VALID);
    for (const base of [gate.open, gate.login]) assert.equal(await keyState(upperCase, base), INVALID);
  });
});

describe('changes in DocsGPT', () => {
  test('a new key is valid; a rotated or deleted one is not', async (t) => {
    const agent = await createAgent('changes');
    await waitForState(t, 'new', agent.key, VALID);
    await assertAnswers(gate.open, agent.key);
    const next = await rotateKey(agent);
    await waitForState(t, 'rotated, the new key', next, VALID);
    await waitForState(t, 'rotated, the old key', agent.key, INVALID);
    await deleteAgent(agent.id);
    await waitForState(t, 'deleted', next, INVALID);
  });

  test("a token of the gate that is bound to an agent stays valid if the agent's key is rotated or excluded", async (t) => {
    const agent = await createAgent('token');
    await waitForState(t, 'new', agent.key, VALID);
    const token = await createToken('a page', agent);
    await assertAnswers(gate.open, token);
    const next = await rotateKey(agent);
    await waitForState(t, 'rotated, the new key', next, VALID);
    await waitForState(t, 'rotated, the token', token, VALID);
    await gate.reload(feed('POSTGRES_URI', `exclude_keys ${agent.id}`));
    assert.equal(await keyState(next), INVALID);
    assert.equal(await keyState(next, STACK.api.login), VALID, 'DocsGPT does not know the exclusion');
    await assertAnswers(gate.login, token);
    assert.equal(await keyState(handbook.key), VALID, 'other agents');
    await deleteAgent(agent.id);
    await waitForState(t, 'deleted, the token', token, '503 not_configured');
  });
});

describe('options of the feed', () => {
  test('keys of shared conversations are valid only with "include_shared"', async (t) => {
    await gate.reload(feed('POSTGRES_URI'));
    const { conversation_id: conversation } = parseJSON(await ask(gate.open, handbook.key));
    const shared = await sendRaw(STACK.api.open, {
      path: '/api/share?isPromptable=true',
      json: { conversation_id: bareID(conversation), source: STACK.sources.handbook, retriever: 'classic', chunks: '3' },
    });
    assert.equal(shared.status, 201, shared.text);
    const page = await fetch(`${STACK.api.open}/api/shared_conversation/${parseJSON(shared).identifier}`);
    const key = addSecret('agent key', (await page.json()).api_key);
    const [id, name] = (await psql(`SELECT id, name FROM agents WHERE key = '${key}'`)).trim().split('|');
    agents.add(id);
    assert.match(name, /\(shared\)$/);
    assert.equal(await keyState(key, STACK.api.login), VALID);

    const later = await createAgent('created after the shared one');
    await waitForState(t, 'new', later.key, VALID);
    assert.equal(await keyState(key), INVALID, 'the gate has read this key, since it has read the later one');
    assert.match(gate.log(), new RegExp(`agent keys skipped.*${id}`));
    await gate.reload(feed('POSTGRES_URI', 'include_shared'));
    await assertAnswers(gate.login, key);
    await deleteAgent(id);
  });

  test('keys of unpublished agents are valid, as in DocsGPT, but not with "only_published"', async (t) => {
    const agent = await createAgent('unpublished');
    await owner.setAgentStatus(agent.id, 'draft');
    await gate.reload(feed('POSTGRES_URI'));
    assert.equal(await keyState(agent.key, STACK.api.login), VALID);
    await waitForState(t, 'a draft', agent.key, VALID);
    await gate.reload(feed('POSTGRES_URI', 'only_published'));
    assert.equal(await keyState(agent.key), INVALID);
    assert.equal(await keyState(handbook.key), VALID);
    await owner.setAgentStatus(agent.id, 'published');
    await waitForState(t, 'published', agent.key, VALID);
    await owner.setAgentStatus(agent.id, 'draft');
    await waitForState(t, 'unpublished', agent.key, INVALID);
  });
});

describe('the database', () => {
  const asRole = (sql) => psql(sql, STACK.postgres.replace('docsgpt@', `${ROLE}@`));

  let grants;

  before(() => psql(`CREATE ROLE ${ROLE} LOGIN`));
  after(() => psql(`DROP OWNED BY ${ROLE}; DROP ROLE ${ROLE}`));

  test('the grants that docsgate prints are sufficient and minimal', async (t) => {
    await assert.rejects(gate.reload(feed('POSTGRES_URI_OF_THE_ROLE')), /GRANT SELECT \(.*key.*\) ON agents/);
    grants = await runAdopt('--print-grants', ROLE);
    for (const sql of [
      'SELECT incoming_webhook_token FROM agents', 'SELECT * FROM agents', 'DELETE FROM agents',
      "UPDATE agents SET name = 'x'", 'SELECT count(*) FROM users', 'SELECT api_key FROM token_usage', 'SELECT count(*) FROM personal_access_tokens',
    ]) await assert.rejects(asRole(sql), /permission denied/, sql);
    await gate.reload(feed('POSTGRES_URI_OF_THE_ROLE'));
    const agent = await createAgent('grants');
    await waitForState(t, 'new', agent.key, VALID);
    await assertAnswers(gate.open, agent.key);
  });

  test('the trigger that docsgate prints notifies of changes, and can be dropped as it says', async (t) => {
    const sql = await runAdopt('--print-trigger');
    try {
      // The gate does not poll during this test.
      await gate.reload(feed('POSTGRES_URI_OF_THE_ROLE', 'poll_interval 1h'));
      const agent = await createAgent('trigger');
      await waitForState(t, 'new', agent.key, VALID);
      const next = await rotateKey(agent);
      await waitForState(t, 'rotated, the old key', agent.key, INVALID);
      await waitForState(t, 'rotated, the new key', next, VALID);
      await deleteAgent(agent.id);
      await waitForState(t, 'deleted', next, INVALID);
    } finally {
      await psql(sql.match(/^-- +(DROP TRIGGER.*)$/m)[1]);
    }
    assert.equal((await psql("SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%docsgate%'")).trim(), '0');
  });

  test('database unavailable: known keys stay valid and unknown ones get 503, also after a restart, until it is available', async (t) => {
    await gate.reload(feed('POSTGRES_URI_OF_THE_ROLE'));
    const unknown = crypto.randomUUID();
    const agent = await createAgent('unavailable');
    await waitForState(t, 'new', agent.key, VALID);
    const token = await createToken('database unavailable', agent);
    assert.equal(await keyState(unknown), INVALID);

    await proxy.disconnect();
    await waitForState(t, 'disconnected, an unknown key', unknown, NOT_READY);
    const later = await createAgent('created while unavailable');
    assert.equal(await keyState(later.key), NOT_READY);
    for (const key of [agent.key, token]) await assertAnswers(gate.open, key);

    await gate.stop();
    await gate.start(feed('POSTGRES_URI_OF_THE_ROLE'));
    for (const key of [agent.key, token]) await assertAnswers(gate.open, key);
    assert.equal(await keyState(unknown), NOT_READY);
    await deleteAgent(agent.id);
    assert.notEqual(await keyState(agent.key), INVALID, 'the gate cannot know');

    await proxy.reconnect();
    await waitForState(t, 'reconnected, an unknown key', unknown, INVALID);
    assert.equal(await keyState(later.key), VALID);
    assert.equal(await keyState(agent.key), INVALID);
    await assertAnswers(gate.open, later.key);
  });

  test('the grants can be revoked as docsgate says; the effect is that of an unavailable database', async (t) => {
    const revokes = [...grants.matchAll(/^-- +(REVOKE .*) name;$/gm)].map(([, sql]) => `${sql} ${ROLE};`);
    assert.equal(revokes.length, 2);
    await psql(revokes.join('\n'));
    await assert.rejects(asRole('SELECT id, key FROM agents'), /permission denied/);
    await waitForState(t, 'an unknown key', crypto.randomUUID(), NOT_READY);
    await assertAnswers(gate.open, handbook.key);
  });
});

test('no key, token or password is in a log, the store, the snapshot or any other file of the gate', async () => {
  await sendRaw(gate.open, {
    method: 'GET', path: `/v1/models?api_key=${handbook.key}`, headers: { 'X-Api-Key': payroll.key },
  });
  await gate.stop();
  const logged = findSecrets(LOGS, secrets).filter((entry) => entry.startsWith('feed-gate'));
  assert.deepEqual(findSecrets(FOLDER, secrets).concat(logged), []);
  assert.match(gate.log(), /keys loaded/, 'the log that was searched');
});
