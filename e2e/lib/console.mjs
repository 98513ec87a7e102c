// docsgate with a key store, a key file, and a console behind each kind of protection.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { externalHosts } from './browser.mjs';
import { gateBinary, seedBinary } from './build.mjs';
import { PROXY_MODES, site } from './gate.mjs';
import { makeKeys } from './keys.mjs';
import { LOOPBACK, freePorts, isListening } from './net.mjs';
import { startProcess } from './processes.mjs';
import { waitFor } from './wait-for.mjs';

/** The ways in which a console is protected. Each has its own site. */
export const PROTECTIONS = ['token', 'password', 'loopback'];

/** The user that basic_auth accepts, and the bcrypt hash (cost 4) of the password for the Caddyfile. */
export const USER = { username: 'alice', password: 'correct horse battery' };
const PASSWORD_HASH = '$2a$04$k8bLro.JFC.UDCifDDkkSOoKj5fzQjT23mo9i0HS4S60wJdHL6Dui';

/** Returns keys for a console: those of makeKeys, an admin token, and a credential that may list DocsGPT's sources. */
export function makeConsoleKeys({ titles = {} } = {}) {
  const keys = makeKeys();
  const adminToken = crypto.randomBytes(20).toString('hex');
  for (const [name, title] of Object.entries(titles)) {
    keys.sources[name] ??= crypto.randomUUID();
    keys.stub.sources[keys.sources[name]] = title;
  }
  keys.stub.tokens = { [keys.upstreamToken]: [] }; // unrestricted: it lists all sources
  keys.env.E2E_ADMIN_TOKEN = adminToken;
  keys.secrets['admin token'] = adminToken;
  return { ...keys, adminToken };
}

/**
 * Starts docsgate: a site of the gate for each proxy mode, one console for each protection, and the admin
 * endpoint. The site of the console on loopback accepts every host name, so that the console itself rejects other hosts.
 * It replaces startGate as an argument of startTestbed. past lists the keys that the store contains at the start, in the
 * format of e2e/seed.
 */
export async function startConsole({ dir, upstream, keys, past = [] }) {
  const ports = await freePorts(PROXY_MODES.length + PROTECTIONS.length + 1);
  const gatePorts = ports.slice(0, PROXY_MODES.length);
  const [token, password, loopback, admin] = ports.slice(PROXY_MODES.length);
  const logFile = path.join(dir, 'gate.log');
  const gate = `http://${LOOPBACK}:${gatePorts[0]}`;
  const store = path.join(dir, 'store', 'keys.db');
  fs.writeFileSync(path.join(dir, 'keys.yaml'), keys.file);
  if (past.length > 0) execFileSync(seedBinary(), { input: JSON.stringify({ path: store, keys: past }) });
  fs.writeFileSync(path.join(dir, 'Caddyfile'), `{
	admin ${LOOPBACK}:${admin}
	auto_https off
	log {
		output file ${logFile}
		level DEBUG
		format docsgate
	}
	docsgate {
		feed store ${store}
		feed file keys.yaml
		upstream_token {env.E2E_UPSTREAM_TOKEN}
	}
}
${PROXY_MODES.map((mode, i) => site(gatePorts[i], mode, upstream)).join('')}
http://${LOOPBACK}:${token} {
	log
	docsgate_console {
		admin_token {env.E2E_ADMIN_TOKEN}
		public_url ${gate}
		agents {env.E2E_AGENT_HANDBOOK}
	}
}
http://${LOOPBACK}:${password} {
	log
	basic_auth {
		${USER.username} ${PASSWORD_HASH}
	}
	docsgate_console {
		public_url https://ask.example.com
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
    url: (mode) => `http://${LOOPBACK}:${gatePorts[PROXY_MODES.indexOf(mode)]}`,
    /** Returns the base address of the console with that protection. */
    console: (protection = 'token') => `http://${LOOPBACK}:${consoles[protection]}`,
    /** Caddy's admin endpoint, as host:port. */
    admin: `${LOOPBACK}:${admin}`,
    output: running.output,
    log: () => (fs.existsSync(logFile) ? fs.readFileSync(logFile, 'utf8') : ''),
    async stop() {
      await running.stop();
      for (const port of ports) await waitFor(`port ${port} is free`, async () => !(await isListening(port)));
    },
  };
}

/** Signs in with the admin token. The page must show the sign-in form. */
export async function signIn(page, token) {
  await page.getByLabel('Admin token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Calls the console's REST API and returns the response. It fails if the status is not 2xx. */
export async function api(testbed, method, path_, body) {
  const response = await fetch(`${testbed.gate.console()}${path_}`, {
    method,
    headers: { Authorization: `Bearer ${testbed.keys.adminToken}`, 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path_}: ${response.status} ${text}`);
  const result = text && JSON.parse(text);
  if (result.token) addSecret(testbed, result.token, result.name ?? result.visitor);
  if (result.sign_secret) testbed.keys.secrets[`a secret of ${result.name}`] = result.sign_secret;
  return result;
}

/** Adds a token of a key, or a signed one, to the secrets that must not be in any log or file. */
export function addSecret(testbed, token, name) {
  assert.match(token, /^(dg[kps]_[0-9A-Za-z]{36}|eyJ[\w.-]+)$/);
  testbed.keys.secrets[`a token of ${name}`] = token;
}

/**
 * Creates a key with the console's form. The page must show the list; afterwards it shows the token.
 *
 * @param {{name: string, source?: string, typed?: string, agent?: string, agentKey?: string, lifetime?: string}} wanted
 *   source is the title of a source in DocsGPT's list, typed a source id for the text field
 * @returns {Promise<{name: string, token: string, id: string}>}
 */
export async function createKey(testbed, page, { name, source, typed, agent, agentKey, lifetime }) {
  await page.getByRole('link', { name: 'Create key' }).click();
  await page.getByRole('textbox', { name: 'Name' }).fill(name);
  if (source) await page.getByRole('checkbox', { name: source }).check();
  if (typed) {
    await page.getByText('Enter other source IDs').click();
    await page.getByLabel('Source IDs').fill(typed);
  }
  if (agent || agentKey) await page.getByRole('radio', { name: /^Agent/ }).check();
  if (agent) await page.getByRole('combobox', { name: 'Agent', exact: true }).selectOption(agent);
  if (agentKey) await page.getByLabel("or paste the agent's key").fill(agentKey);
  if (lifetime) await page.getByRole('radio', { name: lifetime }).check();
  await page.getByRole('button', { name: 'Create key' }).click();
  return shownKey(testbed, page, name);
}

/** Returns the key whose token the page shows: {name, token, id}. */
export async function shownKey(testbed, page, name) {
  const token = await page.getByLabel('The new key').textContent();
  addSecret(testbed, token, name);
  const id = await page.locator('dt', { hasText: /^ID$/ }).locator('xpath=following-sibling::dd').textContent();
  return { name, token, id };
}

/** Sends a question with a token to the gate. Returns {status, answer, error}. */
export async function question(testbed, token, mode = PROXY_MODES[0]) {
  const response = await fetch(`${testbed.gate.url(mode)}/api/answer`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ question: 'How do I reset the device?', api_key: token }),
  });
  const { answer = '', error = '' } = await response.json();
  return { status: response.status, answer, error };
}

/**
 * Messages of Chromium itself: hints about forms, error statuses that these tests cause on purpose, and autofocus that
 * came after a field had been filled in, which only happens at the speed of a test.
 */
const BROWSER_MESSAGES = /the server responded with a status of 4\d\d|^\[DOM\] |^Autofocus processing was blocked/;

/** The page sent no request to another origin, violated no content security policy, opened no dialog and threw no error. */
export function assertNoConsoleErrors(page) {
  assert.deepEqual(externalHosts(page), []);
  const origins = new Set(page.trail.requests.map((r) => new URL(r.url).origin));
  assert.equal(origins.size, 1, `requests to ${[...origins]}`);
  assert.deepEqual(page.trail.dialogs, []);
  assert.deepEqual(page.trail.errors, []);
  assert.deepEqual(page.trail.console.filter((text) => !BROWSER_MESSAGES.test(text)), []);
}
