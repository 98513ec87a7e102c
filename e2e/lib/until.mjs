// Waiting for conditions. Nothing in these tests sleeps for a fixed time and hopes.

import { setTimeout as delay } from 'node:timers/promises';

/**
 * Calls check until it gives something truthy, and gives that back.
 *
 * @param {string} what names the condition; it is the message when the deadline passes
 * @param {() => any} check may be async; a thrown error counts as "not yet" and is told at the deadline
 * @param {{deadline?: number, every?: number}} [options] both in milliseconds
 */
export async function until(what, check, { deadline = 30_000, every = 25 } = {}) {
  const end = Date.now() + deadline;
  let last;
  for (;;) {
    try {
      const value = await check();
      if (value) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() >= end) {
      throw new Error(`not within ${deadline} ms: ${what}${last ? ` (${last.message})` : ''}`, { cause: last });
    }
    await delay(every);
  }
}
