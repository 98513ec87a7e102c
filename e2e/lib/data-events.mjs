// The streams that the gate sends to widgets.

import assert from 'node:assert/strict';

/**
 * Parses a stream as strictly as the oldest widget and returns the data of its events: complete events of one data line.
 * The only other lines are blank ones: the gate sends them as keepalives, before and between events.
 *
 * @param {string} text the complete body of the response
 */
export function dataEvents(text) {
  assert.ok(text.endsWith('\n\n'), `it does not end with a complete event: ${JSON.stringify(text.slice(-80))}`);
  return text.replace(/^\n+|\n+$/g, '').split(/\n{2,}/).map((event) => {
    assert.match(event, /^data: \{.*\}$/, 'not one complete data line');
    return JSON.parse(event.slice('data: '.length));
  });
}
