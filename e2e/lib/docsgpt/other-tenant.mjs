// Resources of other users that an attack is aimed at: conversations, uploads, sessions. They are created at the target of
// the attack, with another key.

import assert from 'node:assert/strict';
import { waitFor } from '../wait-for.mjs';
import { bareID, conversationOf } from './classify-response.mjs';
import { DocsGPTClient } from './docsgpt-client.mjs';
import { CANARY, QUESTION } from './stack.mjs';
import { multipartForm, parseEvents, parseJSON, sendRaw } from './raw-http.mjs';

export const MCP_HEADERS = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' };
const UPLOAD = `${CANARY.attachment} How do I reset the device? Ask the lynx.`;

/** Asks a question. Returns the id of the conversation. */
export async function startConversation(target, key) {
  const response = await sendRaw(target.base, { path: '/api/answer', json: { question: QUESTION, history: '[]', api_key: key } });
  assert.equal(response.status, 200, response.text);
  return conversationOf(response);
}

/** Returns the questions and answers of a conversation. */
async function queriesOf(target, id) {
  const owner = new DocsGPTClient(target.stack.api.login, target.stack.ownerSession);
  return (await owner.call('GET', `/api/get_single_conversation?id=${bareID(id)}`)).queries;
}

/** Reports whether a conversation with one answer has more than one now. */
export async function conversationGrew(target, id) {
  return (await queriesOf(target, id)).length !== 1;
}

/** Reports whether a conversation with one answer, from the payroll, has been modified. */
export async function conversationModified(target, id) {
  const queries = await queriesOf(target, id);
  const [{ response }] = queries;
  return queries.length !== 1 || !response.includes(CANARY.payroll) || response.includes(CANARY.handbook);
}

/**
 * Reports whether a task with that instruction is scheduled in the owner's account. With a key that is bound to a source,
 * DocsGPT makes the tool call after the gate has ended the response, so this waits for the task.
 */
export async function taskScheduled(target, instruction) {
  const owner = new DocsGPTClient(target.stack.api.login, target.stack.ownerSession);
  const found = async () => (await owner.call('GET', '/api/schedules')).schedules.some((task) => task.instruction === instruction);
  if (target.column !== 'source') return found();
  return waitFor('the task is scheduled', found, { deadline: 30_000, every: 100 });
}

/** Asks a question on /v1. Returns the id of the conversation, or undefined. */
export async function startCompletion(target, key, headers) {
  const response = await sendRaw(target.base, {
    path: '/v1/chat/completions', headers: { Authorization: `Bearer ${key}`, ...headers },
    json: { messages: [{ role: 'user', content: QUESTION }] },
  });
  return conversationOf(response);
}

const uploads = new Map();

/** Uploads a text and waits until it is parsed, once per target. Returns {attachment, task}. */
export function uploadAttachment(target, key) {
  if (!uploads.has(target.name)) uploads.set(target.name, createAttachment(target, key));
  return uploads.get(target.name);
}

async function createAttachment(target, key) {
  const response = await sendRaw(target.base, {
    path: '/api/store_attachment', ...multipartForm({ api_key: key, file: { name: 'note.txt', text: UPLOAD } }),
  });
  assert.equal(response.status, 200, response.text);
  const { task_id: task, attachment_id: attachment } = parseJSON(response);
  await waitFor('the upload is parsed', async () => {
    const { status, result } = parseJSON(await sendRaw(target.base, { method: 'GET', path: `/api/task_status?task_id=${task}` }));
    assert.notEqual(status, 'FAILURE', JSON.stringify(result));
    return status === 'SUCCESS';
  }, { deadline: 60_000, every: 100 });
  return { attachment, task };
}

/** Opens an MCP session. Returns its id, or "none". */
export async function openMCPSession(target, key) {
  const response = await sendRaw(target.base, {
    path: '/mcp/', headers: { ...MCP_HEADERS, Authorization: `Bearer ${key}` },
    json: {
      jsonrpc: '2.0', id: 1, method: 'initialize',
      params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'tests', version: '1' } },
    },
  });
  return response.headers['mcp-session-id'] ?? 'none';
}

/** Asks a question. Returns the id of the message, by which its answer can be replayed. */
export async function createMessage(target, key) {
  const response = await sendRaw(target.base, { path: '/stream', json: { question: QUESTION, history: '[]', api_key: key } });
  return parseEvents(response).find((event) => event.type === 'message_id')?.message_id;
}
