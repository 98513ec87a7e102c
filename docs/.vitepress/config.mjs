// The documentation as a web site. The pages are the Markdown files of this folder, which are written for GitHub; the
// sidebar is the list of pages in README.md.
//
//   DOCS_BASE      the path of the site (default /)
//   DOCS_REF       the tag or branch that links to the repository use (default main)
//   DOCS_VERSIONS  names of all versions, separated by spaces; each is a folder beside this site

import GithubSlugger from 'github-slugger';
import { defineConfig } from 'vitepress';
import { linkToRepository, literalCode, readSidebar } from './pages.mjs';

const REPOSITORY = 'https://github.com/docsgate/docsgate';
const ref = process.env.DOCS_REF || 'main';
const base = process.env.DOCS_BASE || '/';
const versions = (process.env.DOCS_VERSIONS || '').split(' ').filter(Boolean);

export default defineConfig({
  title: 'docsgate',
  description: 'An API-key gate in front of DocsGPT',
  base,
  cleanUrls: false,
  lastUpdated: false,
  rewrites: { 'README.md': 'index.md' },
  vite: { publicDir: false },
  markdown: {
    // The anchors of GitHub, since the pages are read there, too.
    anchor: { slugify: (heading) => new GithubSlugger().slug(heading) },
    languageAlias: { caddyfile: 'nginx', haproxy: 'nginx' }, // the highlighter does not have these
    config: (md) => md.use(linkToRepository, { repository: REPOSITORY, ref }).use(literalCode),
  },
  themeConfig: {
    sidebar: readSidebar(),
    outline: [2, 3],
    search: { provider: 'local' },
    socialLinks: [{ icon: 'github', link: REPOSITORY }],
    editLink: { pattern: `${REPOSITORY}/edit/main/docs/:path` },
    // The other versions are folders beside this site. VitePress adds the base; target keeps its router out.
    nav: versions.length === 0 ? [] : [{
      text: ref,
      items: versions.map((name) => ({ text: name, link: `/../${name}/`, target: '_self' })),
    }],
  },
});
