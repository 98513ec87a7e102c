// The tokens of answers are those that DocsGPT records in its table token_usage. This test starts a gate of its own, whose role in
// the database has the permissions that docsgate prints.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { waitFor } from '../../lib/wait-for.mjs';
import { GateWithDocsGPTFeed, psql } from '../../lib/docsgpt/feed-gate.mjs';
import { STACK } from '../../lib/docsgpt/stack-info.mjs';
import { ProcessGroups } from '../../lib/docsgpt/process-groups.mjs';
import { QUESTION } from '../../lib/docsgpt/stack.mjs';
import { parseJSON, sendRaw } from '../../lib/docsgpt/raw-http.mjs';

const ROLE = 'docsgate_token_tests';
const FEED = 'feed docsgpt {env.POSTGRES_URI}';
const DEADLINE = { deadline: 60_000, every: 200 };
const { handbook } = STACK.agents;
const keyID = `agent_${handbook.id}`;
let processes;
let gate;

/** Returns what the key has used today. */
async function used() {
  const { quota } = JSON.parse(await gate.docsgate('keys', 'show', keyID, '--json'));
  return { tokens: quota.tokens_today, estimated: quota.estimated_tokens_today };
}

/** Asks a question at the endpoint. Returns the text of the response. */
async function ask(endpoint, question = QUESTION) {
  const response = await sendRaw(gate.login, { path: endpoint, json: { question, history: '[]', api_key: handbook.key } });
  assert.equal(response.status, 200, response.text);
  return response.text;
}

/** Returns the ID that DocsGPT gives the request of a stream. */
const requestOf = (stream) => stream.match(/"request_id": ?"([0-9a-f-]{36})"/)[1];

/** Returns the number of tokens that DocsGPT has recorded for the requests. */
const recorded = async (requests) => Number(await psql(`SELECT sum(prompt_tokens + generated_tokens) FROM token_usage WHERE request_id IN (${
  requests.map((id) => `'${id}'`).join()})`));

async function waitForTokens(what, wanted) {
  await waitFor(what, async () => {
    assert.deepEqual(await used(), wanted);
    return true;
  }, DEADLINE);
}

before(async () => {
  processes = new ProcessGroups(path.join(STACK.dir, 'logs'));
  const password = crypto.randomBytes(12).toString('hex');
  await psql(`CREATE ROLE ${ROLE} LOGIN PASSWORD '${password}'`);
  const address = new URL(STACK.postgres);
  address.username = ROLE;
  address.password = password;
  gate = await GateWithDocsGPTFeed.create({
    folder: path.join(STACK.dir, 'token-gate'), processes, env: { POSTGRES_URI: address.href },
  });
  await psql(await gate.docsgate('adopt', '--print-grants', ROLE));
  await gate.start(FEED);
  await gate.docsgate('keys', 'update', keyID, '--limit', 'tokens_per_day=1000000');
});

after(async () => {
  await processes.stopAll();
  await psql(`DROP OWNED BY ${ROLE}; DROP ROLE ${ROLE}`);
});

test('the tokens of a key are the sum of those that DocsGPT records, also over a reload', async () => {
  const first = requestOf(await ask('/stream'));
  await waitForTokens('the first answer', { tokens: await recorded([first]), estimated: 0 });
  const pending = await Promise.all(Array.from({ length: 5 }, () => ask('/stream')));
  await gate.reload(`${FEED} {\n\t\t\tpoll_interval 1s\n\t\t}`);
  const tokens = await recorded([first, ...pending.map(requestOf)]);
  assert.ok(tokens > 5);
  await waitForTokens('six answers', { tokens, estimated: 0 });
});

test('/v1 reports the same number, which is counted immediately', async () => {
  const before = await used();
  const headers = { Authorization: `Bearer ${handbook.key}` };
  const response = await sendRaw(gate.login, {
    path: '/v1/chat/completions', json: { model: 'docsgpt', messages: [{ role: 'user', content: QUESTION }] }, headers,
  });
  const { usage } = parseJSON(response);
  const [row] = (await psql('SELECT prompt_tokens + generated_tokens FROM token_usage ORDER BY id DESC LIMIT 1')).trim().split('\n');
  assert.equal(usage.total_tokens, Number(row));
  assert.deepEqual(await used(), { tokens: before.tokens + usage.total_tokens, estimated: 0 });
});

test('/api/answer names no request, so its tokens are estimated', async () => {
  const before = await used();
  await ask('/api/answer');
  const { tokens, estimated } = await used();
  assert.equal(tokens - before.tokens, estimated);
  assert.ok(estimated >= 1000, `${estimated}`);
});

test('without the permission the tokens are estimated, and the log says it once', async () => {
  const before = await used();
  await psql(`REVOKE ALL ON token_usage FROM ${ROLE}`);
  await ask('/stream');
  await waitFor('the warning', () => gate.log().includes('the tokens of answers cannot be read'), DEADLINE);
  await ask('/stream');
  const { tokens, estimated } = await used();
  assert.ok(estimated - before.estimated >= 2000, `${estimated}`);
  assert.equal(tokens - before.tokens, estimated - before.estimated);
  assert.equal(gate.log().split('the tokens of answers cannot be read').length, 2);
});
