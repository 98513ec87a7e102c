// A stand-in for a DocsGPT of some version: it answers /stream with that version's recorded stream
// (docsgpt/testdata/dialects), whole or in one of the ways in which streams reach a proxy in practice. Which way, the
// question says: "[[crlf]]".

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { REPO } from './build.mjs';
import { LOOPBACK } from './net.mjs';

const FOLDER = path.join(REPO, 'docsgpt', 'testdata', 'dialects');

/** Versions that speak like an older one, and differ in what goes wrong. */
const LIKE = { '0.10': '0.8' };

const RECORDED = fs.readdirSync(FOLDER).map((name) => name.match(/^(\d+\.\d+)\.sse$/)?.[1]).filter(Boolean);

/** The versions that began a dialect, oldest first. */
export const DIALECTS = [...Object.keys(LIKE), ...RECORDED].sort((a, b) => rank(a) - rank(b));

function rank(version) {
  const [major, minor] = version.split('.').map(Number);
  return major * 1000 + minor;
}

const before = (dialect, version) => rank(dialect) < rank(version);

/** The events of a recording as they stand on the wire, each with its blank line. */
function recording(name) {
  return fs.readFileSync(path.join(FOLDER, `${name}.sse`), 'utf8').split(/(?<=\n\n)/);
}

const eventsOf = (dialect) => recording(LIKE[dialect] ?? dialect);

/** The data of an event; nothing in a comment. */
function dataOf(event) {
  const line = event.split('\n').find((text) => text.startsWith('data: '));
  return line ? JSON.parse(line.slice('data: '.length)) : {};
}

/** The answer of a dialect's stream in one piece. */
export function wholeAnswer(dialect) {
  return eventsOf(dialect).map((event) => dataOf(event).answer ?? '').join('');
}

/** The conversation that a dialect's stream names at its end, or undefined. */
export function conversationOf(dialect) {
  return eventsOf(dialect).map(dataOf).find((data) => data.type === 'id')?.id;
}

const [OLD_ERROR, ERROR] = ['0.10-failed', '1.1-failed'].map((name) => recording(name).at(-1));

/** What no client may ever see: the text of an exception. */
export const EXCEPTION = dataOf(OLD_ERROR).error_exception;

/** An event of a dialect that tells of an error. 0.8 has none; what is played there is the next one's. */
function errorEvent(dialect) {
  if (before(dialect, '0.14')) return OLD_ERROR;
  return before(dialect, '0.17') ? ERROR.replace(/^id: .*\n/, '') : ERROR;
}

/** The events up to where some of the answer has come, and the one after them. */
function begun(events) {
  const answers = events.flatMap((event, i) => (dataOf(event).answer ? [i] : []));
  return [events.slice(0, answers[2]), events[answers[2]]];
}

/** How a dialect refuses what it takes for a bad request. */
function refusal(dialect) {
  const event = (text) => `data: ${JSON.stringify({ type: 'error', error: text })}\n\n`;
  if (before(dialect, '0.10')) {
    return { status: 500, type: 'text/html; charset=utf-8', writes: ['<!doctype html>\n<title>Internal Server Error</title>\n'] };
  }
  if (before(dialect, '0.14')) return { status: 401, writes: [event('Invalid API Key, please generate a new key')] };
  if (before(dialect, '0.15')) return { status: 400, writes: [event('Unknown error occurred')] };
  const limit = '{"message": "Exceeding usage limit, please try again later.", "success": false}\n';
  return { status: 429, type: 'application/json', writes: [limit] };
}

const half = (text) => text.slice(0, text.length >> 1);
const halfway = (events) => [...begun(events)[0], half(begun(events)[1])];
const inBytes = (text, size) => {
  const bytes = Buffer.from(text);
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
};
const plain = (event) => event.replace(/^data: .*$/m, (line) => `data: ${JSON.stringify(JSON.parse(line.slice(6)))}`);

/**
 * The ways: each gives the writes of an answer, or a whole other answer as {status, type, writes}; "cut" ends the
 * connection instead of the answer. What a reader must see then is told by "shows".
 */
export const WAYS_OF_PLAYING = {
  whole: { shows: 'all', play: (events) => ({ writes: events }) },
  'in one write': { shows: 'all', play: (events) => ({ writes: [events.join('')] }) },
  crlf: { shows: 'all', play: (events) => ({ writes: events.map((event) => event.replaceAll('\n', '\r\n')) }) },
  'crlf in single bytes': { shows: 'all', play: (events) => ({ writes: inBytes(events.join('').replaceAll('\n', '\r\n'), 1) }) },
  keepalives: {
    shows: 'all',
    play: (events) => ({ writes: events.flatMap((event) => [': keepalive\n\n', event, ':\n\n', 'retry: 3000\n\n']) }),
  },
  'cut every 7 bytes': { shows: 'all', play: (events) => ({ writes: inBytes(events.join(''), 7) }) },
  'unescaped, in single bytes': { shows: 'all', play: (events) => ({ writes: inBytes(events.map(plain).join(''), 1) }) },
  'a json error with 200': {
    shows: 'sentence',
    play: () => ({ type: 'application/json', writes: ['{"error": "The answer could not be made.", "success": false}\n'] }),
  },
  'a json error in the stream': { shows: 'sentence', play: () => ({ writes: ['{\n  "error": "Unauthorized"\n}\n'] }) },
  'a refusal': { shows: 'sentence', play: (_, dialect) => refusal(dialect) },
  'an error at once': { shows: 'sentence', play: (_, dialect) => ({ writes: [errorEvent(dialect)] }) },
  'an error that is an object': {
    shows: 'sentence', play: () => ({ writes: [`data: ${JSON.stringify({ type: 'error', error: { message: 'Overloaded' } })}\n\n`] }),
  },
  'an error after some text': {
    shows: 'part', play: (events, dialect) => ({ writes: [...begun(events)[0], errorEvent(dialect)] }),
  },
  'an end in mid-event': { shows: 'part', play: (events) => ({ writes: halfway(events) }) },
  'a cut in mid-event': { shows: 'part', play: (events) => ({ writes: halfway(events), cut: true }) },
  'a cut before the first event': { shows: 'sentence', play: (events) => ({ writes: [half(events[0])], cut: true }) },
  'no end event': { shows: 'all or part', play: (events) => ({ writes: events.slice(0, -1) }) },
};

/** Starts a replay of one dialect. */
export async function startReplay(dialect) {
  const events = eventsOf(dialect);
  const asked = [];
  const server = http.createServer(async (request, response) => {
    let text = '';
    for await (const piece of request) text += piece;
    const body = JSON.parse(text);
    asked.push({ path: request.url, body });
    const way = body.question.match(/\[\[(.+)\]\]/)?.[1] ?? 'whole';
    const { status = 200, type = 'text/event-stream', writes, cut } = WAYS_OF_PLAYING[way].play(events, dialect);
    response.writeHead(status, { 'Content-Type': type });
    response.socket.setNoDelay(true);
    for (const piece of writes) {
      response.write(piece);
      await turn(); // a write of its own on the wire
    }
    if (cut) response.socket.destroy();
    else response.end();
  });
  await new Promise((resolve) => server.listen(0, LOOPBACK, resolve));
  return {
    address: `${LOOPBACK}:${server.address().port}`,
    /** The requests since the last call. */
    asked: () => asked.splice(0),
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
