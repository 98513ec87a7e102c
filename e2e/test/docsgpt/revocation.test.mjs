// A key that stops being valid ends its streams in flight, whichever system has made the change. Each test reports the time from the
// change until the client has the end of the stream.

import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { GateWithDocsGPTFeed, psql } from '../../lib/docsgpt/feed-gate.mjs';
import { DocsGPTClient } from '../../lib/docsgpt/docsgpt-client.mjs';
import { SLOWLY } from '../../lib/docsgpt/fake-llm.mjs';
import { ProcessGroups } from '../../lib/docsgpt/process-groups.mjs';
import { STACK } from '../../lib/docsgpt/stack-info.mjs';
import { waitFor } from '../../lib/wait-for.mjs';

const owner = new DocsGPTClient(STACK.api.login, STACK.ownerSession);
const FEED = 'feed docsgpt {env.POSTGRES_URI}';
const agents = new Set();
let processes;
let gate;

/** Creates an agent for the handbook, and waits until its key is valid at the gate. It is deleted after the tests. */
async function createAgent(name) {
  const agent = await owner.createAgent(`revocation: ${name}`, STACK.sources.handbook);
  agents.add(agent.id);
  await waitFor('the key is valid', async () => {
    const { status } = await fetch(`${gate.login}/v1/models`, { headers: { Authorization: `Bearer ${agent.key}` } });
    if (status !== 200) throw new Error(`status ${status}`);
    return true;
  }, { deadline: 15_000, every: 25 });
  return agent;
}

/** Begins a slow answer. Returns once a part of it has arrived; rest resolves to the text and the time of its end. */
async function beginStream(key) {
  const response = await fetch(`${gate.login}/stream`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ question: SLOWLY, history: '[]', api_key: key }),
  });
  assert.equal(response.status, 200);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('"answer"')) {
    const { value, done } = await reader.read();
    assert.ok(!done, text);
    text += value;
  }
  const rest = (async () => {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return { text, ended: performance.now() };
      text += value;
    }
  })();
  return { rest };
}

/** Makes a change while an answer is streamed, and checks that the stream ends because of it. */
async function assertEnds(t, key, change) {
  const { rest } = await beginStream(key);
  await change();
  const changed = performance.now();
  const { text, ended } = await rest;
  assert.match(text, /"code":"key_revoked"/);
  assert.doesNotMatch(text, /"type": ?"end"/);
  t.diagnostic(`the stream ended ${Math.round(ended - changed)} ms after the change was acknowledged`);
}

/** Creates a key of the gate that is bound to an agent. Returns {id, token, ...}. */
async function createKey(agent) {
  return JSON.parse(await gate.docsgate('keys', 'create', '--name', 'a page', '--agent', `agent_${agent.id}`, '--json'));
}

before(async () => {
  processes = new ProcessGroups(path.join(STACK.dir, 'logs'));
  gate = await GateWithDocsGPTFeed.create({
    folder: path.join(STACK.dir, 'revocation-gate'), processes, env: { POSTGRES_URI: STACK.postgres },
  });
  await gate.start(FEED);
});

after(async () => {
  for (const id of agents) await owner.deleteAgent(id);
  await processes.stopAll();
});

describe('streams in flight end when DocsGPT', () => {
  test('rotates the key', async (t) => {
    const agent = await createAgent('rotated');
    await assertEnds(t, agent.key, () => owner.rotateAgentKey(agent.id));
  });

  test('deletes the agent', async (t) => {
    const agent = await createAgent('deleted');
    await assertEnds(t, agent.key, async () => {
      await owner.deleteAgent(agent.id);
      agents.delete(agent.id);
    });
  });

  test('rotates the key, with the trigger', async (t) => {
    const sql = await gate.docsgate('adopt', '--print-trigger');
    await psql(sql);
    try {
      await gate.reload(`${FEED} {\n\t\t\tpoll_interval 1h\n\t\t}`);
      const agent = await createAgent('with the trigger');
      await assertEnds(t, agent.key, () => owner.rotateAgentKey(agent.id));
    } finally {
      await psql(sql.match(/^-- +(DROP TRIGGER.*)$/m)[1]);
      await gate.reload(FEED);
    }
  });
});

describe('streams in flight end when the gate', () => {
  for (const [name, args] of Object.entries({
    'revokes the key': (id) => ['revoke', id, '--yes'],
    'disables the key': (id) => ['disable', id],
    'rotates the key': (id) => ['rotate', id, '--grace', '0'],
    'restricts the key to other pages': (id) => ['update', id, '--origin', 'https://docs.example.com'],
  })) {
    test(name, async (t) => {
      const { id, token } = await createKey(await createAgent(name));
      await assertEnds(t, token, () => gate.docsgate('keys', ...args(id)));
    });
  }

  test('excludes the key of an agent', async (t) => {
    const agent = await createAgent('excluded');
    await assertEnds(t, agent.key, () => gate.reload(`${FEED} {\n\t\t\texclude_keys ${agent.id}\n\t\t}`));
    await gate.reload(FEED);
  });

  test('disables the key of an agent', async (t) => {
    const agent = await createAgent('disabled');
    await assertEnds(t, agent.key, () => gate.docsgate('keys', 'disable', `agent_${agent.id}`));
  });
});

test('a stream goes on when its key is rotated with a grace period', async () => {
  const { id, token } = await createKey(await createAgent('grace period'));
  const { rest } = await beginStream(token);
  await gate.docsgate('keys', 'rotate', id, '--grace', '1h');
  const { text } = await rest;
  assert.match(text, /"type": ?"end"/);
});
