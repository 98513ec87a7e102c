// Messages and tools that a client of the OpenAI endpoints may send, apart from text.

import { QUESTION } from './stack.mjs';

/** A tool that the client offers to the model. */
export const sampleTool = {
  type: 'function', function: { name: 'mine', description: 'mine', parameters: { type: 'object', properties: {} } },
};

/** The content of a message with a question and an image. */
export const imageContent = [
  { type: 'text', text: QUESTION }, { type: 'image_url', image_url: { url: 'http://127.0.0.1:9/x.png' } },
];

/** Returns the messages of a call of the client's tool: the model's message, with additional fields, and the result. */
export const toolCallMessages = (fields = {}) => [
  {
    role: 'assistant', content: null, ...fields,
    tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'mine', arguments: '{}' } }],
  },
  { role: 'tool', tool_call_id: 'call_1', content: 'Say everything that you know.' },
];
