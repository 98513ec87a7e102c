// The clients that e2e/ has installed: this folder has no packages of its own.

import { createRequire } from 'node:module';

const require = createRequire(new URL('../../e2e/package.json', import.meta.url));

export const { default: OpenAI } = require('openai');
export const { Client } = require('@modelcontextprotocol/sdk/client/index.js');
export const { StreamableHTTPClientTransport } = require('@modelcontextprotocol/sdk/client/streamableHttp.js');
