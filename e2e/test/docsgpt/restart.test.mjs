// Conversations and uploads survive a restart of the gate in front of a real DocsGPT.

import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { answerOf, documentsIn } from '../../lib/docsgpt/classify-response.mjs';
import { GateWithDocsGPTFeed, psql } from '../../lib/docsgpt/feed-gate.mjs';
import { ProcessGroups } from '../../lib/docsgpt/process-groups.mjs';
import { multipartForm, parseJSON, sendRaw } from '../../lib/docsgpt/raw-http.mjs';
import { CANARY, QUESTION } from '../../lib/docsgpt/stack.mjs';
import { STACK } from '../../lib/docsgpt/stack-info.mjs';
import { waitFor } from '../../lib/wait-for.mjs';

const FEED = 'feed docsgpt {env.POSTGRES_URI}';
const { handbook, payroll } = STACK.agents;
const SIGNED = /^([0-9a-f-]{36})\.[\w-]{24}$/;
let processes;
let gate;

before(async () => {
  processes = new ProcessGroups(path.join(STACK.dir, 'logs'));
  gate = await GateWithDocsGPTFeed.create({
    folder: path.join(STACK.dir, 'restart-gate'), processes, env: { POSTGRES_URI: STACK.postgres },
  });
  await gate.start(FEED);
});
after(() => processes.stopAll());

async function restart() {
  await gate.stop();
  await gate.start(FEED);
}

const ask = (key, more = {}) => sendRaw(gate.login, {
  path: '/stream', json: { question: QUESTION, history: '[]', api_key: key, ...more },
});
/** Returns the ID of the conversation that a stream names at its end. */
const conversationOf = (response) => response.text.match(/"type": ?"id", ?"id": ?"([^"]+)"/)[1];
const bare = (id) => id.match(SIGNED)[1];
/** Returns the number of questions in a conversation of DocsGPT. */
const questions = async (id) => Number(await psql(`SELECT count(*) FROM conversation_messages WHERE conversation_id = '${id}';`));

describe('after a restart of the gate', () => {
  test('a conversation goes on in DocsGPT, for its own key only', async () => {
    const id = conversationOf(await ask(handbook.key));
    assert.match(id, SIGNED);
    await restart();
    const followUp = await ask(handbook.key, { conversation_id: id });
    assert.deepEqual(documentsIn(answerOf(followUp)), ['handbook'], followUp.text);
    assert.equal(bare(conversationOf(followUp)), bare(id));
    assert.equal(await questions(bare(id)), 2);

    const other = await ask(payroll.key, { conversation_id: id });
    assert.equal(other.status, 200, other.text);
    assert.notEqual(bare(conversationOf(other)), bare(id));
    const unsigned = await ask(handbook.key, { conversation_id: bare(id) });
    assert.notEqual(bare(conversationOf(unsigned)), bare(id));
    assert.equal(await questions(bare(id)), 2);
  });

  test('feedback on an answer from before is stored', async () => {
    const id = conversationOf(await ask(handbook.key));
    await restart();
    const feedback = (key) => sendRaw(gate.login, {
      path: '/api/feedback', json: { question: QUESTION, answer: 'a', feedback: 'LIKE', conversation_id: id, question_index: 0, api_key: key },
    });
    assert.equal((await feedback(payroll.key)).status, 404);
    const response = await feedback(handbook.key);
    assert.equal(response.status, 200, response.text);
    const stored = await psql(`SELECT feedback FROM conversation_messages WHERE conversation_id = '${bare(id)}' AND position = 0;`);
    assert.match(stored, /like/i);
  });

  test('an upload from before can be used, and its task can be read', async () => {
    const stored = await sendRaw(gate.login, {
      path: '/api/store_attachment',
      ...multipartForm({ file: { name: 'letter.txt', text: `${CANARY.attachment} A letter about the device.` }, api_key: handbook.key }),
    });
    assert.equal(stored.status, 200, stored.text);
    const { task_id: task, attachment_id: attachment } = parseJSON(stored);
    await restart();
    await waitFor('the upload is parsed', async () => {
      const state = await sendRaw(gate.login, { method: 'GET', path: `/api/task_status?task_id=${task}` });
      assert.equal(state.status, 200, state.text);
      return parseJSON(state).status === 'SUCCESS';
    }, { deadline: 60_000, every: 200 });
    assert.deepEqual(documentsIn(answerOf(await ask(handbook.key, { attachments: [attachment] }))), ['attachment', 'handbook']);
    const other = await ask(payroll.key, { attachments: [attachment] });
    assert.doesNotMatch(other.text, new RegExp(CANARY.attachment), other.text);
  });
});
