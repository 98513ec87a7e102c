// Waiting for conditions. These tests never sleep for a fixed time.

import { setTimeout as delay } from 'node:timers/promises';

/**
 * Calls check until it returns a truthy value, and returns that value.
 *
 * @param {string} what names the condition in the error message
 * @param {() => any} check may be async; an error means "not yet" and is reported at the deadline
 * @param {{deadline?: number, every?: number}} [options] both in milliseconds
 */
export async function waitFor(what, check, { deadline = 30_000, every = 25 } = {}) {
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
      throw new Error(`timed out after ${deadline} ms: ${what}${last ? ` (${last.message})` : ''}`, { cause: last });
    }
    await delay(every);
  }
}
