// build-versions.mjs FOLDER: builds the site of each version into FOLDER/<version>/, from the tags of this repository, and
// of main. The first page leads to the newest release. All are built with the configuration of this checkout, so that every
// version lists all others.
//
//   DOCS_BASE  the path of FOLDER on the web server (default /)

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const DOCS = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const MOST = 10; // versions, besides main

const git = (...args) => execFileSync('git', ['-C', path.dirname(DOCS), ...args], { encoding: 'utf8', maxBuffer: 1 << 28 });

/** Returns the newest tags, one for each minor version, without pre-releases, newest first. */
function releases() {
  const newest = new Map();
  for (const tag of git('tag', '--list', 'v*', '--sort=-version:refname').split('\n')) {
    const minor = /^(v\d+\.\d+)\.\d+$/.exec(tag)?.[1];
    if (minor && !newest.has(minor)) newest.set(minor, tag);
  }
  return [...newest.values()].slice(0, MOST);
}

/** Builds the site of the commit that ref names. */
function build(ref, { commit, out, base, versions }) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'docsgate-site-'));
  try {
    const archive = path.join(folder, 'archive.tar');
    git('archive', '--output', archive, commit);
    execFileSync('tar', ['-xf', archive, '-C', folder]);
    const docs = path.join(folder, 'docs');
    for (const file of ['.vitepress/config.mjs', '.vitepress/pages.mjs', 'package.json']) {
      fs.cpSync(path.join(DOCS, file), path.join(docs, file));
    }
    fs.symlinkSync(path.join(DOCS, 'node_modules'), path.join(docs, 'node_modules'));
    execFileSync(path.join(DOCS, 'node_modules/.bin/vitepress'), ['build', '--outDir', out], {
      cwd: docs,
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DOCS_BASE: base, DOCS_REF: ref, DOCS_VERSIONS: versions.join(' ') },
    });
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

const [out] = process.argv.slice(2);
if (!out) {
  console.error('usage: build-versions.mjs FOLDER');
  process.exit(2);
}
if (fs.existsSync(out)) {
  console.error(`${out} already exists`);
  process.exit(1);
}
const root = (process.env.DOCS_BASE || '/').replace(/\/*$/, '/');
const versions = [...releases(), 'main'];
const branch = git('for-each-ref', '--format=%(refname)', 'refs/remotes/origin/main', 'refs/heads/main').split('\n')[0];
for (const name of versions) {
  console.log(`building ${name}`);
  build(name, {
    commit: name === 'main' ? branch || 'HEAD' : `refs/tags/${name}`,
    out: path.resolve(out, name),
    base: `${root}${name}/`,
    versions,
  });
}
fs.writeFileSync(path.join(out, 'index.html'),
  `<!doctype html><meta charset="utf-8"><title>docsgate</title><meta http-equiv="refresh" content="0; url=${root}${versions[0]}/">\n`);
