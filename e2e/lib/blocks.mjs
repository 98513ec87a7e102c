// The fenced blocks of the documentation, and what their info strings ask for.
//
//	```sh run=NAME       is run; also js, py and html. key=source uses the key that is bound to a source;
//	                     allows=MEMBERS names members, with commas, that let a key do more, and that it is about
//	```text expect=NAME  is what that block has to print; "..." stands for anything
//	```caddyfile         has to be a configuration, or options of docsgate that begin with "feed"; one without options
//	                     is that of its page's examples
//	```yaml              a key file has to be valid
//	```jsx props=NAME    names only properties that this component of the published widget has

import fs from 'node:fs';
import path from 'node:path';
import { REPO } from './build.mjs';

const FENCE = /^( *)```([^\n`]*)\n([\s\S]*?)^\1```[ \t]*$/gm;

/** Languages that are programs. On a client's page each of them has to be run. */
export const PROGRAMS = ['sh', 'js', 'py', 'html'];

const OTHER_NAMES = { bash: 'sh', shell: 'sh', console: 'sh', javascript: 'js', mjs: 'js', python: 'py' };

/**
 * The pages of the documentation with their blocks: each {page, line, language, text} and the marks of its info
 * string, such as run, expect and key.
 */
export function documentation() {
  const pages = fs.readdirSync(path.join(REPO, 'docs'), { recursive: true })
    .filter((name) => name.endsWith('.md')).map((name) => `docs/${name.split(path.sep).join('/')}`).sort();
  return ['README.md', ...pages].map((page) => ({ page, blocks: blocksOf(page) }));
}

function blocksOf(page) {
  const text = fs.readFileSync(path.join(REPO, page), 'utf8');
  return [...text.matchAll(FENCE)].map((found) => {
    const [, indent, info, body] = found;
    const [language = '', ...marks] = info.trim().split(/\s+/);
    return {
      page,
      line: text.slice(0, found.index).split('\n').length,
      language: OTHER_NAMES[language] ?? language,
      text: indent ? body.replaceAll(new RegExp(`^${indent}`, 'gm'), '') : body,
      ...Object.fromEntries(marks.map((mark) => mark.split('=', 2))),
    };
  });
}

/** A regular expression for what an "expect" block wants to see somewhere in an output. */
export function expectation(text) {
  const literal = (part) => part.trim().split(/\s+/).map((word) => word.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('\\s+');
  return new RegExp(text.trim().split('...').map(literal).join('[\\s\\S]*?'));
}
