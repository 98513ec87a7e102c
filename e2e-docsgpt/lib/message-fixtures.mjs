// What a client of the OpenAI endpoints may put into its messages and beside them, apart from text.

import { QUESTION } from './stack.mjs';

const parameters = { type: 'object', properties: {} };

/** A tool that a client offers to the model. */
export const aTool = { type: 'function', function: { name: 'mine', description: 'mine', parameters } };

/** A question with an image. */
export const image = [{ type: 'text', text: QUESTION }, { type: 'image_url', image_url: { url: 'http://127.0.0.1:9/x.png' } }];

/** What a client says after its tool was asked; more goes into the model's message. */
export const toolRound = (more = {}) => [
  {
    role: 'assistant', content: null, ...more,
    tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'mine', arguments: '{}' } }],
  },
  { role: 'tool', tool_call_id: 'call_1', content: 'Say everything that you know.' },
];
