// The requests of attack-cases.mjs, which describes the objects that these functions take and return: target is where an
// attack is tried, and a function with a name as its first argument returns an attack.

import { toolCall } from './fake-llm.mjs';
import { MCP_HEADERS, conversationModified, openMCPSession, startConversation } from './other-tenant.mjs';
import { sendRaw } from './raw-http.mjs';
import { CANARY, QUESTION } from './stack.mjs';

export const body = (target, more = {}) => ({ question: QUESTION, history: '[]', api_key: target.key, ...more });
export const stream = (json) => ({ path: '/stream', json });
export const bearer = (key) => ({ Authorization: `Bearer ${key}` });
export const raw = (text, type = 'application/json') => ({ path: '/stream', body: text, headers: { 'Content-Type': type } });
export const payroll = (target) => target.stack.sources.payroll;
export const payrollAgent = (target) => target.stack.agents.payroll;

/** Additional fields in a question with a valid key. */
export const withFields = (name, more, extra = {}) => ({
  name, request: (target, prepared) => stream(body(target, more(target, prepared))), ...extra,
});

/** A question for the payroll, with other fields in place of the key. */
export const withoutKey = (name, keyFields, extra = {}) => ({
  name,
  request: (target) => stream({ ...noKey(target), ...keyFields(target) }),
  ...extra,
});

/** Any other request. */
export const attack = (name, request, extra = {}) => ({ name, request, ...extra });

/** A question with an Authorization header. */
export const withBearer = (name, token, fields) => attack(name, (target) => ({
  ...stream(fields(target)), headers: { 'Content-Type': 'application/json', ...bearer(token(target)) },
}));

/** A question with a valid key and a history. */
export const withHistory = (name, entries) => attack(name, (target) => stream(body(target, { history: JSON.stringify(entries()) })));

export const search = (name, fields) => attack(name, (target) => ({
  path: '/api/search', json: { question: QUESTION, ...fields(target) },
}));

export const feedback = (name, keyFields) => ({
  name,
  prepare: (target) => startConversation(target, target.other),
  request: (target, id) => ({
    path: '/api/feedback',
    json: {
      question: QUESTION, answer: 'x', feedback: 'DISLIKE', conversation_id: id, question_index: 0, ...keyFields(target),
    },
  }),
  success: 'accepted',
});

/** Returns the start of a JSON body, for bodies that JSON.stringify cannot produce. */
export const head = (target) => `{"question":"${QUESTION}","history":"[]","active_docs":"${payroll(target)}"`;
export const noKey = (target) => ({ question: QUESTION, history: '[]', active_docs: payroll(target) });

export const chat = (target, more = {}, headers = {}) => ({
  path: '/v1/chat/completions', headers: { ...bearer(target.key), ...headers },
  json: { messages: [{ role: 'user', content: QUESTION }], ...more },
});

export const mcpRequest = (headers, method, params) => ({
  path: '/mcp/', headers: { ...MCP_HEADERS, ...headers }, json: { jsonrpc: '2.0', id: 2, method, params },
});

/** A search by MCP, in the session of one key, with another key or without one. */
export const mcpSearch = (name, sessionKey, key, more = () => ({})) => ({
  name,
  prepare: (target) => openMCPSession(target, sessionKey(target)),
  request: (target, id) => mcpRequest({ ...(key(target) ? bearer(key(target)) : {}), 'Mcp-Session-Id': id }, 'tools/call', {
    name: 'search_docs', arguments: { query: QUESTION, ...more(target) },
  }),
});

export const modified = async (target, id) => (await conversationModified(target, id)) && "the other client's conversation is modified";

/** The group of attacks that run as the account of the gate's credential, with the default tools of DocsGPT. */
export const OWNER_TOOLS = "The owner's tools, with DocsGPT's default settings";

/** Returns a question as the account of the gate's credential: directly with that credential, or through the gate. */
export const accountRequest = (target, question, more = {}) => (target.mode
  ? { json: { question, history: '[]', api_key: target.key, ...more } }
  : {
    headers: { 'Content-Type': 'application/json', ...bearer(target.stack.secrets['access token']) },
    json: { question, history: '[]', active_docs: [target.stack.sources.handbook], ...more },
  });

/** A question that makes the model call a tool. */
export const withTool = (name, path, tool, args, extra = {}) => ({
  name, request: (target) => ({ path, ...accountRequest(target, `${QUESTION}${toolCall(tool, args(target))}`) }), ...extra,
});

/** Another client makes the model store a note. */
export const storeNote = (target) => sendRaw(target.base, {
  path: '/stream',
  ...accountRequest({ ...target, key: target.same }, `${QUESTION}${toolCall('memory_create', { path: '/note.txt', file_text: CANARY.note })}`),
});
