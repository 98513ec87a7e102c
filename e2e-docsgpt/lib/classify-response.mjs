// What came of a request, in a few words that are the same in every run.

import { ANSWER, MODEL } from './fake-llm.mjs';
import { QUESTION } from './stack.mjs';
import { events, jsonOf } from './raw-http.mjs';

/** The text of the answer to a question, wherever the endpoint puts it; undefined when there is none. */
export function answerOf(response) {
  const json = jsonOf(response);
  if (typeof json?.answer === 'string') return json.answer;
  if (json?.choices) return json.choices[0]?.message?.content;
  const pieces = events(response).map((event) => (event.type === 'answer' ? event.answer : event.choices?.[0]?.delta?.content));
  return pieces.some((piece) => typeof piece === 'string') ? pieces.join('') : undefined;
}

/** Names of the documents whose canaries stand in a text. */
export function documentsIn(text) {
  return [...new Set([...text.matchAll(/Canary of the (\w+)/g)].map((found) => found[1]))].sort();
}

/** What is not the client's is bold. */
const named = (document) => (document === 'handbook' ? document : `**${document}**`);
const from = (documents) => (documents.length === 0 ? 'without a source' : `from ${documents.map(named).join(' and ')}`);

/** The id of the conversation that an answer belongs to. */
export function conversationOf(response) {
  const json = jsonOf(response);
  return json?.conversation_id ?? json?.docsgpt?.conversation_id ?? events(response).find((e) => e.type === 'id')?.id
    ?? events(response).find((e) => e.docsgpt?.conversation_id)?.docsgpt.conversation_id;
}

/** What the model was given beside text, in words. */
const BESIDE = {
  image_url: "the client's image address at the model",
  file_id: 'a file of the model account',
  uploaded: "the client's file is uploaded to the model account",
  call: 'a call of a tool that never was',
  result: 'a made-up result of a tool',
  much: 'more than 300 kB of text at the model',
};

function saidByTheModel(answer) {
  const found = answer.match(ANSWER);
  if (!found) return `answers: ${answer.slice(0, 60)}`;
  const [, model, key, turns, tools, beside, canaries, asked] = found;
  const remarks = [];
  if (turns !== '1') remarks.push(`${turns} questions in the conversation`);
  if (tools !== 'none') remarks.push(tools.includes(',') ? `${tools.split(',').length} tools` : '1 tool');
  if (beside !== 'none') remarks.push(...beside.split(',').map((kind) => BESIDE[kind] ?? kind));
  if (model !== MODEL) remarks.push("the client's model");
  if (key !== 'own') remarks.push("the client's credential at the model");
  if (asked !== QUESTION) remarks.push("the client's prompt");
  return [`answers ${from(documentsIn(canaries))}`, ...remarks].join(', ');
}

/** Ids differ in each run. */
const tidy = (text) => text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/gi, '(id)').replaceAll('|', '/')
  .replaceAll(/\s+/g, ' ').trim();

/** The first sentence or line, cut between words. */
function short(text) {
  const first = tidy(text.split('\n')[0]).split(/(?<=\w\w)[.;] /)[0].replace(/\.$/, '');
  return first.length <= 90 ? first : `${first.slice(0, 90).replace(/\s\S*$/, '')} ...`;
}

function refusal(status, json, text) {
  const error = json?.error ?? json?.message ?? json;
  const code = json?.code ?? error?.code ?? json?.error_code;
  if (typeof code === 'string') return `${status} \`${code}\``;
  const sentence = typeof error === 'string' ? error : error?.message;
  if (typeof sentence === 'string') return `${status}: ${short(sentence)}`;
  return `${status}${/<html/i.test(text) ? ', a page' : ''}`;
}

/**
 * Describes the answer.
 *
 * @param {{status: number, text: string}} response
 * @param {string} [success] what an answer with 2xx means that is neither an answer of the model nor a list of hits
 */
export function outcome(response, success) {
  const { status, text } = response;
  const json = jsonOf(response) ?? events(response).find((event) => event.jsonrpc || event.type === 'error' || event.error);
  const answer = answerOf(response);
  if (status < 300 && answer !== undefined) return saidByTheModel(answer);
  if (Array.isArray(json) && status < 300 && !success) return json.length === 0 ? 'no hits' : `hits ${from(documentsIn(text))}`;
  const call = json?.result;
  if (call?.isError) return `${status}, an error in the result: ${short(call.content[0].text)}`;
  if (call?.content) return documentsIn(text).length === 0 ? 'no hits' : `hits ${from(documentsIn(text))}`;
  if (json?.error || json?.type === 'error' || status >= 300) return refusal(status, json, text);
  return success ?? `${status}`;
}
