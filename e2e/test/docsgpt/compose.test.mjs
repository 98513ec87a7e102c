// The files of examples/compose, read and merged by the library of Docker Compose.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { REPO } from '../../lib/build.mjs';
import { runCommand } from '../../lib/processes.mjs';
import { STACK } from '../../lib/docsgpt/stack-info.mjs';

const EXAMPLES = path.join(REPO, 'examples/compose');

/** What the compose files in a checkout of DocsGPT publish on all interfaces, since 0.17. */
const CHECKOUT = `name: docsgpt-oss
services:
  frontend: {image: frontend, ports: ["5173:5173"]}
  backend: {image: backend, ports: ["7091:7091"]}
  worker: {image: backend}
  redis: {image: redis, ports: ["6379:6379"]}
  postgres: {image: postgres, ports: ["5432:5432"], healthcheck: {test: [CMD, pg_isready]}}
`;

describe('examples/compose', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'docsgate-compose-'));
  let check;
  before(async () => {
    check = path.join(folder, 'composecheck');
    await runCommand(['go', 'build', '-o', check, './composecheck'], { cwd: path.join(REPO, 'tools') });
  });
  after(() => fs.rmSync(folder, { recursive: true, force: true }));

  /** Returns the merged files as JSON. */
  const load = async (files, env = {}) => JSON.parse(await runCommand([check, ...files], { env: { PATH: process.env.PATH, HOME: folder, ...env } }));
  const write = (name, text) => {
    fs.writeFileSync(path.join(folder, name), text);
    return path.join(folder, name);
  };
  /** Returns "address:port" of everything that is published. */
  const published = (project) => Object.values(project.services).flatMap((service) => service.ports ?? [])
    .map(({ host_ip: host = '*', published: port }) => `${host}:${port}`).sort();

  for (const [name, files] of Object.entries({
    'override.yaml': () => [write('checkout.yaml', CHECKOUT), path.join(EXAMPLES, 'override.yaml')],
    'compose.yaml': () => [path.join(EXAMPLES, 'compose.yaml')],
  })) {
    test(`${name}: the service`, async () => {
      const { services: { docsgate } } = await load(files(), { DOCSGATE_ADMIN_TOKEN: 'secret' });
      assert.equal(docsgate.read_only, true);
      assert.deepEqual(docsgate.cap_drop, ['ALL']);
      assert.equal(docsgate.environment.DOCSGPT_URL, 'http://backend:7091');
      assert.equal(docsgate.environment.DOCSGPT_POSTGRES_URI, 'postgresql://docsgpt:docsgpt@postgres:5432/docsgpt');
      // Each variable is one that the Caddyfile of the image reads.
      const caddyfile = fs.readFileSync(path.join(EXAMPLES, 'Caddyfile'), 'utf8');
      for (const variable of Object.keys(docsgate.environment)) assert.match(caddyfile, new RegExp(`[{.$]${variable}\\b`));
      await assert.rejects(load(files()), /DOCSGATE_ADMIN_TOKEN.*openssl rand -hex 32/);
    });
  }

  test('override.yaml closes the ports of DocsGPT', async () => {
    const checkout = write('checkout.yaml', CHECKOUT);
    assert.deepEqual(published(await load([checkout])), ['*:5173', '*:5432', '*:6379', '*:7091']);
    const merged = await load([checkout, path.join(EXAMPLES, 'override.yaml')], { DOCSGATE_ADMIN_TOKEN: 'secret' });
    assert.deepEqual(published(merged), ['*:8080', '127.0.0.1:5173', '127.0.0.1:7091', '127.0.0.1:8099']);
  });

  test('compose.yaml joins the network of "docsgpt up"', async () => {
    const docsgpt = await load([write('docsgpt.yaml', await runCommand(STACK.printComposeFile))]);
    assert.ok(docsgpt.services.backend && docsgpt.services.postgres);
    const gate = await load([path.join(EXAMPLES, 'compose.yaml')], { DOCSGATE_ADMIN_TOKEN: 'secret' });
    assert.equal(gate.networks.docsgpt.name, docsgpt.networks.default.name);
    assert.equal(gate.networks.docsgpt.external, true);
  });
});
