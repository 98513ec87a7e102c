// How pages that are written for GitHub become pages of the site.

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const DOCS = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/**
 * Returns the sidebar: a group for each section of README.md, with the pages that its table links to, in their order.
 * Throws if a page is missing there.
 */
export function readSidebar() {
  const groups = [];
  for (const line of fs.readFileSync(path.join(DOCS, 'README.md'), 'utf8').split('\n')) {
    const heading = /^## (.+)$/.exec(line);
    if (heading) groups.push({ text: heading[1], items: [] });
    if (!line.startsWith('|')) continue;
    for (const [, text, file] of line.matchAll(/\[([^\]]+)\]\(([a-z0-9/-]+)\.md\)/g)) {
      groups.at(-1).items.push({ text: text[0].toUpperCase() + text.slice(1), link: `/${file}` });
    }
  }
  const listed = new Set(groups.flatMap(({ items }) => items.map(({ link }) => link)));
  const missing = pages().filter((page) => !listed.has(page));
  if (missing.length > 0) throw new Error(`README.md does not link to ${missing.join(', ')}`);
  return groups.filter(({ items }) => items.length > 0);
}

/** Returns the pages but README.md, as links. */
function pages() {
  return fs.readdirSync(DOCS, { recursive: true })
    .filter((file) => file.endsWith('.md') && !file.startsWith('node_modules') && file !== 'README.md')
    .map((file) => `/${file.slice(0, -3)}`);
}

/** A plugin of markdown-it: links that leave docs/ lead to the file in the repository. */
export function linkToRepository(md, { repository, ref }) {
  md.core.ruler.push('link-to-repository', (state) => {
    const folder = path.posix.dirname(state.env.relativePath === 'index.md' ? 'README.md' : state.env.relativePath);
    for (const token of state.tokens.flatMap((block) => block.children ?? [])) {
      const href = token.type === 'link_open' ? token.attrGet('href') : null;
      if (!href || /^([a-z]+:|#|\/)/.test(href)) continue;
      const [file, fragment] = href.split('#');
      const target = path.posix.join('docs', folder, file);
      if (target.startsWith('docs/')) continue;
      const kind = fs.statSync(path.join(DOCS, '..', target), { throwIfNoEntry: false })?.isDirectory() ? 'tree' : 'blob';
      token.attrSet('href', `${repository}/${kind}/${ref}/${target}${fragment ? `#${fragment}` : ''}`);
    }
  });
}

/** A plugin of markdown-it: `{{...}}` in code is text, not an expression of Vue. */
export function literalCode(md) {
  const render = md.renderer.rules.code_inline;
  md.renderer.rules.code_inline = (tokens, index, ...rest) => {
    tokens[index].attrSet('v-pre', '');
    return render(tokens, index, ...rest);
  };
}
