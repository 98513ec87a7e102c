// Running the documentation's examples as a reader would: the gate is started with the Caddyfile lines of the page, and
// each example runs on its own, with the gate's address and a key in their places.

import { execFile } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { openPage } from './browser.mjs';
import { E2E } from './build.mjs';
import { WIDGET_VERSIONS, widgetBundle } from './bundles.mjs';
import { LOOPBACK, freePorts, isListening } from './net.mjs';
import { startProcess } from './processes.mjs';
import { until } from './until.mjs';
import { driveWidget } from './widget.mjs';

const HOST = /\b[a-z]+\.example\.com\b/g;
const QUESTION = 'How do I reset the device?';

/** Of the password "demo": pages show how the web app's host is protected, and say that the hash is the reader's own. */
const PASSWORD_HASH = '$2a$14$2kQRfdyNR8Ff1CSvNP.8J.pQg6IxkAIXjL5B1za1I7ka2joEhz0ni';

/**
 * Starts the gate with a page's own Caddyfile lines: hosts become loopback ports, and DocsGPT's usual address becomes
 * the upstream's.
 *
 * @param {{program: string, dir: string, sites: string, upstream: string, keys: object}} options sites is the text
 *   of the page's block, without global options
 */
export async function startExampleGate({ program, dir, sites, upstream, keys }) {
  const hosts = [...new Set(sites.match(HOST))];
  const ports = await freePorts(hosts.length);
  const at = (host) => `http://${LOOPBACK}:${ports[hosts.indexOf(host)]}`;
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
${sites.replaceAll(HOST, at).replaceAll('localhost:7091', upstream)}`);
  const gate = startProcess('gate', program, ['run', '--config', 'Caddyfile', '--adapter', 'caddyfile'], {
    dir, env: environment(dir, keys),
  });
  for (const port of ports) await gate.ready(`port ${port}`, () => isListening(port));
  return {
    /** The text of an example with the running gate's addresses in it. */
    located: (text) => text.replaceAll(
      new RegExp(`https://(${HOST.source})`, 'g'), (whole, host) => (hosts.includes(host) ? at(host) : whole),
    ),
    output: gate.output,
    stop: () => gate.stop(),
  };
}

/** What the gate's process sees of the environment; the names are those that pages use. */
export function environment(dir, keys) {
  return {
    PATH: process.env.PATH, HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir, ...keys.env,
    DOCSGPT_TOKEN: keys.upstreamToken, DOCSGPT_AGENT_KEY: keys.agents.handbook, SUPPORT_TOKEN: keys.tokens.source,
    DOCSGATE_APP_PASSWORD_HASH: PASSWORD_HASH,
  };
}

/** Runs an example that is a program; gives all that it printed. It fails when the program does. */
export async function runProgram(language, text) {
  // Inside of this folder, so that node finds the packages that are installed here.
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

/** Serves pages that are examples, beside the widgets' bundles under the names that the examples use. */
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
    /** Gives the address of a page with that text. */
    put(text) {
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
 * Keeps from the widget, in the page, that a picture cannot be had: it would ask for its own one on another host, which is
 * away here, again and again, and do little else.
 */
function withoutPictures() {
  window.addEventListener('error', (event) => {
    if (event.target instanceof HTMLImageElement) event.stopPropagation();
  }, true);
}

/** Opens an example that is a page, asks what a reader would ask there, and gives what is shown then. */
export async function usePage(browser, url, text) {
  const page = await openPage(browser, url, { init: withoutPictures });
  try {
    if (text.includes('renderDocsGPTWidget(')) {
      await page.getByText('Ask a question').click();
      const turn = await (await driveWidget(page)).ask(QUESTION);
      return [turn.error, ...turn.sources.map((source) => source.title), turn.answer].filter(Boolean).join('\n');
    }
    await page.getByText('Search here').click();
    await page.getByPlaceholder('Search or Ask AI...').fill('reset');
    return await until('the results are shown', async () => {
      const shown = await page.locator('body').innerText();
      const results = shown.slice(shown.indexOf('Ask the AI') + 'Ask the AI'.length).replace('Enter', '').trim();
      return /^(?!loading)./i.test(results) && shown;
    });
  } finally {
    await page.context().close();
  }
}
