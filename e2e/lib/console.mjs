// docsgate with keys of its own: the store, a key file beside it, and the page for keys behind each of its protections.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { outsideHosts } from './browser.mjs';
import { gateBinary, seedBinary } from './build.mjs';
import { WAYS, logFilters, site } from './gate.mjs';
import { makeKeys } from './keys.mjs';
import { LOOPBACK, freePorts, isListening } from './net.mjs';
import { startProcess } from './processes.mjs';
import { until } from './until.mjs';

/** What the page is protected by; each has a site of its own. */
export const PROTECTIONS = ['token', 'password', 'loopback'];

/** Who basic_auth lets in, and the bcrypt hash (cost 4) of the password that stands in the Caddyfile. */
export const USER = { username: 'alice', password: 'correct horse battery' };
const PASSWORD_HASH = '$2a$04$k8bLro.JFC.UDCifDDkkSOoKj5fzQjT23mo9i0HS4S60wJdHL6Dui';

/** Keys for a console: those of makeKeys, an admin token, and a credential that may list DocsGPT's sources. */
export function makeConsoleKeys({ titles = {} } = {}) {
  const keys = makeKeys();
  const adminToken = crypto.randomBytes(20).toString('hex');
  for (const [name, title] of Object.entries(titles)) {
    keys.sources[name] ??= crypto.randomUUID();
    keys.stub.sources[keys.sources[name]] = title;
  }
  keys.stub.tokens = { [keys.upstreamToken]: [] }; // not confined: it lists all sources
  keys.env.E2E_ADMIN_TOKEN = adminToken;
  keys.secrets['admin token'] = adminToken;
  return { ...keys, adminToken };
}

/**
 * Starts docsgate: a site of the gate for each way of handing on, one console for each protection, and the admin
 * endpoint. The console on loopback is on a site for every host name, so that it is the console that refuses foreign ones. It is for startWorld, which takes it in the place of startGate. past are keys that are in the store already,
 * as e2e/seed reads them.
 */
export async function startConsole({ dir, upstream, keys, past = [] }) {
  const ports = await freePorts(WAYS.length + PROTECTIONS.length + 1);
  const gatePorts = ports.slice(0, WAYS.length);
  const [token, password, loopback, admin] = ports.slice(WAYS.length);
  const logFile = path.join(dir, 'gate.log');
  const gate = `http://${LOOPBACK}:${gatePorts[0]}`;
  const store = path.join(dir, 'store', 'keys.db');
  fs.writeFileSync(path.join(dir, 'keys.yaml'), keys.file);
  if (past.length > 0) execFileSync(seedBinary(), { input: JSON.stringify({ path: store, keys: past }) });
  fs.writeFileSync(path.join(dir, 'Caddyfile'), `${logFilters()}
{
	admin ${LOOPBACK}:${admin}
	auto_https off
	log {
		output file ${logFile}
		level DEBUG
		format filter {
			import no_keys
		}
	}
	docsgate {
		feed store ${store}
		feed file keys.yaml
		upstream_token {env.E2E_UPSTREAM_TOKEN}
	}
}
${WAYS.map((way, i) => site(gatePorts[i], way, upstream)).join('')}
http://${LOOPBACK}:${token} {
	log
	docsgate_console {
		admin_token {env.E2E_ADMIN_TOKEN}
		gate ${gate}
	}
}
http://${LOOPBACK}:${password} {
	log
	basic_auth {
		${USER.username} ${PASSWORD_HASH}
	}
	docsgate_console {
		gate https://ask.example.com
	}
}
http://:${loopback} {
	bind ${LOOPBACK}
	log
	docsgate_console
}
`);
  const env = { PATH: process.env.PATH, HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir, ...keys.env };
  const program = gateBinary();
  const running = startProcess('gate', program, ['run', '--config', 'Caddyfile', '--adapter', 'caddyfile'], { dir, env });
  for (const port of ports) await running.ready(`port ${port}`, () => isListening(port));
  const consoles = { token, password, loopback };
  return {
    pid: running.pid,
    program,
    env,
    url: (way) => `http://${LOOPBACK}:${gatePorts[WAYS.indexOf(way)]}`,
    /** Base address of the console behind a protection. */
    console: (protection = 'token') => `http://${LOOPBACK}:${consoles[protection]}`,
    /** Caddy's admin endpoint, as host:port. */
    admin: `${LOOPBACK}:${admin}`,
    output: running.output,
    log: () => (fs.existsSync(logFile) ? fs.readFileSync(logFile, 'utf8') : ''),
    async stop() {
      await running.stop();
      for (const port of ports) await until(`port ${port} is free`, async () => !(await isListening(port)));
    },
  };
}

/** Signs in with the admin token, at the page where that is asked for. */
export async function signIn(page, token) {
  await page.getByLabel('Admin token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** A program's way to the same keys: calls the console's REST API, and fails unless it answers with 2xx. */
export async function api(world, method, path_, body) {
  const response = await fetch(`${world.gate.console()}${path_}`, {
    method,
    headers: { Authorization: `Bearer ${world.keys.adminToken}`, 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path_}: ${response.status} ${text}`);
  const answer = text && JSON.parse(text);
  if (answer.token) note(world, answer.token, answer.name);
  return answer;
}

/** From now on the token must not be in anything that is written. */
export function note(world, token, name) {
  assert.match(token, /^dgk_[0-9A-Za-z]{36}$/);
  world.keys.secrets[`a token of ${name}`] = token;
}

/**
 * Makes a key with the form of the page, which has to be at the list, and gives its id and token; the page then shows
 * the token.
 *
 * @param {{name: string, source?: string, typed?: string, agent?: string, agentKey?: string, lifetime?: string}} wanted
 *   source is the title of one in DocsGPT's list, typed the id of one
 */
export async function createKey(world, page, { name, source, typed, agent, agentKey, lifetime }) {
  await page.getByRole('link', { name: 'Create New' }).click();
  await page.getByRole('textbox', { name: 'Name' }).fill(name);
  if (source) await page.getByRole('checkbox', { name: source }).check();
  if (typed) {
    await page.getByText('Type ids of other sources').click();
    await page.getByLabel('IDs of sources').fill(typed);
  }
  if (agent || agentKey) await page.getByRole('radio', { name: /^Agent/ }).check();
  if (agent) await page.getByRole('textbox', { name: 'Agent', exact: true }).fill(agent);
  if (agentKey) await page.getByLabel("or paste the agent's key").fill(agentKey);
  if (lifetime) await page.getByRole('radio', { name: lifetime }).check();
  await page.getByRole('button', { name: 'Create key' }).click();
  return shownKey(world, page, name);
}

/** The key that the page shows this once. */
export async function shownKey(world, page, name) {
  const token = await page.getByLabel('The new key').textContent();
  note(world, token, name);
  const id = await page.locator('dt', { hasText: /^ID$/ }).locator('xpath=following-sibling::dd').textContent();
  return { name, token, id };
}

/** What the gate answers to a question with a token: the status, and the text of the answer. */
export async function question(world, token, way = WAYS[0]) {
  const response = await fetch(`${world.gate.url(way)}/api/answer`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ question: 'How do I reset the device?', api_key: token }),
  });
  const { answer = '', error = '' } = await response.json();
  return { status: response.status, answer, error };
}

/**
 * Chromium's own notes: about forms, about answers that are no success, which these tests cause on purpose, and about a
 * field that was filled in before the browser came to put the cursor there, as no hand can, but a test now and then does.
 */
const REMARKS = /the server responded with a status of 4\d\d|^\[DOM\] |^Autofocus processing was blocked/;

/**
 * The page did nothing that it must not: it asked no other host, broke no rule of its policy, opened no dialog and
 * threw no error.
 */
export function assertQuiet(page) {
  assert.deepEqual(outsideHosts(page), []);
  const origins = new Set(page.trail.requests.map((r) => new URL(r.url).origin));
  assert.equal(origins.size, 1, `requests to ${[...origins]}`);
  assert.deepEqual(page.trail.dialogs, []);
  assert.deepEqual(page.trail.errors, []);
  assert.deepEqual(page.trail.console.filter((text) => !REMARKS.test(text)), []);
}
