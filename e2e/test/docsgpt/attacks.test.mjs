// Attacks by a client with a key for the handbook. Many of them succeed at DocsGPT itself. Through docsgate no response
// contains data of the payroll, uploads of others or upstream credentials, and no such data reaches the model. The results are
// docs/what-the-gate-changes.md: the last test compares them with the page, and with UPDATE=1 it writes the page.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { REPO } from '../../lib/build.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { ATTACK_CASES } from '../../lib/docsgpt/attack-cases.mjs';
import { OWNER_TOOLS } from '../../lib/docsgpt/attack-requests.mjs';
import { STACK } from '../../lib/docsgpt/stack-info.mjs';
import { describeResponse } from '../../lib/docsgpt/classify-response.mjs';
import { renderPage } from '../../lib/docsgpt/render-report.mjs';
import { CANARY } from '../../lib/docsgpt/stack.mjs';
import { sendRaw } from '../../lib/docsgpt/raw-http.mjs';

const PAGE = path.join(REPO, 'docs', 'what-the-gate-changes.md');
const OTHERS_DATA = [CANARY.payroll, CANARY.attachment, CANARY.note];

const direct = { key: STACK.agents.handbook.key, other: STACK.agents.payroll.key, same: STACK.agents.handbook.key };
const { tokens } = STACK.gate;
const byAgent = { column: 'agent', key: tokens.agent, other: tokens.otherAgent, same: tokens.same };
const bySource = { column: 'source', key: tokens.source, other: tokens.otherSource, same: tokens.sameSource };
/** The targets, of which each is a column of the page: DocsGPT itself, and then the gate. */
const DIRECT = [
  { column: 'open', base: STACK.api.open, ...direct },
  { column: 'login', base: STACK.api.login, ...direct },
];
/** With keys that are bound to an agent, the gate is in front of the DocsGPT without a login. */
const GATE = PROXY_MODES.flatMap((mode) => [
  { mode, base: STACK.gate.urls[mode].open, ...byAgent },
  { mode, base: STACK.gate.urls[mode].login, ...bySource },
]);
for (const target of [...DIRECT, ...GATE]) {
  Object.assign(target, { name: target.mode ? `${target.column}, ${target.mode}` : target.column, stack: STACK });
}

/** The gate, in front of a DocsGPT with its default tools for both kinds of keys. */
const WITH_TOOLS = GATE.map((target) => (target.column === 'source' ? { ...target, base: STACK.gate.urls[target.mode].open } : target));

const NOT_TRIED = { open: 'not tried', login: 'not tried' };

const modelCalls = async () => (await fetch(`${STACK.llm}/calls`)).json();

/** The response contains no data of others and no upstream credential. */
function assertNoLeak(response, request) {
  for (const text of OTHERS_DATA) assert.ok(!response.text.includes(text), `data of others in the response: ${response.text}`);
  const sent = JSON.stringify(request) + String(request.body ?? '');
  const all = response.text + JSON.stringify(response.headers);
  for (const [name, secret] of Object.entries(STACK.secrets)) {
    assert.ok(!all.includes(secret) || sent.includes(secret), `the response contains the ${name}`);
  }
}

async function describeResult(attack, response, target, prepared) {
  const text = attack.describe?.(response) || describeResponse(response, attack.success);
  const sideEffect = await attack.sideEffect?.(target, prepared);
  return sideEffect ? `${text}; ${sideEffect}` : text;
}

/** Tries the attack at several targets. Returns the results by column, which must be the same in both proxy modes. */
async function tryAt(targets, attack) {
  const prepared = await Promise.all(targets.map((target) => attack.prepare?.(target)));
  const callsBefore = (await modelCalls()).length;
  const gate = targets !== DIRECT;
  const found = await Promise.all(targets.map(async (target, i) => {
    const request = attack.request(target, prepared[i]);
    const response = await sendRaw(target.base, request);
    if (gate) assertNoLeak(response, request);
    return describeResult(attack, response, target, prepared[i]);
  }));
  if (gate) {
    const received = (await modelCalls()).slice(callsBefore).flat();
    // The note is excluded: DocsGPT passes it to the model after the gate has ended the response.
    const forbidden = OTHERS_DATA.filter((text) => text !== CANARY.note);
    assert.deepEqual(received.filter((text) => forbidden.includes(text)), [], 'the model received data of others');
  }
  const columns = {};
  for (const [i, { column, name }] of targets.entries()) {
    columns[column] ??= found[i];
    assert.equal(found[i], columns[column], `${name} differs from the other proxy mode`);
  }
  return columns;
}

describe('a client with a key for the handbook', () => {
  const results = [];
  let complete = true;

  for (const attack of ATTACK_CASES) {
    test(`${attack.group}: ${attack.name}`, async () => {
      const result = { group: attack.group, name: attack.name };
      results.push(result);
      try {
        Object.assign(result, attack.only === 'gate' ? NOT_TRIED : await tryAt(DIRECT, attack));
        Object.assign(result, await tryAt(attack.group === OWNER_TOOLS ? WITH_TOOLS : GATE, attack));
      } catch (error) {
        complete = false;
        throw error;
      }
    });
  }

  test('docs/what-the-gate-changes.md is up to date', () => {
    assert.ok(complete, 'attacks could not be evaluated, so the page is not compared');
    const text = renderPage(results);
    if (process.env.UPDATE) {
      fs.writeFileSync(PAGE, text);
      return;
    }
    const committed = fs.existsSync(PAGE) ? fs.readFileSync(PAGE, 'utf8') : '';
    assert.deepEqual(text.split('\n'), committed.split('\n'), 'to update it: UPDATE=1 make e2e-docsgpt');
  });
});
