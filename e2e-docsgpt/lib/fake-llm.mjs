// A stand-in for the model and the embeddings, in OpenAI's protocol. It has no opinion: its answer says what it was
// given, so that a test sees which documents DocsGPT had found.

import http from 'node:http';
import crypto from 'node:crypto';
import { LOOPBACK } from '../../e2e/lib/net.mjs';

export const MODEL = 'stand-in';
export const MODEL_KEY = 'key-of-the-model';
const DIMENSIONS = 768;
/** What the ids of its own calls of tools begin with. */
const CALLED = 'call-';
/** The id of every file that DocsGPT stores in the model account. */
const UPLOADED = 'file-uploaded';

/** A sentence that tells a document. What comes out of the model counts only in this form. */
export const canary = (name, animal) => `Canary of the ${name}: ${animal}.`;
/** What has the model call a tool: its name and its arguments as JSON. It is not repeated in the answer. */
export const toolCall = (name, args) => ` [[${name} ${JSON.stringify(args)}]]`;
const TOOL_CALL = /\s*\[\[(\w+) (\{.*?\})\]\]/;
const CANARIES = /Canary of the (\w+): (\w+ \w+)\./g;

/**
 * What the model says: its name, whether it was called with DocsGPT's own key, how many turns of the user it saw, the
 * tools on offer, what it was given beside text, the canaries in all that it was given, and the last thing that it was
 * asked.
 */
export const ANSWER = /^model=(\S+) key=(\S+) turns=(\d+) tools=(\S+) beside=(\S+) canaries=\[(.*?)\] asked="([\s\S]*)" end$/;

/** Words are hashed to places and counted: texts with common words are close. */
function embedding(text) {
  const vector = new Array(DIMENSIONS).fill(0);
  vector[0] = 0.001;
  for (const word of text.toLowerCase().match(/\w+/g) ?? []) {
    vector[crypto.createHash('md5').update(word).digest().readUInt32LE() % DIMENSIONS] += 1;
  }
  const length = Math.hypot(...vector);
  return vector.map((x) => x / length);
}

function textOf(content) {
  if (Array.isArray(content)) return content.map((part) => part.text ?? '').join('\n');
  return content ?? '';
}

function canariesIn(body) {
  return [...new Set([...JSON.stringify(body).matchAll(CANARIES)].map((found) => found[0]))].sort();
}

/**
 * What the conversation holds beside text: kinds of parts, calls of tools that the model never made and their results,
 * and very much text.
 */
function besideText(messages) {
  const found = new Set();
  for (const { role, content, tool_calls: calls, tool_call_id: id } of messages) {
    if (role === 'tool' && !id?.startsWith(CALLED)) found.add('result');
    if (calls?.some((call) => !call.id?.startsWith(CALLED))) found.add('call');
    for (const part of Array.isArray(content) ? content : []) {
      if (part.type === 'file') found.add(part.file?.file_id === UPLOADED ? 'uploaded' : 'file_id');
      else if (part.type !== 'text') found.add(part.type);
    }
  }
  if (JSON.stringify(messages).length > 300_000) found.add('much');
  return [...found].sort();
}

function answerTo(body, authorization) {
  const users = (body.messages ?? []).filter((message) => message.role === 'user').map((m) => textOf(m.content));
  const asked = (users.at(-1) ?? '').split('</documents>').at(-1).trim().split('\n').at(-1).replace(TOOL_CALL, '').slice(0, 100);
  const tools = (body.tools ?? []).map((tool) => tool.function?.name ?? '?').sort();
  return `model=${body.model} key=${authorization === `Bearer ${MODEL_KEY}` ? 'own' : 'other'} turns=${users.length} `
    + `tools=${tools.join() || 'none'} beside=${besideText(body.messages ?? []).join() || 'none'} canaries=[${canariesIn(body).join(' ')}] asked="${asked}" end`;
}

/** Starts it. */
export async function startModel(port) {
  const calls = [];
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const reply = (value) => {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(value));
    };
    // What was given to the model so far: the canaries of each call.
    if (request.url === '/calls') return reply(calls.map((call) => canariesIn(call)));
    if (request.method === 'GET') return reply({ object: 'list', data: [{ id: MODEL, object: 'model' }] });
    if (request.url.split('?')[0].endsWith('/files')) {
      return reply({ id: UPLOADED, object: 'file', bytes: 1, created_at: 0, filename: 'a.txt', purpose: 'assistants' });
    }
    const body = JSON.parse(Buffer.concat(chunks).toString());
    if (request.url.split('?')[0].endsWith('/embeddings')) {
      const texts = [body.input].flat();
      return reply({
        object: 'list', model: body.model,
        data: texts.map((text, index) => ({ object: 'embedding', index, embedding: embedding(text) })),
      });
    }
    calls.push(body);
    const text = answerTo(body, request.headers.authorization);
    const head = { id: 'answer', created: 0, model: body.model };
    const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
    if (!body.stream) {
      const message = { role: 'assistant', content: text };
      return reply({ ...head, object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }], usage });
    }
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const event = (choices, more = {}) => response.write(
      `data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', choices, ...more })}\n\n`,
    );
    const called = textOf((body.messages ?? []).filter((message) => message.role === 'user').at(-1)?.content).match(TOOL_CALL);
    if (called && !body.messages.some((message) => message.role === 'tool')) {
      const call = { index: 0, id: `${CALLED}${crypto.randomUUID()}`, type: 'function', function: { name: called[1], arguments: called[2] } };
      event([{ index: 0, delta: { role: 'assistant', tool_calls: [call] }, finish_reason: null }]);
      event([{ index: 0, delta: {}, finish_reason: 'tool_calls' }]);
      event([], { usage });
      return response.end('data: [DONE]\n\n');
    }
    for (const content of text.match(/\S+\s*/g)) event([{ index: 0, delta: { role: 'assistant', content }, finish_reason: null }]);
    event([{ index: 0, delta: {}, finish_reason: 'stop' }]);
    event([], { usage });
    return response.end('data: [DONE]\n\n');
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, LOOPBACK, resolve);
  });
  return {
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
