// The running stack: the addresses, ids and keys that startStack returned to run-docsgpt.mjs, which is another process.

import fs from 'node:fs';

const file = process.env.DOCSGPT_STACK;
if (!file) throw new Error('DOCSGPT_STACK is not set: run these tests with `make e2e-docsgpt`, or `node run-docsgpt.mjs FILE`');

export const STACK = JSON.parse(fs.readFileSync(file, 'utf8'));
