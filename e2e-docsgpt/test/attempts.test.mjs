// A client with a key for the handbook tries to get more. Straight at DocsGPT much of it works; through docsgate nothing
// of the payroll, of other people's uploads or of the upstream credentials comes out, and no such text reaches the
// model. What came of each attempt is docs/what-the-gate-changes.md: a run compares, UPDATE=1 writes the page anew.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { REPO } from '../../e2e/lib/build.mjs';
import { PROXY_MODES } from '../../e2e/lib/gate.mjs';
import { ATTEMPTS, OWNERS_TOOLS } from '../lib/attack-cases.mjs';
import { FACTS } from '../lib/stack-info.mjs';
import { outcome } from '../lib/classify-response.mjs';
import { pageOf } from '../lib/render-report.mjs';
import { CANARY } from '../lib/stack.mjs';
import { send } from '../lib/raw-http.mjs';

const PAGE = path.join(REPO, 'docs', 'what-the-gate-changes.md');
const FOREIGN = [CANARY.payroll, CANARY.attachment, CANARY.note];

const straight = { key: FACTS.agents.handbook.key, other: FACTS.agents.payroll.key, same: FACTS.agents.handbook.key };
const { tokens } = FACTS.gate;
const byAgent = { column: 'agent', key: tokens.agent, other: tokens.otherAgent, same: tokens.same };
const bySource = { column: 'source', key: tokens.source, other: tokens.otherSource, same: tokens.sameSource };
/** Where each attempt is made, straight and then through the gate; each side is told in a column of the page. */
const STRAIGHT = [
  { column: 'open', base: FACTS.api.open, ...straight },
  { column: 'login', base: FACTS.api.login, ...straight },
];
/** The gate with a key bound to an agent stands in front of the API that trusts everybody. */
const GATE = PROXY_MODES.flatMap((way) => [
  { way, base: FACTS.gate.ways[way].open, ...byAgent },
  { way, base: FACTS.gate.ways[way].login, ...bySource },
]);
for (const side of [...STRAIGHT, ...GATE]) {
  Object.assign(side, { name: side.way ? `${side.column}, ${side.way}` : side.column, facts: FACTS });
}

/** The same places, with the account's tools where keys are bound to a source. */
const WITH_TOOLS = GATE.map((side) => (side.column === 'source' ? { ...side, base: FACTS.gate.ways[side.way].open } : side));

const NOT_TRIED = { open: 'not tried', login: 'not tried' };

const callsOfTheModel = async () => (await fetch(`${FACTS.model}/calls`)).json();

/** Nothing that does not belong to the client's key, nor any upstream credential, in the answer. */
function assertNothingForeign(response, request) {
  for (const text of FOREIGN) assert.ok(!response.text.includes(text), `foreign text in the answer: ${response.text}`);
  const sent = JSON.stringify(request) + String(request.body ?? '');
  const all = response.text + JSON.stringify(response.headers);
  for (const [name, secret] of Object.entries(FACTS.secrets)) {
    assert.ok(!all.includes(secret) || sent.includes(secret), `the answer tells the ${name}`);
  }
}

async function describeAnswer(attempt, response, side, prepared) {
  const text = attempt.describe?.(response) || outcome(response, attempt.success);
  const aftermath = await attempt.aftermath?.(side, prepared);
  return aftermath ? `${text}; ${aftermath}` : text;
}

/** Makes the attempt at several places at once. Gives what came of it by column: the same in whichever way it went. */
async function tryAt(sides, attempt) {
  const prepared = await Promise.all(sides.map((side) => attempt.prepare?.(side)));
  const callsBefore = (await callsOfTheModel()).length;
  const gate = sides !== STRAIGHT;
  const found = await Promise.all(sides.map(async (side, i) => {
    const request = attempt.request(side, prepared[i]);
    const response = await send(side.base, request);
    if (gate) assertNothingForeign(response, request);
    return describeAnswer(attempt, response, side, prepared[i]);
  }));
  if (gate) {
    const given = (await callsOfTheModel()).slice(callsBefore).flat();
    // What a tool returned is given to the model by DocsGPT, which goes on after the gate has ended the answer.
    const kept = FOREIGN.filter((text) => text !== CANARY.note);
    assert.deepEqual(given.filter((text) => kept.includes(text)), [], 'foreign text was given to the model');
  }
  const columns = {};
  for (const [i, { column, name }] of sides.entries()) {
    columns[column] ??= found[i];
    assert.equal(found[i], columns[column], `${name} differs from the other way`);
  }
  return columns;
}

describe('a client with a key for the handbook', () => {
  const results = [];
  let complete = true;

  for (const attempt of ATTEMPTS) {
    test(`${attempt.group}: ${attempt.name}`, async () => {
      const result = { group: attempt.group, name: attempt.name };
      results.push(result);
      try {
        // First all that belongs to others may be seen, then nothing of it.
        Object.assign(result, attempt.only === 'gate' ? NOT_TRIED : await tryAt(STRAIGHT, attempt));
        Object.assign(result, await tryAt(attempt.group === OWNERS_TOOLS ? WITH_TOOLS : GATE, attempt));
      } catch (error) {
        complete = false;
        throw error;
      }
    });
  }

  test('the page in docs/ says what was seen', () => {
    assert.ok(complete, 'attempts failed, so the page is not compared');
    const text = pageOf(results);
    if (process.env.UPDATE) {
      fs.writeFileSync(PAGE, text);
      return;
    }
    const committed = fs.existsSync(PAGE) ? fs.readFileSync(PAGE, 'utf8') : '';
    assert.deepEqual(text.split('\n'), committed.split('\n'), 'write it anew with: UPDATE=1 make e2e-docsgpt');
  });
});
