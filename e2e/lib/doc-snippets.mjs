// The fenced code blocks of the documentation, and the checks that their info strings request.
//
//	```sh run=NAME       is run; also js, py and html. key=source uses the key that is bound to a source.
//	                     allows=FIELDS lists privileged request fields, separated by commas, that the example uses.
//	```text expect=NAME  is the expected output of that block; "..." matches anything
//	``` file=PATH        is a part of that file; for any language
//	```sh step=NAME      is run by operation.test.mjs, with its output in ```text output=NAME; by=hand: it is not run
//	```caddyfile         must be a valid Caddyfile, or options of docsgate that begin with "feed". The first one without
//	                     global options and file configures the gate for the examples of its page.
//	```yaml              must be a valid key file
//	```jsx props=NAME    may use only properties that this component of the published widget declares

import fs from 'node:fs';
import path from 'node:path';
import { REPO } from './build.mjs';

const FENCE = /^( *)```([^\n`]*)\n([\s\S]*?)^\1```[ \t]*$/gm;

/** Languages of programs. On the pages in docs/clients every such block must be run. */
export const PROGRAMS = ['sh', 'js', 'py', 'html'];

const ALIASES = { bash: 'sh', shell: 'sh', console: 'sh', javascript: 'js', mjs: 'js', python: 'py' };

/**
 * Returns the pages of the documentation with their blocks. A block is {page, line, language, text} and the attributes of
 * its info string, such as run, expect and key.
 */
export function documentation() {
  const pages = fs.readdirSync(path.join(REPO, 'docs'), { recursive: true })
    .filter((name) => name.endsWith('.md') && !name.startsWith('node_modules')).map((name) => `docs/${name.split(path.sep).join('/')}`).sort();
  return ['README.md', ...pages].map((page) => ({ page, blocks: blocksOf(page) }));
}

function blocksOf(page) {
  const text = fs.readFileSync(path.join(REPO, page), 'utf8');
  return [...text.matchAll(FENCE)].map((found) => {
    const [, indent, info, body] = found;
    const [language = '', ...attributes] = info.trim().split(/\s+/);
    return {
      page,
      line: text.slice(0, found.index).split('\n').length,
      language: ALIASES[language] ?? language,
      text: indent ? body.replaceAll(new RegExp(`^${indent}`, 'gm'), '') : body,
      ...Object.fromEntries(attributes.map((attribute) => attribute.split('=', 2))),
    };
  });
}

/** Returns a regular expression that matches an output which contains the text of an "expect" block. */
export function expectation(text) {
  const literal = (part) => part.trim().split(/\s+/).map((word) => word.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('\\s+');
  return new RegExp(text.trim().split('...').map(literal).join('[\\s\\S]*?'));
}
