// Keys without the page: DocsGPT's own calls, the REST API, and the command line over the admin endpoint; with the examples
// of the documentation.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { documentation } from '../lib/blocks.mjs';
import { api, makeConsoleKeys, note, question, startConsole } from '../lib/console.mjs';
import { runProgram } from '../lib/examples.mjs';
import { assertFromHandbook } from '../lib/expect.mjs';
import { WAYS } from '../lib/gate.mjs';
import { startWorld } from '../lib/world.mjs';

const blocksOf = (name) => documentation().find(({ page }) => page === name).blocks;
const TOKEN = /dgk_[0-9A-Za-z]{36}/;

describe('keys by program', () => {
  const keys = makeConsoleKeys();
  keys.env.SUPPORT_AGENT_KEY = keys.agents.handbook; // what pages call it
  let world;
  before(async () => { world = await startWorld({ keys, start: startConsole }); });
  after(() => world?.close());
  const scenario = (name, body) => test(name, (t) => world.scenario(body)(t));

  /** Runs a script as a shell of the gate's machine would, in the gate's folder; gives what it prints. */
  async function sh(script) {
    const output = await runProgram('sh', `
cd '${world.dir}'
${Object.entries(world.gate.env).map(([name, value]) => `export ${name}='${value}'`).join('\n')}
export DOCSGATE_ADMIN_TOKEN='${world.keys.adminToken}' DOCSGPT_TOKEN='${world.keys.upstreamToken}'
docsgate() { '${world.gate.program}' "$@"; }
uuidgen() { cat /proc/sys/kernel/random/uuid; }
${script}`);
    const token = output.match(TOKEN)?.[0];
    if (token) note(world, token, script.trim().slice(0, 40));
    return output;
  }
  const curl = (path, body) => sh(`curl -sS '${world.gate.console()}${path}' -H "Authorization: Bearer $DOCSGATE_ADMIN_TOKEN" \\
    -w '\\n%{http_code}' ${body ? `-X POST -H 'Content-Type: application/json' -d '${JSON.stringify(body)}'` : ''}`)
    .then((output) => ({ status: output.slice(-3), answer: JSON.parse(output.slice(0, -4)) }));

  scenario("DocsGPT's own calls, as its web app made them: create, list, delete", async () => {
    // 0.8 to 0.13: "Create New" in Settings > API Keys sends these members.
    const made = await curl('/api/create_api_key', {
      name: 'From the web app', source: world.keys.sources.handbook, prompt_id: 'default', chunks: '2',
    });
    assert.equal(made.status, '201');
    assert.deepEqual(Object.keys(made.answer), ['id', 'key']);
    for (const way of WAYS) assertFromHandbook((await question(world, made.answer.key, way)).answer, world.keys);

    const list = (await curl('/api/get_api_keys')).answer;
    const [listed] = list.filter((key) => key.id === made.answer.id);
    assert.deepEqual([listed.name, listed.source, listed.prompt_id, listed.chunks],
      ['From the web app', world.keys.sources.handbook, 'default', '2']);
    assert.match(listed.key, /^dgk_\.\.\.[0-9A-Za-z]{4}$/);
    assert.ok(!JSON.stringify(list).includes(made.answer.key));

    assert.equal((await curl('/api/delete_api_key', { id: made.answer.id })).status, '200');
    assert.equal((await question(world, made.answer.key)).status, 401);
    assert.ok(!(await curl('/api/get_api_keys')).answer.some((key) => key.id === made.answer.id));
  });

  scenario('nobody gets them without the admin token, nor on the gate\'s own site', async () => {
    for (const at of ['token', 'password']) {
      for (const place of ['/api/get_api_keys', '/v1/keys', '/v1/backup', '/openapi.json']) {
        assert.equal((await fetch(world.gate.console(at) + place)).status, 401, place);
      }
    }
    const headers = { Authorization: `Bearer ${world.keys.adminToken}` };
    for (const way of WAYS) {
      for (const place of ['/api/get_api_keys', '/v1/keys', '/docsgate/v1/keys']) {
        const response = await fetch(world.gate.url(way) + place, { headers });
        assert.ok(response.status >= 400, `${way} ${place}: ${response.status}`);
        assert.doesNotMatch(await response.text(), /"keys"|key_/);
      }
    }
  });

  scenario('docsgate keys: a token is made, piped into a question, and revoked', async () => {
    const { handbook } = world.keys.sources;
    const there = `--address ${world.gate.admin}`;
    const answer = await sh(`docsgate keys create --name Piped --source ${handbook} --expires 1d ${there} 2>/dev/null |
jq -R '{question: "How do I reset the device?", api_key: .}' |
curl -sS ${world.gate.url(WAYS[0])}/api/answer -H 'Content-Type: application/json' -d @-`);
    assertFromHandbook(JSON.parse(answer).answer, world.keys);
    const token = (await sh(`docsgate keys rotate Piped ${there}`)).match(TOKEN)[0];
    assert.equal((await question(world, token)).status, 200);
    for (const command of ['show', 'list --query', 'revoke --yes']) { // a token in the place of an ID
      const refusal = await sh(`docsgate keys ${command} ${token} ${there} || echo "status $?"`);
      assert.match(refusal, /status 2/);
      assert.ok(!refusal.includes(token));
    }
    await sh(`docsgate keys revoke Piped --yes ${there}`);
    assert.equal((await question(world, token)).status, 401);
    const { entries } = await api(world, 'GET', '/v1/audit?limit=3');
    assert.deepEqual(entries.map((e) => e.action), ['revoked', 'rotated', 'created']);
    for (const entry of entries) assert.match(`${entry.who} ${entry.from}`, /command line .*admin endpoint/);
  });

  scenario('the examples of docs/cli.md are true, with the address from the Caddyfile in the folder', async () => {
    const programs = blocksOf('docs/cli.md').filter((b) => b.language === 'sh').map((b) => b.text);
    const [life, piped, json, agents, completion] = programs.map((text) => text
      .replaceAll('3f1c0a52-9f0e-4c3f-8f0b-5a7d3f1c2e44', world.keys.sources.handbook)
      .replaceAll('--source ID', `--source ${world.keys.sources.handbook}`)
      .replace('gh secret set DOCSGPT_KEY', 'cat').replace('pass show docsgpt/support', 'echo "$SUPPORT_AGENT_KEY"')
      .replace('> token.txt', '').replace('revoke "Docs site"', 'revoke "Docs site" --yes'));
    assert.match(await sh(life), new RegExp(`^${TOKEN.source}[^]*Docs site[^]*${TOKEN.source}`));
    const token = (await sh(piped)).match(TOKEN)[0];
    assert.equal((await question(world, token)).status, 200);
    assert.match(await sh(json), /^key_\w{26}$/m);
    const made = await sh(agents);
    for (const [one] of made.matchAll(new RegExp(TOKEN, 'g'))) {
      note(world, one, 'Support');
      assert.equal((await question(world, one)).status, 200);
    }
    assert.match(completion, /docsgate completion bash/);
    await sh(completion);
  });

  scenario('the examples of docs/api.md are true', async () => {
    const { handbook, payroll } = world.keys.sources;
    const [create, calls, own] = blocksOf('docs/api.md').filter((b) => b.language === 'sh').map((b) => b.text
      .replaceAll('https://keys.example.com', world.gate.console()).replaceAll('7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10', handbook)
      .replaceAll('"source": "default"', `"source": "${payroll}"`));
    const made = JSON.parse(await sh(create));
    assert.equal((await question(world, made.token)).status, 200);
    const head = `${create.split('\n').filter((line) => /^(api\(\)|console=)/.test(line)).join('\n')}\nID=${made.id}\n`;
    const told = await sh(`${head}cd $(mktemp -d)\n${calls}\nls; rm keys.json keys.db`);
    assert.match(told, /"name":\s*"Docs site widget"[^]*"name":\s*"Other"[^]*"action":[^]*keys\.db\s+keys\.json/);
    assert.equal((await question(world, made.token)).status, 401, 'rotated with a grace, then disabled');

    const id = own.match(/key_\w+/g).find((text) => text.length === 30);
    const legacy = JSON.parse((await sh(`${head}${own.split('\n')[0]}`)));
    assert.deepEqual(Object.keys(legacy), ['id', 'key']);
    const rest = await sh(`${head}${own.split('\n').slice(1).join('\n').replaceAll(id, legacy.id)}`);
    assert.match(rest, /"prompt_id":"creative","chunks":"2"[^]*"success":true,"status":"ok"/);
    assert.equal((await question(world, legacy.key)).status, 401);
  });

  scenario('the OpenAPI document is served, and the backup is a copy of the store', async () => {
    assert.match((await api(world, 'GET', '/openapi.json')).openapi, /^3\.1\./);
    await sh('docsgate keys backup copy.db');
    const ids = async (flags) => (await sh(`docsgate keys list --all --json ${flags} | jq -r .id`)).match(/^key_\w+$/gm).sort();
    assert.deepEqual(await ids('--store copy.db'), await ids(''));
  });

  scenario('the examples of docs/console.md and docs/keys.md are true', async () => {
    const sites = blocksOf('docs/console.md').filter((b) => b.language === 'caddyfile').map((b) => b.text);
    assert.equal(sites.length, 2);
    const options = '{\n\tdocsgate {\n\t\tfeed store other/keys.db\n\t}\n}\n';
    for (const text of [sites[0].replace('feed store', 'feed store other/keys.db'), options + sites[1]]) {
      fs.writeFileSync(path.join(world.dir, 'Caddyfile.example'), text);
      await sh('docsgate validate --config Caddyfile.example --adapter caddyfile');
    }
    const [hash] = blocksOf('docs/keys.md').filter((b) => b.language === 'sh').map((b) => b.text);
    const wanted = crypto.createHash('sha256').update('a-token').digest('hex');
    assert.match(await sh(`openssl() { echo a-token; }\n${hash}`), new RegExp(wanted));
  });
});
