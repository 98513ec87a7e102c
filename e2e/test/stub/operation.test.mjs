// The commands of the pages for operators, in their order. Blocks of a shell are run if they have a name (step=NAME), and their output
// is compared with the block output=NAME. The others (by=hand) need what is not available here.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeConsoleKeys } from '../../lib/console.mjs';
import { REPO } from '../../lib/build.mjs';
import { documentation, expectation } from '../../lib/doc-snippets.mjs';
import { freePorts } from '../../lib/net.mjs';
import { startService } from '../../lib/service.mjs';
import { startTestbed } from '../../lib/testbed.mjs';

/** The request ID of the pages. */
const REQUEST_ID = '5f0c3a9e1b7d2468';

const blocksOf = (page) => documentation().find((one) => one.page === page).blocks;

describe('operation', () => {
  let testbed;
  let service;
  let rejected;
  let freePort;
  before(async () => {
    [freePort] = await freePorts(1);
    testbed = await startTestbed({ keys: makeConsoleKeys(), start: startService });
    service = testbed.gate;
    const create = `docsgate keys create --name "Docs site" --source ${testbed.keys.sources.handbook} --kind publishable`;
    await service.sh(`${create} --origin https://docs.example.com > token.txt`);
    await service.sh('echo "$SUPPORT_AGENT_KEY" | docsgate keys create --name Support --agent-key-stdin > support.txt');
    const token = fs.readFileSync(path.join(service.work, 'token.txt'), 'utf8').trim();
    assert.equal((await ask(token, 'https://docs.example.com')).status, 200);
    assert.equal((await ask('an-unknown-token-of-nobody', 'https://docs.example.com')).status, 401);
    const response = await ask(token, 'https://other.example.com');
    assert.equal(response.status, 403);
    rejected = response.headers.get('X-Request-Id');
  });
  after(() => testbed?.close());

  async function ask(token, origin) {
    const response = await fetch(`${service.url}/stream`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Origin: origin },
      body: JSON.stringify({ question: 'How do I reset the device?', api_key: token }),
    });
    await response.text();
    return response;
  }

  const stateOf = async (key) => (await service.sh(`docsgate keys show "${key}" --json | jq -r .state`)).trim();

  /** What happens before a step, and what holds after it. */
  const happens = {
    'docs/backup.md since': { first: () => service.sh('docsgate keys revoke "Docs site" --yes') },
    'docs/backup.md restore': { then: async () => assert.equal(await stateOf('Docs site'), 'active') },
    'docs/backup.md again': { then: async () => assert.equal(await stateOf('Docs site'), 'revoked') },
    'docs/backup.md lost-secret': {
      async first() {
        fs.rmSync(service.at('/var/lib/docsgate/caddy/docsgate/keys.db.secret'));
        await service.restart();
      },
      then: async () => assert.equal(await stateOf('Support'), 'active'),
    },
    'docs/running.md leak-rotate': {
      async then() {
        const [before, now] = ['token.txt', 'new-token.txt'].map((file) => fs.readFileSync(path.join(service.work, file), 'utf8').trim());
        assert.equal((await ask(before, 'https://docs.example.com')).status, 401);
        assert.equal((await ask(now, 'https://docs.example.com')).status, 200);
      },
    },
  };

  for (const page of ['docs/running.md', 'docs/troubleshooting.md', 'docs/backup.md']) {
    const blocks = blocksOf(page);
    for (const block of blocks.filter((b) => b.step)) {
      test(`${page} ${block.step}`, (t) => testbed.scenario(async () => {
        const { first, then } = happens[`${page} ${block.step}`] ?? {};
        await first?.();
        const output = await service.sh(block.text.replaceAll(REQUEST_ID, rejected));
        for (const expected of blocks.filter((b) => b.output === block.step)) {
          assert.match(output, expectation(expected.text.replaceAll(REQUEST_ID, rejected)), `${page}:${expected.line}`);
        }
        await then?.();
      })(t));
    }

    test(`${page}: each block of a shell is a step, or says that it is not run`, () => {
      const unnamed = blocks.filter((b) => b.language === 'sh' && !b.step && b.by !== 'hand').map((b) => b.line);
      assert.deepEqual(unnamed, []);
      const steps = blocks.map((b) => b.step).filter(Boolean);
      assert.deepEqual(blocks.map((b) => b.output).filter((name) => name && !steps.includes(name)), []);
    });
  }

  /** Messages of docs/troubleshooting.md, and the global options and sites that lead to them. */
  const startErrors = {
    'another process (…, PID …) already listens on …': () => ['feed store other.db', `${service.url} {\n\tdocsgate localhost:7091\n}`],
    'another process has the file open': () => ['feed store'],
    'the environment variable NAME is not set': () => ['feed store other.db\nupstream_token {env.NAME}'],
    'a secret must not be in the configuration': () => ['feed store other.db\nupstream_token a-secret'],
    'docsgate_console would be accessible without authentication': () => ['feed store other.db', `http://:${freePort} {\n\tdocsgate_console\n}`],
  };
  for (const [message, configuration] of Object.entries(startErrors)) {
    test(`docs/troubleshooting.md: ${message}`, (t) => testbed.scenario(async () => {
      const page = fs.readFileSync(path.join(REPO, 'docs/troubleshooting.md'), 'utf8');
      assert.ok(page.includes(`| \`${message}\` |`), 'it is not on the page');
      const [options, site = `http://127.0.0.1:${freePort} {\n\tdocsgate localhost:7091\n}`] = configuration();
      const file = path.join(service.work, 'Caddyfile.invalid');
      fs.writeFileSync(file, `{\n\tadmin off\n\tdocsgate {\n${options}\n}\n}\n${site}\n`);
      const output = await service.sh(`if docsgate run --config ${file} --adapter caddyfile; then exit 1; fi`);
      assert.match(output, expectation(`docsgate did not start: ... ${message.replaceAll('…', '...')}`));
    })(t));
  }

  test('the alerts use metrics that the documentation lists, and the page explains each alert', () => {
    const alerts = fs.readFileSync(path.join(REPO, 'examples/monitoring/docsgate-alerts.yml'), 'utf8');
    const listed = fs.readFileSync(path.join(REPO, 'docs/configuration.md'), 'utf8');
    const page = fs.readFileSync(path.join(REPO, 'docs/running.md'), 'utf8');
    const metrics = [...new Set(alerts.match(/caddy_docsgate_\w+/g))];
    assert.ok(metrics.length > 0);
    assert.deepEqual(metrics.filter((name) => !listed.includes(`\`${name}\``)), []);
    assert.deepEqual([...alerts.matchAll(/alert: (\w+)/g)].map((found) => found[1]).filter((name) => !page.includes(`| \`${name}\` |`)), []);
  });
});
