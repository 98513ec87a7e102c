// The image of docsgate, run as the service of examples/compose is: read-only, without privileges, in front of DocsGPT and its
// database.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { REPO } from '../../lib/build.mjs';
import { ContainerEngine, IMAGE } from '../../lib/container.mjs';
import { STACK } from '../../lib/docsgpt/stack-info.mjs';
import { LOOPBACK, freePorts } from '../../lib/net.mjs';
import { waitFor } from '../../lib/wait-for.mjs';

const ADMIN_TOKEN = 'admin-token-of-the-container-test';

describe('container', () => {
  const engine = new ContainerEngine(fs.mkdtempSync(path.join(os.tmpdir(), 'docsgate-image-')));
  let gate;
  let console_;
  let admin;

  before(async () => {
    await engine.build();
    await engine.selectRuntime();
    const [port, consolePort, adminPort] = await freePorts(3);
    gate = `http://${LOOPBACK}:${port}`;
    console_ = `http://localhost:${consolePort}`;
    admin = `${LOOPBACK}:${adminPort}`;
    await engine.podman('volume', 'create', 'data');
    // The options of the service in examples/compose. The network is that of the machine, as DocsGPT runs there.
    await engine.run('--name', 'gate', '--network', 'host', '--no-healthcheck', // podman needs systemd for health checks
      '--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--tmpfs', '/tmp',
      '--volume', 'data:/data',
      '--env', `CADDY_ADMIN=${admin}`,
      '--env', `DOCSGPT_URL=${STACK.api.login}`,
      '--env', `DOCSGPT_POSTGRES_URI=${STACK.postgres}`,
      '--env', `DOCSGATE_ADMIN_TOKEN=${ADMIN_TOKEN}`,
      '--env', `DOCSGATE_SITE=${gate}`,
      '--env', `DOCSGATE_CONSOLE=${console_}`);
    await waitFor('the gate is ready', () => engine.podman('exec', 'gate', '/usr/bin/docsgate', 'health'), { deadline: 60_000, every: 250 })
      .catch(async (error) => assert.fail(`${error.message}\n${await engine.podman('logs', 'gate')}`));
  });
  after(() => engine.removeAll());

  const ask = (key) => fetch(`${gate}/api/answer`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ question: 'How do I reset it?', history: '[]', api_key: key }),
  });

  test('the health check of the image', async () => {
    const [image] = JSON.parse(await engine.podman('image', 'inspect', IMAGE));
    assert.deepEqual(image.Healthcheck.Test, ['CMD', '/usr/bin/docsgate', 'health']);
    assert.equal(image.User, '65532:65532');
    assert.match(await engine.podman('exec', 'gate', '/usr/bin/docsgate', 'health'), /docsgpt:\S+: [1-9]\d* keys\nready, docsgate /);
  });

  test('a key of DocsGPT, and an unknown one', async () => {
    const response = await ask(STACK.agents.handbook.key);
    assert.equal(response.status, 200, await response.clone().text());
    assert.ok((await response.json()).answer);
    assert.equal((await ask('00000000-0000-4000-8000-000000000000')).status, 401);
  });

  test('a key that is created in the container survives its replacement', async () => {
    const created = JSON.parse(await engine.podman('exec', 'gate', '/usr/bin/docsgate', 'keys', 'create',
      '--name', 'container', '--agent', `agent_${STACK.agents.handbook.id}`, '--json'));
    assert.equal((await ask(created.token)).status, 200);
    await engine.podman('restart', '--time', '30', 'gate');
    await waitFor('the gate is ready again', () => engine.podman('exec', 'gate', '/usr/bin/docsgate', 'health'), { deadline: 60_000, every: 250 });
    assert.equal((await ask(created.token)).status, 200);
  });

  test('the console needs the administrator\'s token', async () => {
    assert.equal((await fetch(`${console_}/v1/keys`)).status, 401);
    assert.equal((await fetch(`${console_}/v1/keys`, { headers: { Authorization: `Bearer ${ADMIN_TOKEN}` } })).status, 200);
  });

  test('the configuration of the image serves any host name', () => {
    const caddyfile = fs.readFileSync(path.join(REPO, 'examples/compose/Caddyfile'), 'utf8');
    const sites = [...caddyfile.matchAll(/^\{\$\w+:(\S*)\} \{$/gm)].map(([, address]) => address);
    assert.deepEqual(sites, [':8080', 'http://:8099']); // Caddy responds to other names with an empty page
  });

  test('it contains no other program, and can write only to its volumes', async () => {
    await assert.rejects(engine.podman('exec', 'gate', '/bin/sh', '-c', 'true'));
    const logs = await engine.podman('logs', 'gate');
    assert.doesNotMatch(logs, /read-only file system|permission denied/i);
  });
});
