// Statements about what a reader sees, in one place so that all tests mean the same by them.

import assert from 'node:assert/strict';

/** The text is a sentence for people: not the widget's own stopgap, not JSON, not a program's message. */
export function assertSentence(text) {
  assert.match(text, /^[A-Z].{15,200}[.!?]$/, `not a sentence: ${JSON.stringify(text)}`);
  assert.doesNotMatch(text, /Something went wrong|undefined|Exception|[{}<>\\]/, `not for people: ${JSON.stringify(text)}`);
}

/** The answer was made from the handbook, and from nothing else. */
export function assertFromHandbook(answer, keys) {
  assert.match(answer, /source=handbook\b/, `names no source, or another one: ${answer}`);
  assert.ok(answer.includes(keys.sources.handbook), `does not name the id of the handbook: ${answer}`);
  assert.doesNotMatch(answer, /payroll/, `names the other source: ${answer}`);
  assert.ok(!answer.includes(keys.sources.payroll), `names the id of the other source: ${answer}`);
  assert.doesNotMatch(answer, /live=/, `members that widen a key's reach got through: ${answer}`);
}

/** The turn is a finished answer from the handbook, without an error. */
export function assertAnswered(turn, keys) {
  assert.equal(turn.error, '', 'an error instead of an answer');
  assertFromHandbook(turn.answer, keys);
}

/** The turn shows a readable sentence instead of an answer. Gives the sentence. */
export function assertToldWhy(turn) {
  assert.equal(turn.waiting, false, 'the widget still waits');
  assert.equal(turn.answer, '', 'an answer instead of an error');
  assertSentence(turn.error);
  return turn.error;
}
