// Two DocsGPTs behind one gate, with the configuration that the documentation offers to copy: each has keys of its own, which the
// command line creates, and no key works at the site of the other.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { REPO, gateBinary } from '../../lib/build.mjs';
import { LOOPBACK, freePorts, isListening } from '../../lib/net.mjs';
import { startProcess } from '../../lib/processes.mjs';
import { startStub } from '../../lib/stub.mjs';

const EXAMPLE = path.join(REPO, 'examples/several-docsgpts/Caddyfile');
const NAMES = ['docs', 'support'];

describe('several DocsGPTs', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'docsgate-backends-'));
  const source = crypto.randomUUID();
  const credentials = NAMES.map(() => `dgpt_pat_${crypto.randomBytes(24).toString('base64url')}`);
  const stubs = [];
  let gate;
  let ports;
  let env;

  before(async () => {
    for (const [i, label] of NAMES.entries()) {
      stubs.push(await startStub({ dir, label, tokens: { [credentials[i]]: [source] }, sources: { [source]: label } }));
    }
    ports = await freePorts(5);
    // A database of DocsGPT is not part of this test, and the ports of the consoles may be in use.
    const text = fs.readFileSync(EXAMPLE, 'utf8')
      .replace(/^\t\tfeed docsgpt .*\n/m, '')
      .replace(/^\{\n/m, `{\n\tadmin ${LOOPBACK}:${ports[0]}\n`)
      .replace('http://:8090', `http://:${ports[3]}`)
      .replace('http://:8091', `http://:${ports[4]}`);
    fs.writeFileSync(path.join(dir, 'Caddyfile'), text);
    env = {
      PATH: process.env.PATH, HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir,
      DOCS_TOKEN: credentials[0], DOCS_URL: stubs[0].url, DOCS_SITE: `http://${LOOPBACK}:${ports[1]}`,
      SUPPORT_TOKEN: credentials[1], SUPPORT_URL: stubs[1].url, SUPPORT_SITE: `http://${LOOPBACK}:${ports[2]}`,
    };
    gate = startProcess('gate', gateBinary(), ['run', '--config', 'Caddyfile'], { dir, env });
    for (const port of ports) await gate.ready(`port ${port}`, () => isListening(port));
    await gate.ready('commands can use it', () => { // some milliseconds later, when all parts of the configuration have started
      try {
        return docsgate('keys', 'list') !== undefined;
      } catch {
        return false;
      }
    });
  });
  after(async () => {
    await gate?.stop();
    for (const stub of stubs) await stub.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  });

  const docsgate = (...args) => execFileSync(gateBinary(), args, { cwd: dir, env, encoding: 'utf8' }).trim();

  async function ask(site, token) {
    const response = await fetch(`http://${LOOPBACK}:${ports[1 + site]}/api/answer`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ question: 'How do I reset the device?', api_key: token }),
    });
    return { status: response.status, body: await response.json() };
  }

  test('a key works at the site of its DocsGPT only', async () => {
    const flags = [[], ['--backend', 'support']];
    const tokens = NAMES.map((name, i) => docsgate('keys', 'create', ...flags[i], '--name', name, '--source', source));
    for (const [i, name] of NAMES.entries()) {
      const list = docsgate('keys', 'list', ...flags[i]);
      assert.match(list, new RegExp(` ${name} `));
      assert.doesNotMatch(list, new RegExp(` ${NAMES[1 - i]} `));

      const own = await ask(i, tokens[i]);
      assert.equal(own.status, 200, JSON.stringify(own.body));
      assert.match(own.body.answer, new RegExp(`^${name} answer`));

      const inConsole = await (await fetch(`http://${LOOPBACK}:${ports[3 + i]}/v1/keys`)).json();
      assert.deepEqual(inConsole.keys.map((key) => key.name), [name]);
    }
    for (const stub of stubs) await stub.reset();
    for (const i of [0, 1]) {
      const foreign = await ask(1 - i, tokens[i]);
      assert.equal(foreign.status, 401);
      assert.equal(foreign.body.code, 'invalid_api_key');
    }
    for (const stub of stubs) assert.deepEqual(await stub.calls(), []);
    assert.match(docsgate('health'), /^store:.*: 1 keys\nsupport: store:.*: 1 keys\nready/);
  });
});
