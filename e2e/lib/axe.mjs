// The accessibility check of axe-core, in a page whose content security policy allows no other scripts.

import fs from 'node:fs';
import path from 'node:path';
import { E2E } from './build.mjs';

const AXE = fs.readFileSync(path.join(E2E, 'node_modules', 'axe-core', 'axe.min.js'), 'utf8');

/** Waits until colors no longer change, as they do after another theme was chosen: axe-core would find those in between. */
async function transitionsEnd(page) {
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map((a) => a.finished)));
}

/** Returns the violations that axe-core finds in the current state of the page, one line of text each. */
export async function axeViolations(page) {
  // The DevTools protocol is exempt from the page's policy.
  const devtools = await page.context().newCDPSession(page);
  if (!await page.evaluate(() => 'axe' in window)) await devtools.send('Runtime.evaluate', { expression: AXE });
  await devtools.detach();
  await transitionsEnd(page);
  const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] }));
  return violations.flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help}: ${node.html.slice(0, 200)}`));
}
