// The documentation as a web site: every link and anchor leads somewhere, the search finds pages, and each version is built.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { launchBrowser, openPage } from '../../lib/browser.mjs';
import { REPO } from '../../lib/build.mjs';

const DOCS = path.join(REPO, 'docs');
const VITEPRESS = path.join(DOCS, 'node_modules/.bin/vitepress');
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.png': 'image/png', '.woff2': 'font/woff2' };

/** Serves a folder. */
async function serve(folder) {
  const server = http.createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url, 'http://site').pathname).replace(/\/$/, '/index.html');
    const file = path.join(folder, path.posix.normalize(name));
    if (!fs.existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream' });
    fs.createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}

/** Returns the links of the content of a page, without those of the sidebar, and its anchors. */
function readPage(file) {
  const html = fs.readFileSync(file, 'utf8');
  const main = /<main class="main"[^>]*>([\s\S]*)<\/main>/.exec(html)?.[1];
  assert.ok(main, `${file} has no content`);
  return {
    links: [...main.matchAll(/<a [^>]*?href="([^"]+)"/g)].map((match) => match[1]),
    ids: new Set([...html.matchAll(/ id="([^"]+)"/g)].map((match) => match[1])),
  };
}

describe('documentation site', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'docsgate-docs-site-'));
  const out = path.join(dir, 'site');
  const closers = [];
  let browser;
  let url;

  before(async () => {
    const output = execFileSync(VITEPRESS, ['build', '--outDir', out], { cwd: DOCS, encoding: 'utf8', stdio: 'pipe' });
    assert.doesNotMatch(output, /error/i, 'VitePress completes with status 0 when a page cannot be rendered');
    const site = await serve(out);
    closers.push(() => site.stop());
    url = site.url;
    browser = await launchBrowser();
    closers.push(() => browser.close());
  });
  after(async () => {
    for (const closer of closers.reverse()) await closer();
    fs.rmSync(dir, { recursive: true, force: true });
  });

  test('every page of the folder is there', () => {
    const pages = fs.readdirSync(DOCS, { recursive: true })
      .filter((file) => file.endsWith('.md') && !file.startsWith('node_modules'))
      .map((file) => (file === 'README.md' ? 'index.html' : file.replace(/md$/, 'html')));
    assert.ok(pages.length > 30, `${pages.length} pages`);
    assert.deepEqual(pages.filter((page) => !fs.existsSync(path.join(out, page))), []);
  });

  test('links lead to pages, anchors and files that exist', () => {
    const files = fs.readdirSync(out, { recursive: true }).filter((file) => file.endsWith('.html') && file !== '404.html');
    const pages = new Map(files.map((file) => [`/${file}`, readPage(path.join(out, file))]));
    const broken = [];
    let checked = 0;
    for (const [page, { links }] of pages) {
      for (const link of links) {
        const target = new URL(link, `http://site${page}`);
        const repository = /^https:\/\/github\.com\/docsgate\/docsgate\/(?:blob|tree|edit)\/main\/([^#]+)/.exec(link);
        if (repository) {
          if (!fs.existsSync(path.join(REPO, repository[1]))) broken.push(`${page}: ${link}`);
        } else if (target.host === 'site') {
          const found = pages.get(target.pathname.replace(/\/$/, '/index.html'));
          const anchor = decodeURIComponent(target.hash.slice(1));
          if (!found || (anchor && !found.ids.has(anchor))) broken.push(`${page}: ${link}`);
        } else continue;
        checked += 1;
      }
    }
    assert.deepEqual(broken, []);
    assert.ok(checked > 300, `only ${checked} links were found`);
  });

  test('a reader finds a page by search and by the sidebar', async () => {
    const page = await openPage(browser, `${url}/`, { width: 1280, height: 800 });
    await page.locator('.VPNavBarSearch button').first().click();
    await page.locator('#localsearch-input').fill('max_history_entries');
    await page.locator('.results a', { hasText: 'The directive' }).first().click();
    await page.waitForURL('**/configuration.html#*');
    await page.locator('main', { hasText: 'max_history_entries' }).waitFor();
    await page.locator('.VPSidebar a', { hasText: 'Chat widget' }).click();
    await page.locator('h1', { hasText: 'Chat widget' }).waitFor();
    assert.deepEqual(page.trail.errors, []);
    await page.context().close();
  });

  test('code is shown as it is written', async () => {
    const page = await openPage(browser, `${url}/signed-visitors.html`);
    await page.locator('main code', { hasText: '{{ passthrough.docsgate_visitor }}' }).waitFor();
    await page.context().close();
  });

  test('the newest patch of each minor version, and main', async () => {
    const repo = path.join(dir, 'repo');
    const git = (...args) => execFileSync('git', ['-C', repo, '-c', 'user.name=test', '-c', 'user.email=test@example.com', ...args]);
    fs.mkdirSync(path.join(repo, 'docs/.vitepress'), { recursive: true });
    execFileSync('git', ['init', '--quiet', '--initial-branch=main', repo]);
    for (const file of ['package.json', '.vitepress/config.mjs', '.vitepress/pages.mjs', '.vitepress/build-versions.mjs']) {
      fs.cpSync(path.join(DOCS, file), path.join(repo, 'docs', file));
    }
    fs.symlinkSync(path.join(DOCS, 'node_modules'), path.join(repo, 'docs/node_modules'));
    fs.writeFileSync(path.join(repo, 'docs/README.md'), '# Documentation\n\n## Start\n\n| page |\n|---|\n| [Page](page.md) |\n');
    for (const tag of ['v0.1.0', 'v0.1.1', 'v0.2.0', 'v0.3.0-rc.1']) {
      fs.writeFileSync(path.join(repo, 'docs/page.md'), `# Page\n\nThis is ${tag}, see [the file](../docs.txt).\n`);
      git('add', 'docs/README.md', 'docs/page.md');
      git('commit', '--quiet', '--message', tag);
      git('tag', tag);
    }
    const versions = path.join(dir, 'versions');
    execFileSync('node', [path.join(repo, 'docs/.vitepress/build-versions.mjs'), path.join(versions, 'docsgate')], {
      env: { ...process.env, DOCS_BASE: '/docsgate/' }, stdio: 'pipe',
    });
    assert.deepEqual(fs.readdirSync(path.join(versions, 'docsgate')).sort(), ['index.html', 'main', 'v0.1.1', 'v0.2.0']);

    const site = await serve(versions);
    closers.push(() => site.stop());
    const page = await openPage(browser, `${site.url}/docsgate/`, { width: 1280, height: 800 });
    await page.waitForURL('**/docsgate/v0.2.0/');
    await page.locator('.VPSidebar a', { hasText: 'Page' }).click();
    await page.locator('main', { hasText: 'This is v0.2.0' }).waitFor();
    const file = await page.locator('main a', { hasText: 'the file' }).getAttribute('href');
    assert.equal(file, 'https://github.com/docsgate/docsgate/blob/v0.2.0/docs.txt');
    await page.locator('.VPNavBarMenuGroup button').hover();
    await page.locator('.VPNavBarMenuGroup a', { hasText: 'v0.1.1' }).click();
    await page.waitForURL('**/docsgate/v0.1.1/');
    await page.goto(`${page.url()}page.html`);
    await page.locator('main', { hasText: 'This is v0.1.1' }).waitFor();
    assert.deepEqual(page.trail.errors, []);
    await page.context().close();
  });
});
