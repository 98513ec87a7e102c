// Key management without the console's pages: DocsGPT's own endpoints, the REST API, and the command line over the admin
// endpoint, with the examples of the documentation.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { documentation } from '../../lib/doc-snippets.mjs';
import { addSecret, api, makeConsoleKeys, question, startConsole } from '../../lib/console.mjs';
import { runProgram } from '../../lib/run-snippets.mjs';
import { assertFromHandbook } from '../../lib/assertions.mjs';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { startTestbed } from '../../lib/testbed.mjs';

const blocksOf = (name) => documentation().find(({ page }) => page === name).blocks;
const TOKEN = /dg[kps]_[0-9A-Za-z]{36}/;

describe('key management API', () => {
  const keys = makeConsoleKeys();
  keys.env.SUPPORT_AGENT_KEY = keys.agents.handbook; // the name that the documentation uses
  let testbed;
  before(async () => { testbed = await startTestbed({ keys, start: startConsole }); });
  after(() => testbed?.close());
  const scenario = (name, body) => test(name, (t) => testbed.scenario(body)(t));

  /** Runs a script in the gate's folder, with the gate's environment. Returns its output. */
  async function sh(script) {
    const output = await runProgram('sh', `
cd '${testbed.dir}'
${Object.entries(testbed.gate.env).map(([name, value]) => `export ${name}='${value}'`).join('\n')}
export DOCSGATE_ADMIN_TOKEN='${testbed.keys.adminToken}' DOCSGPT_TOKEN='${testbed.keys.upstreamToken}'
docsgate() { '${testbed.gate.program}' "$@"; }
uuidgen() { cat /proc/sys/kernel/random/uuid; }
${script}`);
    const token = output.match(TOKEN)?.[0];
    if (token) addSecret(testbed, token, script.trim().slice(0, 40));
    return output;
  }
  const curl = (path, body) => sh(`curl -sS '${testbed.gate.console()}${path}' -H "Authorization: Bearer $DOCSGATE_ADMIN_TOKEN" \\
    -w '\\n%{http_code}' ${body ? `-X POST -H 'Content-Type: application/json' -d '${JSON.stringify(body)}'` : ''}`)
    .then((output) => ({ status: output.slice(-3), answer: JSON.parse(output.slice(0, -4)) }));

  scenario("DocsGPT's own endpoints, as its web app used them: create, list, delete", async () => {
    // 0.8 to 0.13: "Create New" in Settings > API Keys sends these fields.
    const made = await curl('/api/create_api_key', {
      name: 'From the web app', source: testbed.keys.sources.handbook, prompt_id: 'default', chunks: '2',
    });
    assert.equal(made.status, '201');
    assert.deepEqual(Object.keys(made.answer), ['id', 'key']);
    for (const mode of PROXY_MODES) assertFromHandbook((await question(testbed, made.answer.key, mode)).answer, testbed.keys);

    const list = (await curl('/api/get_api_keys')).answer;
    const [listed] = list.filter((key) => key.id === made.answer.id);
    assert.deepEqual([listed.name, listed.source, listed.prompt_id, listed.chunks],
      ['From the web app', testbed.keys.sources.handbook, 'default', '2']);
    assert.match(listed.key, /^dgk_\.\.\.[0-9A-Za-z]{4}$/);
    assert.ok(!JSON.stringify(list).includes(made.answer.key));

    assert.equal((await curl('/api/delete_api_key', { id: made.answer.id })).status, '200');
    assert.equal((await question(testbed, made.answer.key)).status, 401);
    assert.ok(!(await curl('/api/get_api_keys')).answer.some((key) => key.id === made.answer.id));
  });

  scenario('they need the admin token, and are not on the gate\'s own site', async () => {
    for (const at of ['token', 'password']) {
      for (const place of ['/api/get_api_keys', '/v1/keys', '/v1/backup', '/openapi.json']) {
        assert.equal((await fetch(testbed.gate.console(at) + place)).status, 401, place);
      }
    }
    const headers = { Authorization: `Bearer ${testbed.keys.adminToken}` };
    for (const mode of PROXY_MODES) {
      for (const place of ['/api/get_api_keys', '/v1/keys', '/docsgate/v1/keys']) {
        const response = await fetch(testbed.gate.url(mode) + place, { headers });
        assert.ok(response.status >= 400, `${mode} ${place}: ${response.status}`);
        assert.doesNotMatch(await response.text(), /"keys"|key_/);
      }
    }
  });

  scenario('docsgate keys: a token is created, piped into a question, and revoked', async () => {
    const { handbook } = testbed.keys.sources;
    const address = `--address ${testbed.gate.admin}`;
    const answer = await sh(`docsgate keys create --name Piped --source ${handbook} --expires 1d ${address} 2>/dev/null |
jq -R '{question: "How do I reset the device?", api_key: .}' |
curl -sS ${testbed.gate.url(PROXY_MODES[0])}/api/answer -H 'Content-Type: application/json' -d @-`);
    assertFromHandbook(JSON.parse(answer).answer, testbed.keys);
    const token = (await sh(`docsgate keys rotate Piped ${address}`)).match(TOKEN)[0];
    assert.equal((await question(testbed, token)).status, 200);
    for (const command of ['show', 'list --query', 'revoke --yes']) { // a token in place of an ID
      const output = await sh(`docsgate keys ${command} ${token} ${address} || echo "status $?"`);
      assert.match(output, /status 2/);
      assert.ok(!output.includes(token));
    }
    await sh(`docsgate keys revoke Piped --yes ${address}`);
    assert.equal((await question(testbed, token)).status, 401);
    const { entries } = await api(testbed, 'GET', '/v1/audit?limit=3');
    assert.deepEqual(entries.map((e) => e.action), ['revoked', 'rotated', 'created']);
    for (const entry of entries) assert.match(`${entry.who} ${entry.from}`, /command line .*admin endpoint/);
  });

  scenario('the examples of docs/cli.md work, with the address from the Caddyfile in the folder', async () => {
    const programs = blocksOf('docs/cli.md').filter((b) => b.language === 'sh').map((b) => b.text);
    const [life, piped, json, agents, policies, completion] = programs.map((text) => text
      .replaceAll('3f1c0a52-9f0e-4c3f-8f0b-5a7d3f1c2e44', testbed.keys.sources.handbook)
      .replaceAll('--source ID', `--source ${testbed.keys.sources.handbook}`)
      .replace('gh secret set DOCSGPT_KEY', 'cat').replace('pass show docsgpt/support', 'echo "$SUPPORT_AGENT_KEY"')
      .replace('> token.txt', '').replace('revoke "Docs site"', 'revoke "Docs site" --yes'));
    assert.match(await sh(life), new RegExp(`^${TOKEN.source}[^]*Docs site[^]*${TOKEN.source}`));
    const token = (await sh(piped)).match(TOKEN)[0];
    assert.equal((await question(testbed, token)).status, 200);
    assert.match(await sh(json), /^key_\w{26}$/m);
    const created = await sh(agents);
    for (const [one] of created.matchAll(new RegExp(TOKEN, 'g'))) {
      addSecret(testbed, one, 'Support');
      assert.equal((await question(testbed, one)).status, 200);
    }
    assert.match(await sh(policies), /^dgp_[^]*Help widget[^]*is updated/);
    assert.match(completion, /docsgate completion bash/);
    await sh(completion);
  });

  scenario('the examples of docs/api.md work', async () => {
    const { handbook, payroll } = testbed.keys.sources;
    const [create, calls, own] = blocksOf('docs/api.md').filter((b) => b.language === 'sh').map((b) => b.text
      .replaceAll('https://keys.example.com', testbed.gate.console()).replaceAll('7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10', handbook)
      .replaceAll('"source": "default"', `"source": "${payroll}"`));
    const made = JSON.parse(await sh(create));
    assert.equal((await question(testbed, made.token)).status, 200);
    const head = `${create.split('\n').filter((line) => /^(api\(\)|console=)/.test(line)).join('\n')}\nID=${made.id}\nREQUEST_ID=0123456789abcdef\nVISITOR_TOKEN=eyJ.e30.x\n`;
    const output = await sh(`${head}cd $(mktemp -d)\n${calls}\nls; rm keys.json keys.db`);
    assert.match(output, /"name":\s*"Docs site widget"[^]*"name":\s*"Other"[^]*"action":[^]*keys\.db\s+keys\.json/);
    assert.match(output, /"token":"eyJ[^"]+","key":"key_\w+","visitor":"u-42"/);
    assert.equal((await question(testbed, made.token)).status, 401, 'rotated with a grace, then disabled');

    const id = own.match(/key_\w+/g).find((text) => text.length === 30);
    const legacy = JSON.parse((await sh(`${head}${own.split('\n')[0]}`)));
    assert.deepEqual(Object.keys(legacy), ['id', 'key']);
    const rest = await sh(`${head}${own.split('\n').slice(1).join('\n').replaceAll(id, legacy.id)}`);
    assert.match(rest, /"prompt_id":"creative","chunks":"2"[^]*"success":true,"status":"ok"/);
    assert.equal((await question(testbed, legacy.key)).status, 401);
  });

  scenario('the OpenAPI document is served, and the backup is a copy of the store', async () => {
    assert.match((await api(testbed, 'GET', '/openapi.json')).openapi, /^3\.1\./);
    await sh('docsgate keys backup copy.db');
    const ids = async (flags) => (await sh(`docsgate keys list --all --json ${flags} | jq -r .id`)).match(/^key_\w+$/gm).sort();
    assert.deepEqual(await ids('--store copy.db'), await ids(''));
  });

  scenario('the examples of docs/console.md and docs/keys.md work', async () => {
    const sites = blocksOf('docs/console.md').filter((b) => b.language === 'caddyfile').map((b) => b.text);
    assert.equal(sites.length, 2);
    const options = '{\n\tdocsgate {\n\t\tfeed store other/keys.db\n\t}\n}\n';
    for (const text of [sites[0].replace('feed store', 'feed store other/keys.db'), options + sites[1]]) {
      fs.writeFileSync(path.join(testbed.dir, 'Caddyfile.example'), text);
      await sh('docsgate validate --config Caddyfile.example --adapter caddyfile');
    }
    const [hash] = blocksOf('docs/keys.md').filter((b) => b.language === 'sh').map((b) => b.text);
    const wanted = crypto.createHash('sha256').update('a-token').digest('hex');
    assert.match(await sh(`openssl() { echo a-token; }\n${hash}`), new RegExp(wanted));
  });
});
