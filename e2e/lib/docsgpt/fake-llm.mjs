// A fake of the model and the embeddings, with OpenAI's API. Its answer describes its input, so that a test sees which
// documents DocsGPT retrieved.

import http from 'node:http';
import crypto from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { LOOPBACK } from '../net.mjs';

export const MODEL = 'fake-model';
export const MODEL_KEY = 'key-of-the-model';
const DIMENSIONS = 768;
/** The prefix of the ids of its tool calls. */
const TOOL_CALL_ID = 'call-';
/** The id of every file that DocsGPT uploads to the model account. */
const UPLOADED = 'file-uploaded';

/** Returns a sentence that identifies a document. */
export const canary = (name, animal) => `Canary of the ${name}: ${animal}.`;
/** Returns text for a question that makes the model call a tool. The model's answer does not repeat it. */
export const toolCall = (name, args) => ` [[${name} ${JSON.stringify(args)}]]`;
/** In a question, it makes the model pause between words, for about 20 seconds in all. */
export const SLOWLY = 'Answer slowly.';
const SLOW_PAUSE = 1000; // ms
const TOOL_CALL = /\s*\[\[(\w+) (\{.*?\})\]\]/;
const CANARIES = /Canary of the (\w+): (\w+ \w+)\./g;

/**
 * The format of an answer: the name of the model, whether the request had DocsGPT's own key, the number of user messages,
 * the offered tools, the kinds of input other than text, the canaries in the input, and the last question.
 */
export const ANSWER_PATTERN = /^model=(\S+) key=(\S+) turns=(\d+) tools=(\S+) other=(\S+) canaries=\[(.*?)\] asked="([\s\S]*)" end$/;

/** Counts words by their hash, so that texts with common words are close. */
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
 * Returns the kinds of input other than text: kinds of message parts, tool calls that the model never made and their
 * results. A very long text is one, too.
 */
function otherInput(messages) {
  const found = new Set();
  for (const { role, content, tool_calls: calls, tool_call_id: id } of messages) {
    if (role === 'tool' && !id?.startsWith(TOOL_CALL_ID)) found.add('result');
    if (calls?.some((call) => !call.id?.startsWith(TOOL_CALL_ID))) found.add('call');
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
    + `tools=${tools.join() || 'none'} other=${otherInput(body.messages ?? []).join() || 'none'} canaries=[${canariesIn(body).join(' ')}] asked="${asked}" end`;
}

/** Starts the server. It fails if the port is in use. */
export async function startFakeLLM(port) {
  const calls = [];
  let running = 0; // streamed answers that have neither ended nor been disconnected
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const reply = (value) => {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(value));
    };
    // For tests: the canaries in the input of each call so far.
    if (request.url === '/calls') return reply(calls.map((call) => canariesIn(call)));
    if (request.url === '/running') return reply(running);
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
    running += 1;
    response.once('close', () => { running -= 1; });
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const event = (choices, more = {}) => response.write(
      `data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', choices, ...more })}\n\n`,
    );
    const called = textOf((body.messages ?? []).filter((message) => message.role === 'user').at(-1)?.content).match(TOOL_CALL);
    if (called && !body.messages.some((message) => message.role === 'tool')) {
      const call = { index: 0, id: `${TOOL_CALL_ID}${crypto.randomUUID()}`, type: 'function', function: { name: called[1], arguments: called[2] } };
      event([{ index: 0, delta: { role: 'assistant', tool_calls: [call] }, finish_reason: null }]);
      event([{ index: 0, delta: {}, finish_reason: 'tool_calls' }]);
      event([], { usage });
      return response.end('data: [DONE]\n\n');
    }
    for (const content of text.match(/\S+\s*/g)) {
      event([{ index: 0, delta: { role: 'assistant', content }, finish_reason: null }]);
      if (text.includes(SLOWLY)) await setTimeout(SLOW_PAUSE);
      if (response.destroyed) return undefined;
    }
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
