// Assertions about what a user sees, shared so that all tests check the same.

import assert from 'node:assert/strict';

/** The text is a sentence for users: not the widget's generic error, not JSON, not the message of an exception. */
export function assertHumanReadable(text) {
  assert.match(text, /^[A-Z].{15,200}[.!?]$/, `not a sentence: ${JSON.stringify(text)}`);
  assert.doesNotMatch(text, /Something went wrong|undefined|Exception|[{}<>\\]/, `not for users: ${JSON.stringify(text)}`);
}

/** The answer comes from the handbook only. */
export function assertFromHandbook(answer, keys) {
  assert.match(answer, /source=handbook\b/, `the source is missing or another one: ${answer}`);
  assert.ok(answer.includes(keys.sources.handbook), `the id of the handbook is missing: ${answer}`);
  assert.doesNotMatch(answer, /payroll/, `contains the other source: ${answer}`);
  assert.ok(!answer.includes(keys.sources.payroll), `contains the id of the other source: ${answer}`);
  assert.doesNotMatch(answer, /live=/, `privileged fields reached the backend: ${answer}`);
}

/** The turn is a complete answer from the handbook, without an error. */
export function assertAnswered(turn, keys) {
  assert.equal(turn.error, '', 'an error instead of an answer');
  assertFromHandbook(turn.answer, keys);
}

/** The turn shows a readable error instead of an answer. Returns the error. */
export function assertErrorShown(turn) {
  assert.equal(turn.waiting, false, 'the widget is still waiting');
  assert.equal(turn.answer, '', 'an answer instead of an error');
  assertHumanReadable(turn.error);
  return turn.error;
}
