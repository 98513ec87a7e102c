// The accessibility check of axe-core, in a page whose policy lets no foreign script in.

import fs from 'node:fs';
import path from 'node:path';
import { E2E } from './build.mjs';

const AXE = fs.readFileSync(path.join(E2E, 'node_modules', 'axe-core', 'axe.min.js'), 'utf8');

/** Gives what axe-core finds wrong with the page as it is now: lines of text, none if all is well. */
export async function inaccessible(page) {
  // The protocol of the browser's tools does what no script of a page may.
  const tools = await page.context().newCDPSession(page);
  if (!await page.evaluate(() => 'axe' in window)) await tools.send('Runtime.evaluate', { expression: AXE });
  await tools.detach();
  const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] }));
  return violations.flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help}: ${node.html.slice(0, 200)}`));
}
