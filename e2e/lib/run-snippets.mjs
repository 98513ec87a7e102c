// Runs the examples of the documentation as a reader would: the gate is started with the page's Caddyfile, and each example
// runs separately, with the placeholders for the gate's address and the key replaced.

import { execFile } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { openPage } from './browser.mjs';
import { E2E } from './build.mjs';
import { WIDGET_VERSIONS, widgetBundle } from './widget-packages.mjs';
import { LOOPBACK, freePorts, isListening } from './net.mjs';
import { startProcess } from './processes.mjs';
import { waitFor } from './wait-for.mjs';
import { driveWidget } from './widget.mjs';

const HOST = /\b[a-z]+\.example\.com\b/g;
const QUESTION = 'How do I reset the device?';

/** The hash of the password "demo". Pages show how to protect the web app's host, and tell readers to insert their own hash. */
const PASSWORD_HASH = '$2a$14$2kQRfdyNR8Ff1CSvNP.8J.pQg6IxkAIXjL5B1za1I7ka2joEhz0ni';

/**
 * Starts the gate with the Caddyfile of a page. Host names are replaced by loopback ports, and DocsGPT's default address by
 * that of the upstream.
 *
 * @param {{program: string, dir: string, sites: string, upstream: string, keys: object}} options sites is the text
 *   of the page's block, without global options
 */
export async function startExampleGate({ program, dir, sites, upstream, keys }) {
  const hosts = [...new Set(sites.match(HOST))];
  const ports = await freePorts(hosts.length);
  const addressOf = (host) => `http://${LOOPBACK}:${ports[hosts.indexOf(host)]}`;
  fs.mkdirSync(dir);
  fs.writeFileSync(path.join(dir, 'keys.yaml'), keys.file);
  fs.writeFileSync(path.join(dir, 'Caddyfile'), `{
	admin off
	auto_https off
	default_bind ${LOOPBACK}
	docsgate {
		feed file ${path.join(dir, 'keys.yaml')}
		upstream_token {env.E2E_UPSTREAM_TOKEN}
	}
}
${sites.replaceAll(HOST, addressOf).replaceAll('localhost:7091', upstream)}`);
  const gate = startProcess('gate', program, ['run', '--config', 'Caddyfile', '--adapter', 'caddyfile'], {
    dir, env: environment(dir, keys),
  });
  for (const port of ports) await gate.ready(`port ${port}`, () => isListening(port));
  return {
    /** Returns the text of an example with host names replaced by the gate's addresses. */
    withAddresses: (text) => text.replaceAll(
      new RegExp(`https://(${HOST.source})`, 'g'), (match, host) => (hosts.includes(host) ? addressOf(host) : match),
    ),
    output: gate.output,
    stop: () => gate.stop(),
  };
}

/** Returns the environment of the gate's process, with the variable names that the documentation uses. */
export function environment(dir, keys) {
  return {
    PATH: process.env.PATH, HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir, ...keys.env,
    DOCSGPT_TOKEN: keys.upstreamToken, DOCSGPT_AGENT_KEY: keys.agents.handbook, SUPPORT_TOKEN: keys.tokens.source,
    DOCSGATE_APP_PASSWORD_HASH: PASSWORD_HASH, DOCS_SIGN_SECRET: 'a secret for signing'.padEnd(32, '.').replaceAll(' ', '-'),
  };
}

/** Runs an example that is a program, and returns its output, stdout and stderr. It fails if the program fails. */
export async function runProgram(language, text) {
  // Below e2e, so that node finds the packages that are installed there.
  const cache = path.join(E2E, '.cache');
  fs.mkdirSync(cache, { recursive: true });
  const dir = fs.mkdtempSync(path.join(cache, 'example-'));
  const [program, args, name] = {
    sh: ['bash', ['-eu'], 'example.sh'],
    js: [process.execPath, [], 'example.mjs'],
    py: [process.env.DOCSGATE_PYTHON || 'python3', ['-I'], 'example.py'],
  }[language];
  try {
    fs.writeFileSync(path.join(dir, name), text);
    return await new Promise((resolve, reject) => {
      execFile(program, [...args, name], { cwd: dir, timeout: 60_000, env: { PATH: process.env.PATH, HOME: os.tmpdir() } },
        (error, stdout, stderr) => {
          if (error) reject(new Error(`${error.message}\n${stdout}${stderr}`));
          else resolve(stdout + stderr);
        });
    });
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

/** Serves examples that are HTML pages, and the widgets' bundles under the names that the examples use. */
export async function servePages() {
  const pages = new Map();
  const bundles = new Map(WIDGET_VERSIONS.map((version) => [`/docsgpt-${version}.js`, widgetBundle(version)]));
  const server = http.createServer((request, response) => {
    const [type, text] = bundles.has(request.url) ? ['text/javascript', bundles.get(request.url)] : ['text/html', pages.get(request.url)];
    response.writeHead(text === undefined ? 404 : 200, { 'Content-Type': `${type}; charset=utf-8` });
    response.end(text);
  });
  await new Promise((resolve) => server.listen(0, LOOPBACK, resolve));
  return {
    /** Adds a page with that text and returns its address. */
    add(text) {
      const name = `/${pages.size}.html`;
      pages.set(name, text);
      return `http://${LOOPBACK}:${server.address().port}${name}`;
    },
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/**
 * Runs in the page. Hides errors of images from the widget: its image is on an external host, which is unreachable here, and
 * after each error the widget requests it again, in an endless loop.
 */
function hideImageErrors() {
  window.addEventListener('error', (event) => {
    if (event.target instanceof HTMLImageElement) event.stopPropagation();
  }, true);
}

/** Opens an example that is an HTML page, asks a question there, and returns the text that the widget shows. */
export async function askOnPage(browser, url, text) {
  const page = await openPage(browser, url, { init: hideImageErrors });
  try {
    if (text.includes('renderDocsGPTWidget(')) {
      await page.getByText('Ask a question').click();
      const turn = await (await driveWidget(page)).ask(QUESTION);
      return [turn.error, ...turn.sources.map((source) => source.title), turn.answer].filter(Boolean).join('\n');
    }
    await page.getByText('Search here').click();
    await page.getByPlaceholder('Search or Ask AI...').fill('reset');
    // The widget also shows "No results found" between the input and its request.
    return await waitFor('the results are shown', async () => {
      const shown = await page.locator('body').innerText();
      const results = shown.slice(shown.indexOf('Ask the AI') + 'Ask the AI'.length).replace('Enter', '').trim();
      return /^(?!loading|no results found)./i.test(results) && shown;
    });
  } finally {
    await page.context().close();
  }
}
