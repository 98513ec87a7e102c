// What other users have, and an attacker would like: a conversation, an upload, a session. Made where the attempt is
// made, with somebody else's key.

import assert from 'node:assert/strict';
import { waitFor } from '../../e2e/lib/wait-for.mjs';
import { conversationOf } from './classify-response.mjs';
import { Owner } from './docsgpt-client.mjs';
import { CANARY, QUESTION } from './stack.mjs';
import { events, form, jsonOf, send } from './raw-http.mjs';

export const MCP_HEADERS = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' };
const UPLOAD = `${CANARY.attachment} How do I reset the device? Ask the lynx.`;

/** Asks a question with a key; gives the id of the conversation. */
export async function conversation(side, key) {
  const reply = await send(side.base, { path: '/api/answer', json: { question: QUESTION, history: '[]', api_key: key } });
  assert.equal(reply.status, 200, reply.text);
  return conversationOf(reply);
}

/** The questions and answers of a conversation, as its owner sees them. */
async function queriesOf(side, id) {
  const owner = new Owner(side.facts.api.login, side.facts.ownerSession);
  return (await owner.call('GET', `/api/get_single_conversation?id=${id}`)).queries;
}

/** Tells whether a conversation that held one answer holds more of them now. */
export async function hasGrown(side, id) {
  return (await queriesOf(side, id)).length !== 1;
}

/** Tells whether a conversation that held one answer, from the payroll, is another one now. */
export async function isChanged(side, id) {
  const queries = await queriesOf(side, id);
  const [{ response }] = queries;
  return queries.length !== 1 || !response.includes(CANARY.payroll) || response.includes(CANARY.handbook);
}

/**
 * Tells whether a task with that instruction is scheduled in the owner's account. DocsGPT carries a call out after a gate has
 * ended the answer, so that is waited for.
 */
export async function isScheduled(side, instruction) {
  const owner = new Owner(side.facts.api.login, side.facts.ownerSession);
  const found = async () => (await owner.call('GET', '/api/schedules')).schedules.some((task) => task.instruction === instruction);
  if (side.column !== 'source') return found();
  return waitFor('the task is scheduled', found, { deadline: 30_000, every: 100 });
}

/** Asks a question on /v1 with a key and further headers; gives the id of the conversation, if there can be one. */
export async function completion(side, key, headers) {
  const reply = await send(side.base, {
    path: '/v1/chat/completions', headers: { Authorization: `Bearer ${key}`, ...headers },
    json: { messages: [{ role: 'user', content: QUESTION }] },
  });
  return conversationOf(reply);
}

const uploads = new Map();

/** Uploads a text with a key and waits until it can be used, once for each place. Gives {attachment, task}. */
export function upload(side, key) {
  if (!uploads.has(side.name)) uploads.set(side.name, newUpload(side, key));
  return uploads.get(side.name);
}

async function newUpload(side, key) {
  const reply = await send(side.base, {
    path: '/api/store_attachment', ...form({ api_key: key, file: { name: 'note.txt', text: UPLOAD } }),
  });
  assert.equal(reply.status, 200, reply.text);
  const { task_id: task, attachment_id: attachment } = jsonOf(reply);
  await waitFor('the upload is parsed', async () => {
    const { status, result } = jsonOf(await send(side.base, { method: 'GET', path: `/api/task_status?task_id=${task}` }));
    assert.notEqual(status, 'FAILURE', JSON.stringify(result));
    return status === 'SUCCESS';
  }, { deadline: 60_000, every: 100 });
  return { attachment, task };
}

/** Opens an MCP session with a key; gives its id, if there can be one. */
export async function mcpSession(side, key) {
  const reply = await send(side.base, {
    path: '/mcp/', headers: { ...MCP_HEADERS, Authorization: `Bearer ${key}` },
    json: {
      jsonrpc: '2.0', id: 1, method: 'initialize',
      params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'tests', version: '1' } },
    },
  });
  return reply.headers['mcp-session-id'] ?? 'none';
}

/** The request id that DocsGPT gave to an answer: the address of its replay. */
export async function message(side, key) {
  const reply = await send(side.base, { path: '/stream', json: { question: QUESTION, history: '[]', api_key: key } });
  return events(reply).find((event) => event.type === 'message_id')?.message_id;
}
