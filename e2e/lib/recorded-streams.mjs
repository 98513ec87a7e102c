// A fake DocsGPT of a given version: it answers /stream with that version's recorded stream (docsgpt/testdata/dialects),
// unchanged or in one of the forms in which streams reach a proxy in practice. The question selects the mode: "[[crlf]]".

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { REPO } from './build.mjs';
import { LOOPBACK } from './net.mjs';

const FOLDER = path.join(REPO, 'docsgpt', 'testdata', 'dialects');

/** Versions with the stream of an older one, but other errors. */
const SAME_STREAM = { '0.10': '0.8' };

const RECORDED = fs.readdirSync(FOLDER).map((name) => name.match(/^(\d+\.\d+)\.sse$/)?.[1]).filter(Boolean);

/** The first version of each dialect, oldest first. */
export const DIALECTS = [...Object.keys(SAME_STREAM), ...RECORDED].sort((a, b) => rank(a) - rank(b));

function rank(version) {
  const [major, minor] = version.split('.').map(Number);
  return major * 1000 + minor;
}

const before = (dialect, version) => rank(dialect) < rank(version);

/** Returns the events of a recording as bytes on the wire, each with its blank line. */
function recording(name) {
  return fs.readFileSync(path.join(FOLDER, `${name}.sse`), 'utf8').split(/(?<=\n\n)/);
}

const eventsOf = (dialect) => recording(SAME_STREAM[dialect] ?? dialect);

/** Returns the data of an event, and an empty object for a comment. */
function dataOf(event) {
  const line = event.split('\n').find((text) => text.startsWith('data: '));
  return line ? JSON.parse(line.slice('data: '.length)) : {};
}

/** Returns the complete answer of a dialect's stream. */
export function wholeAnswer(dialect) {
  return eventsOf(dialect).map((event) => dataOf(event).answer ?? '').join('');
}

/** Returns the conversation id at the end of a dialect's stream, or undefined. */
export function conversationOf(dialect) {
  return eventsOf(dialect).map(dataOf).find((data) => data.type === 'id')?.id;
}

const [OLD_ERROR, ERROR] = ['0.10-failed', '1.1-failed'].map((name) => recording(name).at(-1));

/** The text of an exception, which no client may see. */
export const EXCEPTION = dataOf(OLD_ERROR).error_exception;

/** Returns an error event of a dialect. 0.8 has none; the event of 0.10 is used. */
function errorEvent(dialect) {
  if (before(dialect, '0.14')) return OLD_ERROR;
  return before(dialect, '0.17') ? ERROR.replace(/^id: .*\n/, '') : ERROR;
}

/** Returns the events up to the third piece of the answer, and that piece. */
function splitMidAnswer(events) {
  const answers = events.flatMap((event, i) => (dataOf(event).answer ? [i] : []));
  return [events.slice(0, answers[2]), events[answers[2]]];
}

/** Returns the response of a dialect to a bad request. */
function errorResponse(dialect) {
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
const untilMidEvent = (events) => [...splitMidAnswer(events)[0], half(splitMidAnswer(events)[1])];
const inPieces = (text, size) => {
  const bytes = Buffer.from(text);
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
};
const unescaped = (event) => event.replace(/^data: .*$/m, (line) => `data: ${JSON.stringify(JSON.parse(line.slice(6)))}`);

/**
 * How a recording is replayed. play returns the writes of the response, or another response as {status, type, writes}; with
 * "cut" the connection is aborted at the end. "shows" is what a client must see: the whole answer ("all"), its beginning and
 * a note that it is incomplete ("part"), or only an error message ("sentence").
 */
export const REPLAY_MODES = {
  whole: { shows: 'all', play: (events) => ({ writes: events }) },
  'in one write': { shows: 'all', play: (events) => ({ writes: [events.join('')] }) },
  crlf: { shows: 'all', play: (events) => ({ writes: events.map((event) => event.replaceAll('\n', '\r\n')) }) },
  'crlf in single bytes': { shows: 'all', play: (events) => ({ writes: inPieces(events.join('').replaceAll('\n', '\r\n'), 1) }) },
  keepalives: {
    shows: 'all',
    play: (events) => ({ writes: events.flatMap((event) => [': keepalive\n\n', event, ':\n\n', 'retry: 3000\n\n']) }),
  },
  'split every 7 bytes': { shows: 'all', play: (events) => ({ writes: inPieces(events.join(''), 7) }) },
  'unescaped, in single bytes': { shows: 'all', play: (events) => ({ writes: inPieces(events.map(unescaped).join(''), 1) }) },
  'a json error with 200': {
    shows: 'sentence',
    play: () => ({ type: 'application/json', writes: ['{"error": "The answer could not be made.", "success": false}\n'] }),
  },
  'a json error in the stream': { shows: 'sentence', play: () => ({ writes: ['{\n  "error": "Unauthorized"\n}\n'] }) },
  'an error response': { shows: 'sentence', play: (_, dialect) => errorResponse(dialect) },
  'an error as the first event': { shows: 'sentence', play: (_, dialect) => ({ writes: [errorEvent(dialect)] }) },
  'an error that is an object': {
    shows: 'sentence', play: () => ({ writes: [`data: ${JSON.stringify({ type: 'error', error: { message: 'Overloaded' } })}\n\n`] }),
  },
  'an error after some text': {
    shows: 'part', play: (events, dialect) => ({ writes: [...splitMidAnswer(events)[0], errorEvent(dialect)] }),
  },
  'an end in mid-event': { shows: 'part', play: (events) => ({ writes: untilMidEvent(events) }) },
  'an abort in mid-event': { shows: 'part', play: (events) => ({ writes: untilMidEvent(events), cut: true }) },
  'an abort before the first event': { shows: 'sentence', play: (events) => ({ writes: [half(events[0])], cut: true }) },
  'no end event': { shows: 'all or part', play: (events) => ({ writes: events.slice(0, -1) }) },
};

/** Starts a fake DocsGPT that replays one dialect. */
export async function startReplay(dialect) {
  const events = eventsOf(dialect);
  const requests = [];
  const server = http.createServer(async (request, response) => {
    let text = '';
    for await (const piece of request) text += piece;
    const body = JSON.parse(text);
    requests.push({ path: request.url, body });
    const mode = body.question.match(/\[\[(.+)\]\]/)?.[1] ?? 'whole';
    const { status = 200, type = 'text/event-stream', writes, cut } = REPLAY_MODES[mode].play(events, dialect);
    response.writeHead(status, { 'Content-Type': type });
    response.socket.setNoDelay(true);
    for (const piece of writes) {
      response.write(piece);
      await turn(); // so that each piece is a separate write on the wire
    }
    if (cut) response.socket.destroy();
    else response.end();
  });
  await new Promise((resolve) => server.listen(0, LOOPBACK, resolve));
  return {
    address: `${LOOPBACK}:${server.address().port}`,
    /** Returns the requests since the last call. */
    takeRequests: () => requests.splice(0),
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
