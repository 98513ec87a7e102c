// What run.mjs started: addresses, ids and keys. See stack.mjs for the members.

import fs from 'node:fs';

const file = process.env.DOCSGPT_STACK;
if (!file) throw new Error('DOCSGPT_STACK is not set: these tests are run with `make e2e-docsgpt`, or `node run.mjs FILE`');

export const FACTS = JSON.parse(fs.readFileSync(file, 'utf8'));
