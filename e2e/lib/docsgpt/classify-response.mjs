// Descriptions of responses, in a few words that are the same in every run.

import { ANSWER_PATTERN, MODEL } from './fake-llm.mjs';
import { QUESTION } from './stack.mjs';
import { parseEvents, parseJSON } from './raw-http.mjs';

/** Returns the text of the answer in a response of any endpoint, or undefined. */
export function answerOf(response) {
  const json = parseJSON(response);
  if (typeof json?.answer === 'string') return json.answer;
  if (json?.choices) return json.choices[0]?.message?.content;
  const pieces = parseEvents(response).map((event) => (event.type === 'answer' ? event.answer : event.choices?.[0]?.delta?.content));
  return pieces.some((piece) => typeof piece === 'string') ? pieces.join('') : undefined;
}

/** Returns the names of the documents whose canaries are in a text. */
export function documentsIn(text) {
  return [...new Set([...text.matchAll(/Canary of the (\w+)/g)].map((found) => found[1]))].sort();
}

/** Documents of others are bold. */
const named = (document) => (document === 'handbook' ? document : `**${document}**`);
const from = (documents) => (documents.length === 0 ? 'without a source' : `from ${documents.map(named).join(' and ')}`);

/** Returns the id of the conversation in a response. */
export function conversationOf(response) {
  const json = parseJSON(response);
  return json?.conversation_id ?? json?.docsgpt?.conversation_id ?? parseEvents(response).find((e) => e.type === 'id')?.id
    ?? parseEvents(response).find((e) => e.docsgpt?.conversation_id)?.docsgpt.conversation_id;
}

/** Returns DocsGPT's id in one that the gate has signed, or in one of DocsGPT itself. */
export const bareID = (id) => id.split('.')[0];

/** The kinds of input other than text that ANSWER_PATTERN lists. */
const OTHER_INPUT = {
  image_url: "the client's image URL reaches the model",
  file_id: 'a file of the model account',
  uploaded: "the client's file is uploaded to the model account",
  call: 'a fabricated tool call',
  result: 'a fabricated tool result',
  much: 'more than 300 kB of text reach the model',
};

function describeAnswer(answer) {
  const found = answer.match(ANSWER_PATTERN);
  if (!found) return `answers: ${answer.slice(0, 60)}`;
  const [, model, key, turns, tools, other, canaries, question] = found;
  const remarks = [];
  if (turns !== '1') remarks.push(`${turns} questions in the conversation`);
  if (tools !== 'none') remarks.push(tools.includes(',') ? `${tools.split(',').length} tools` : '1 tool');
  if (other !== 'none') remarks.push(...other.split(',').map((kind) => OTHER_INPUT[kind] ?? kind));
  if (model !== MODEL) remarks.push("the client's model");
  if (key !== 'own') remarks.push("the client's credential reaches the model");
  if (question !== QUESTION) remarks.push("the client's prompt");
  return [`answers ${from(documentsIn(canaries))}`, ...remarks].join(', ');
}

/** Replaces ids, which differ in each run, and characters that a table cell cannot have. */
const normalize = (text) => text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/gi, '(id)').replaceAll('|', '/')
  .replaceAll(/\s+/g, ' ').trim();

/** Returns the first sentence or line, truncated between words. */
function firstSentence(text) {
  const first = normalize(text.split('\n')[0]).split(/(?<=\w\w)[.;] /)[0].replace(/\.$/, '');
  return first.length <= 90 ? first : `${first.slice(0, 90).replace(/\s\S*$/, '')} ...`;
}

function describeError(status, json, text) {
  const error = json?.error ?? json?.message ?? json;
  const code = json?.code ?? error?.code ?? json?.error_code;
  if (typeof code === 'string') return `${status} \`${code}\``;
  const sentence = typeof error === 'string' ? error : error?.message;
  if (typeof sentence === 'string') return `${status}: ${firstSentence(sentence)}`;
  return `${status}${/<html/i.test(text) ? ', an HTML page' : ''}`;
}

/**
 * Describes a response.
 *
 * @param {{status: number, text: string}} response
 * @param {string} [success] the description of a 2xx response that has neither an answer nor search results
 */
export function describeResponse(response, success) {
  const { status, text } = response;
  const json = parseJSON(response) ?? parseEvents(response).find((event) => event.jsonrpc || event.type === 'error' || event.error);
  const answer = answerOf(response);
  if (status < 300 && answer !== undefined) return describeAnswer(answer);
  if (Array.isArray(json) && status < 300 && !success) return json.length === 0 ? 'no results' : `results ${from(documentsIn(text))}`;
  const call = json?.result;
  if (call?.isError) return `${status}, an error in the result: ${firstSentence(call.content[0].text)}`;
  if (call?.content) return documentsIn(text).length === 0 ? 'no results' : `results ${from(documentsIn(text))}`;
  if (json?.error || json?.type === 'error' || status >= 300) return describeError(status, json, text);
  return success ?? `${status}`;
}
