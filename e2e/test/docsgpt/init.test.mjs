// `docsgate init` for a real DocsGPT, with its settings as "docsgpt up" writes them, and the gate that it configures.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gateBinary } from '../../lib/build.mjs';
import { runCommand } from '../../lib/processes.mjs';
import { ProcessGroups } from '../../lib/docsgpt/process-groups.mjs';
import { CANARY, QUESTION } from '../../lib/docsgpt/stack.mjs';
import { STACK } from '../../lib/docsgpt/stack-info.mjs';
import { LOOPBACK, freePorts, isListening } from '../../lib/net.mjs';

const LOGS = path.join(STACK.dir, 'logs');
const API = new URL(STACK.api.open);
const DATABASE = new URL(STACK.postgres);
const PASSWORD = 'password-of-the-init-test'; // the database accepts any

describe('docsgate init', () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'docsgate-init-'));
  let processes;
  let env;
  before(async () => {
    processes = new ProcessGroups(LOGS);
    const [admin] = await freePorts(1);
    env = {
      PATH: process.env.PATH, HOME: root, XDG_DATA_HOME: path.join(root, 'data'), XDG_CONFIG_HOME: root,
      CADDY_ADMIN: `${LOOPBACK}:${admin}`, // not that of another gate on this machine
    };
  });
  after(async () => {
    await processes?.stopAll();
    fs.rmSync(root, { recursive: true, force: true });
  });

  /** Creates a folder with files, and returns its path. */
  const folder = (name, files) => {
    const dir = path.join(root, name);
    fs.mkdirSync(dir);
    for (const [file, text] of Object.entries(files)) fs.writeFileSync(path.join(dir, file), text);
    return dir;
  };
  const docsgate = (cwd, ...args) => runCommand([gateBinary(), ...args], { cwd, env });
  const settings = `LLM_PROVIDER=openai\nDOCSGPT_BIND=127.0.0.1\nDOCSGPT_PORT=${API.port}\nPOSTGRES_PASSWORD=${PASSWORD}\n`;

  /** The files of a DocsGPT, by the way in which it was installed. */
  const installations = {
    'docsgpt up, with a published database': async () => ({
      '.env': settings,
      'docker-compose.yaml': await runCommand(STACK.printComposeFile),
      'docker-compose.override.yaml': `services:\n  postgres:\n    ports: ["127.0.0.1:${DATABASE.port}:5432"]\n`,
    }),
    'docsgpt up --native': () => {
      const uri = new URL(DATABASE);
      uri.password = PASSWORD;
      return { '.env': `LLM_PROVIDER=openai\nPOSTGRES_URI=${uri.href.replace('postgresql:', 'postgresql+psycopg:')}\nDOCSGPT_PORT=${API.port}\n` };
    },
  };
  for (const [name, files] of Object.entries(installations)) {
    test(name, async (t) => {
      const began = performance.now();
      const docsgpt = folder(`docsgpt: ${name}`, await files());
      const dir = folder(name.replaceAll(' ', '-'), {});
      const [port] = await freePorts(1);
      const site = `http://localhost:${port}`;
      const output = await docsgate(dir, 'init', '--docsgpt-dir', docsgpt, '--site', site, '--yes');
      const read = (file) => fs.readFileSync(path.join(dir, file), 'utf8');
      assert.match(read('docsgate.env'), new RegExp(PASSWORD));
      for (const text of [output, read('Caddyfile')]) assert.ok(!text.includes(PASSWORD), text);

      // The printed commands, as they are.
      const command = (pattern) => output.match(new RegExp(`^ +(${pattern}.*)$`, 'm'))?.[1] ?? assert.fail(`no ${pattern} in\n${output}`);
      const gate = processes.start('init-gate', ['sh', '-c', `exec ${command('\\S+docsgate run')}`], { cwd: dir, env });
      await gate.ready('listens', () => isListening(port));
      const ask = async (key) => {
        const curl = output.match(/curl [^\n]*\\\n.*/)[0].replace('What is this about?', QUESTION).replace('YOUR_KEY', key);
        return JSON.parse(await runCommand(['sh', '-c', curl.replace('curl', 'curl -s')], { cwd: dir, env }));
      };
      const answered = await ask(STACK.agents.handbook.key);
      t.diagnostic(`first answer after ${Math.round(performance.now() - began)} ms`);
      assert.match(answered.answer ?? JSON.stringify(answered), new RegExp(CANARY.handbook));
      assert.equal((await ask('00000000-0000-4000-8000-000000000000')).code, 'invalid_api_key');

      const create = command('\\S+docsgate keys create').replace('agent_ID', `agent_${STACK.agents.handbook.id}`);
      const token = (await runCommand(['sh', '-c', create], { cwd: dir, env })).trim();
      assert.match((await ask(token)).answer, new RegExp(CANARY.handbook));

      // What the configuration can avoid, it avoids. The rest is DocsGPT's: its open API, and the role of its database.
      const { findings } = JSON.parse(await runCommand(['sh', '-c', `${command('\\S+docsgate doctor')} --json`], { cwd: dir, env }));
      const problems = findings.filter(({ severity }) => ['failure', 'warning'].includes(severity)).map(({ id }) => id);
      assert.deepEqual(problems, ['docsgpt.unauthenticated', 'feeds.privileges']);
      assert.deepEqual(findings.filter(({ id }) => id === 'gate.answers').map(({ summary }) => summary), [`The gate responds at http://127.0.0.1:${port}.`]);
      await assert.rejects(docsgate(dir, 'init', '--docsgpt-dir', docsgpt, '--yes'), /Caddyfile already exists, and is not overwritten/);
      await gate.stop();
    });
  }

  test('docsgpt up, as it is', async () => {
    const docsgpt = folder('docsgpt', { '.env': settings, 'docker-compose.yaml': await runCommand(STACK.printComposeFile) });
    await assert.rejects(
      docsgate(root, 'init', '--docsgpt-dir', docsgpt, '--feed', 'docsgpt', '--yes'),
      /docker-compose\.yaml does not publish a port of the database, its service postgres/,
    );
    const output = await docsgate(root, 'init', '--docsgpt-dir', docsgpt, '--yes', '--output', 'store-only');
    assert.match(output, /docsgate keys create --name "Docs site" --agent-key-stdin/);
    assert.ok(!fs.existsSync(path.join(root, 'store-only', 'docsgate.env')));
  });
});
