// One line in the Caddyfile, and the keys that DocsGPT has made work at the gate, for as long as DocsGPT has them. The
// gate here is the tests' own; DocsGPT, its database and its API are the real ones.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { launchBrowser, openPage, externalHosts } from '../../e2e/lib/browser.mjs';
import { findSecrets } from '../../e2e/lib/secrets.mjs';
import { serveSite } from '../../e2e/lib/widget-site.mjs';
import { waitFor } from '../../e2e/lib/wait-for.mjs';
import { mountWidget } from '../../e2e/lib/widget.mjs';
import { AdoptingGate, psql, run } from '../lib/docsgpt-feed.mjs';
import { layCable } from '../lib/flaky-proxy.mjs';
import { FACTS } from '../lib/stack-info.mjs';
import { answerOf, documentsIn } from '../lib/classify-response.mjs';
import { Owner } from '../lib/docsgpt-client.mjs';
import { Processes } from '../lib/processes.mjs';
import { OpenAI } from '../lib/sdk.mjs';
import { CANARY, QUESTION } from '../lib/stack.mjs';
import { jsonOf, send } from '../lib/raw-http.mjs';

const FOLDER = path.join(FACTS.dir, 'adopting');
const LOGS = path.join(FACTS.dir, 'logs');
const ROLE = 'docsgate_tests';
const DEADLINE = { deadline: 15_000, every: 25 };
const { handbook, payroll } = FACTS.agents;
const owner = new Owner(FACTS.api.login, FACTS.ownerSession);
const secrets = { ...FACTS.secrets };
const agents = new Set();
let cable;
let processes;
let gate;

/** The line of the configuration; options are lines of its block. */
function feed(variable, ...options) {
  const block = options.length > 0 ? ` {\n\t\t\t${options.join('\n\t\t\t')}\n\t\t}` : '';
  return `feed docsgpt {env.${variable}}${block}`;
}

/** Remembers what may stand in no file, and gives it back. */
function secret(name, value) {
  secrets[`${name} ${Object.keys(secrets).length}`] = value;
  return value;
}

/** Makes an agent for the handbook, through DocsGPT's API. It is deleted after the tests. */
async function newAgent(name) {
  const agent = await owner.agent(`adopt: ${name}`, FACTS.sources.handbook);
  agents.add(agent.id);
  secret('agent key', agent.key);
  return agent;
}

const rotate = async (agent) => secret('agent key', await owner.rotate(agent.id));

async function remove(id) {
  await owner.remove(id);
  agents.delete(id);
}

const ask = (base, key, more = {}, way = '/api/answer') => send(base, {
  path: way, json: { question: QUESTION, history: '[]', api_key: key, ...more },
});

/** The key is answered, from the handbook alone. */
async function assertAnswers(base, key, more, way) {
  const response = await ask(base, key, more, way);
  assert.equal(response.status, 200, response.text);
  assert.deepEqual(documentsIn(answerOf(response) ?? ''), ['handbook'], response.text);
  assert.ok(!response.text.includes(CANARY.payroll), response.text);
}

/** What a question that costs nothing comes to: the status, and the reason if there is one. */
async function state(key, base = gate.open) {
  const response = await send(base, { method: 'GET', path: '/v1/models', headers: { Authorization: `Bearer ${key}` } });
  const code = jsonOf(response)?.error?.code;
  return code ? `${response.status} ${code}` : `${response.status}`;
}

const GOOD = '200';
const REFUSED = '401 invalid_api_key';
const UNTOLD = '503 not_ready';

/** Waits until the key has this state; the time that it took is told. */
async function becomes(t, what, key, wanted) {
  const began = performance.now();
  await waitFor(`${what}: ${wanted}`, async () => {
    const now = await state(key);
    if (now !== wanted) throw new Error(`it is ${now}`);
    return true;
  }, DEADLINE);
  t.diagnostic(`${what}: ${Math.round(performance.now() - began)} ms`);
}

/** Runs what "docsgate adopt" prints, as its help says. Gives the text. */
async function adopt(...flags) {
  const sql = await gate.docsgate('adopt', ...flags);
  await psql(sql);
  return sql;
}

/** Makes a token for an agent that the gate has adopted. */
async function newToken(name, agent) {
  const token = await gate.docsgate('keys', 'create', '--name', name, '--agent', `agent_${agent.id}`);
  return secret('token', token.trim());
}

before(async () => {
  processes = new Processes(LOGS);
  const address = new URL(FACTS.postgres);
  cable = await layCable(address.port);
  const behindCable = new URL(address);
  behindCable.port = cable.port;
  behindCable.username = ROLE;
  behindCable.password = secret('password of the role', crypto.randomBytes(12).toString('hex'));
  gate = await AdoptingGate.make({
    folder: FOLDER, processes, env: { POSTGRES_URI: FACTS.postgres, POSTGRES_URI_OF_THE_ROLE: behindCable.href },
  });
  await gate.start(feed('POSTGRES_URI'));
});

after(async () => {
  for (const id of agents) await owner.remove(id);
  await processes.stopAll();
  await cable.cut();
});

describe('keys as they are', () => {
  for (const api of ['open', 'login']) {
    test(`${api}: curl`, async () => {
      const body = JSON.stringify({ question: QUESTION, api_key: handbook.key });
      const said = await run([
        'curl', '-sS', `${gate[api]}/api/answer`, '-H', 'Content-Type: application/json', '-d', '@-',
      ], { input: body });
      assert.deepEqual(documentsIn(JSON.parse(said).answer), ['handbook']);
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

  test('the published widget, with nothing changed but the host', async () => {
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

  test('a key reaches its own source, whatever the client sends', async () => {
    const calls = async () => (await fetch(`${FACTS.model}/calls`)).json();
    const earlier = (await calls()).length;
    for (const base of [gate.open, gate.login]) {
      await assertAnswers(base, handbook.key, {
        active_docs: FACTS.sources.payroll, selectedDocs: FACTS.sources.payroll, agent_id: payroll.id,
      });
    }
    const given = (await calls()).slice(earlier).flat();
    assert.ok(given.includes(CANARY.handbook));
    assert.ok(!given.includes(CANARY.payroll));
  });

  test('in other letters a key is none, though DocsGPT itself takes it', async () => {
    const shouted = secret('agent key', handbook.key.toUpperCase());
    assert.notEqual(shouted, handbook.key);
    assert.equal(await state(shouted, FACTS.api.login), GOOD);
    for (const base of [gate.open, gate.login]) assert.equal(await state(shouted, base), REFUSED);
  });
});

describe('what changes in DocsGPT', () => {
  test('a new key counts, a rotated and a deleted one do not', async (t) => {
    const agent = await newAgent('changes');
    await becomes(t, 'new', agent.key, GOOD);
    await assertAnswers(gate.open, agent.key);
    const next = await rotate(agent);
    await becomes(t, 'rotated, the new one', next, GOOD);
    await becomes(t, 'rotated, the old one', agent.key, REFUSED);
    await remove(agent.id);
    await becomes(t, 'deleted', next, REFUSED);
  });

  test('a token of the gate stands for an agent, also when its key is rotated or switched off', async (t) => {
    const agent = await newAgent('token');
    await becomes(t, 'new', agent.key, GOOD);
    const token = await newToken('a page', agent);
    await assertAnswers(gate.open, token);
    const next = await rotate(agent);
    await becomes(t, 'rotated, the new one', next, GOOD);
    await becomes(t, 'rotated, the token', token, GOOD);
    await gate.reload(feed('POSTGRES_URI', `exclude_keys ${agent.id}`));
    assert.equal(await state(next), REFUSED);
    assert.equal(await state(next, FACTS.api.login), GOOD, 'DocsGPT knows nothing of it');
    await assertAnswers(gate.login, token);
    assert.equal(await state(handbook.key), GOOD, 'other agents');
    await remove(agent.id);
    await becomes(t, 'deleted, the token', token, '503 not_configured');
  });
});

describe('which keys', () => {
  test('what anybody makes by sharing a conversation counts with "include_shared" only', async (t) => {
    await gate.reload(feed('POSTGRES_URI'));
    const { conversation_id: conversation } = jsonOf(await ask(gate.open, handbook.key));
    const shared = await send(FACTS.api.open, {
      path: '/api/share?isPromptable=true',
      json: { conversation_id: conversation, source: FACTS.sources.handbook, retriever: 'classic', chunks: '3' },
    });
    assert.equal(shared.status, 201, shared.text);
    const told = await fetch(`${FACTS.api.open}/api/shared_conversation/${jsonOf(shared).identifier}`);
    const key = secret('agent key', (await told.json()).api_key);
    const [id, name] = (await psql(`SELECT id, name FROM agents WHERE key = '${key}'`)).trim().split('|');
    agents.add(id);
    assert.match(name, /\(shared\)$/);
    assert.equal(await state(key, FACTS.api.login), GOOD);

    const later = await newAgent('made after the shared one');
    await becomes(t, 'new', later.key, GOOD);
    assert.equal(await state(key), REFUSED, 'the gate has seen it, as it has the later one');
    assert.match(gate.log(), new RegExp(`agent keys skipped.*${id}`));
    await gate.reload(feed('POSTGRES_URI', 'include_shared'));
    await assertAnswers(gate.login, key);
    await remove(id);
  });

  test('of unpublished agents: they count, as with DocsGPT, but not with "only_published"', async (t) => {
    const agent = await newAgent('unpublished');
    await owner.setStatus(agent.id, 'draft');
    await gate.reload(feed('POSTGRES_URI'));
    assert.equal(await state(agent.key, FACTS.api.login), GOOD);
    await becomes(t, 'a draft', agent.key, GOOD);
    await gate.reload(feed('POSTGRES_URI', 'only_published'));
    assert.equal(await state(agent.key), REFUSED);
    assert.equal(await state(handbook.key), GOOD);
    await owner.setStatus(agent.id, 'published');
    await becomes(t, 'published', agent.key, GOOD);
    await owner.setStatus(agent.id, 'draft');
    await becomes(t, 'unpublished', agent.key, REFUSED);
  });
});

describe('in the database', () => {
  const asRole = (sql) => psql(sql, FACTS.postgres.replace('docsgpt@', `${ROLE}@`));

  let rights;

  before(() => psql(`CREATE ROLE ${ROLE} LOGIN`));
  after(() => psql(`DROP OWNED BY ${ROLE}; DROP ROLE ${ROLE}`));

  test('the rights that docsgate prints are enough, and no more than needed', async (t) => {
    await assert.rejects(gate.reload(feed('POSTGRES_URI_OF_THE_ROLE')), /GRANT SELECT \(.*key.*\) ON agents/);
    rights = await adopt('--print-grants', ROLE);
    for (const sql of [
      'SELECT incoming_webhook_token FROM agents', 'SELECT * FROM agents', 'DELETE FROM agents',
      "UPDATE agents SET name = 'x'", 'SELECT count(*) FROM users', 'SELECT count(*) FROM personal_access_tokens',
    ]) await assert.rejects(asRole(sql), /permission denied/, sql);
    await gate.reload(feed('POSTGRES_URI_OF_THE_ROLE'));
    const agent = await newAgent('rights');
    await becomes(t, 'new', agent.key, GOOD);
    await assertAnswers(gate.open, agent.key);
  });

  test('the trigger that docsgate prints says what changes, and can be taken away as it says', async (t) => {
    const sql = await adopt('--print-trigger');
    try {
      // Nobody looks for changes within the time of this test.
      await gate.reload(feed('POSTGRES_URI_OF_THE_ROLE', 'poll_interval 1h'));
      const agent = await newAgent('trigger');
      await becomes(t, 'new', agent.key, GOOD);
      const next = await rotate(agent);
      await becomes(t, 'rotated, the old one', agent.key, REFUSED);
      await becomes(t, 'rotated, the new one', next, GOOD);
      await remove(agent.id);
      await becomes(t, 'deleted', next, REFUSED);
    } finally {
      await psql(sql.match(/^-- +(DROP TRIGGER.*)$/m)[1]);
    }
    assert.equal((await psql("SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%docsgate%'")).trim(), '0');
  });

  test('the database away: known keys go on, unknown ones get 503, also after a new start, until it is back', async (t) => {
    await gate.reload(feed('POSTGRES_URI_OF_THE_ROLE'));
    const nobodys = crypto.randomUUID();
    const agent = await newAgent('away');
    await becomes(t, 'new', agent.key, GOOD);
    const token = await newToken('while away', agent);
    assert.equal(await state(nobodys), REFUSED);

    await cable.cut();
    await becomes(t, 'cut, an unknown key', nobodys, UNTOLD);
    const later = await newAgent('made while away');
    assert.equal(await state(later.key), UNTOLD);
    for (const key of [agent.key, token]) await assertAnswers(gate.open, key);

    await gate.stop();
    await gate.start(feed('POSTGRES_URI_OF_THE_ROLE'));
    for (const key of [agent.key, token]) await assertAnswers(gate.open, key);
    assert.equal(await state(nobodys), UNTOLD);
    await remove(agent.id);
    assert.notEqual(await state(agent.key), REFUSED, 'the gate cannot know');

    await cable.mend();
    await becomes(t, 'mended, an unknown key', nobodys, REFUSED);
    assert.equal(await state(later.key), GOOD);
    assert.equal(await state(agent.key), REFUSED);
    await assertAnswers(gate.open, later.key);
  });

  test('the rights can be taken away as docsgate says; then it is as if the database were away', async (t) => {
    await psql(rights.match(/^-- +(REVOKE .*)$/m)[1].replace('name', ROLE));
    await assert.rejects(asRole('SELECT id, key FROM agents'), /permission denied/);
    await becomes(t, 'an unknown key', crypto.randomUUID(), UNTOLD);
    await assertAnswers(gate.open, handbook.key);
  });
});

test('no key, token or password stands in a log, the store, the snapshot or any other file of the gate', async () => {
  await send(gate.open, {
    method: 'GET', path: `/v1/models?api_key=${handbook.key}`, headers: { 'X-Api-Key': payroll.key },
  });
  await gate.stop();
  const logged = findSecrets(LOGS, secrets).filter((entry) => entry.startsWith('adopting'));
  assert.deepEqual(findSecrets(FOLDER, secrets).concat(logged), []);
  assert.match(gate.log(), /keys loaded/, 'the log that was searched');
});
