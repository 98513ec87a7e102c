// The Helm chart: linted and rendered by Helm, validated against the schemas of Kubernetes, and its Caddyfile run in front of
// the stub.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { get } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { REPO, gateBinary } from '../../lib/build.mjs';
import { makeKeys } from '../../lib/keys.mjs';
import { freePorts } from '../../lib/net.mjs';
import { startProcess } from '../../lib/processes.mjs';
import { startStub } from '../../lib/stub.mjs';

const CHART = path.join(REPO, 'charts/docsgate');
const VALUES = fs.readdirSync(path.join(CHART, 'ci')).map((file) => path.join(CHART, 'ci', file));
const VALIDATE = path.join(REPO, '.cache/venv/bin/kubernetes-validate');
/** The oldest version that Chart.yaml allows, and the newest that the schemas exist for. */
const KUBERNETES = ['1.27', '1.37'];

describe('Helm chart', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'docsgate-chart-'));
  const helmBinary = path.join(dir, 'helm');
  const helm = (...args) => execFileSync(helmBinary, args, {
    encoding: 'utf8', stdio: 'pipe', env: { ...process.env, HELM_CACHE_HOME: dir, HELM_CONFIG_HOME: dir, HELM_DATA_HOME: dir },
  });
  const template = (...args) => helm('template', 'docs', CHART, '--kube-version', '1.31', ...args);
  /** Returns the Caddyfile of the rendered chart. */
  const caddyfile = (...args) => {
    const config = template('--show-only', 'templates/configmap.yaml', ...args);
    return config.slice(config.indexOf('Caddyfile: |\n') + 13).replace(/^ {4}/gm, '');
  };

  before(() => execFileSync('go', ['build', '-trimpath', '-modfile=tools/helm/go.mod', '-o', helmBinary, 'helm.sh/helm/v3/cmd/helm'], {
    cwd: REPO, env: { ...process.env, CGO_ENABLED: '0' }, stdio: 'pipe',
  }));
  after(() => fs.rmSync(dir, { recursive: true, force: true }));

  test('has no findings of "helm lint"', () => {
    assert.ok(VALUES.length >= 3);
    for (const file of [[], ...VALUES.map((values) => ['--values', values])]) {
      assert.match(helm('lint', '--strict', CHART, ...file), /1 chart\(s\) linted, 0 chart\(s\) failed/);
    }
  });

  for (const values of [undefined, ...VALUES]) {
    const args = values ? ['--values', values] : [];
    const name = values ? path.basename(values) : 'default values';

    test(`${name}: resources that Kubernetes accepts`, () => {
      const rendered = template(...args).split(/^---$/m).filter((part) => /^kind:/m.test(part));
      assert.ok(rendered.length >= 3);
      // PodMonitor is a resource of the Prometheus operator, which the schemas do not have.
      const file = path.join(dir, 'rendered.yaml');
      fs.writeFileSync(file, rendered.filter((part) => !/^kind: PodMonitor$/m.test(part)).join('---'));
      for (const version of KUBERNETES) {
        execFileSync(VALIDATE, ['--strict', '--kubernetes-version', version, file], { stdio: 'pipe' });
      }
    });

    test(`${name}: a Caddyfile in canonical form that is valid`, () => {
      const file = path.join(dir, 'Caddyfile');
      const text = caddyfile(...args);
      fs.writeFileSync(file, text);
      execFileSync(gateBinary(), ['adapt', '--config', file], { stdio: 'pipe', env: { ...process.env, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir } });
      assert.equal(execFileSync(gateBinary(), ['fmt', file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }), text);
    });
  }

  test('values that cannot work are rejected with their name', () => {
    const rejected = (message, ...args) => assert.throws(() => template(...args), (error) => message.test(error.stderr), String(message));
    rejected(/feeds: enable store or docsgpt/, '--set', 'feeds.store=false,feeds.docsgpt.enabled=false,console.enabled=false');
    rejected(/console\.enabled needs feeds\.store/, '--set', 'feeds.store=false');
    rejected(/replicas/, '--set', 'replicas=2');
    rejected(/url/, '--set', 'docsgpt.url=backend:7091');
    rejected(/endpoints/, '--set', 'endpoints={widgets}');
    rejected(/ingress\.hosts is required/, '--set', 'ingress.enabled=true');
    rejected(/secretName is required/, '--set', 'feeds.docsgpt.secretName=');
  });

  test('a key of the store gets an answer; probes and metrics respond', async () => {
    const keys = makeKeys();
    const stub = await startStub({ dir, ...keys.stub });
    const [http, metrics, console, admin] = await freePorts(4);
    const text = caddyfile('--values', path.join(CHART, 'ci/store-only-values.yaml'), '--set', `docsgpt.url=${stub.url},docsgpt.credential.secretName=token`)
      .replaceAll(':8080', `:${http}`).replaceAll(':9180', `:${metrics}`).replaceAll(':8099', `:${console}`).replaceAll(':2019', `:${admin}`);
    fs.writeFileSync(path.join(dir, 'Caddyfile'), text);
    const gate = startProcess('gate', gateBinary(), ['run', '--config', 'Caddyfile'], {
      dir,
      env: { XDG_DATA_HOME: path.join(dir, 'data'), XDG_CONFIG_HOME: path.join(dir, 'config'), DOCSGPT_TOKEN: keys.upstreamToken, CADDY_ADMIN: `localhost:${admin}` },
    });
    try {
      // Not fetch: the admin endpoint rejects requests with the Sec-Fetch headers of browsers.
      const probe = (name) => new Promise((resolve, reject) => {
        get(`http://127.0.0.1:${metrics}${name}`, (response) => resolve(response.resume().statusCode)).on('error', reject);
      });
      await gate.ready('is ready', async () => await probe('/docsgate/ready').catch(() => 0) === 200);
      assert.equal(await probe('/docsgate/live'), 200);
      assert.equal(await probe('/config/'), 404, 'the rest of the admin endpoint is reached');
      assert.match(await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text(), /^caddy_docsgate_build_info\{/m);
      const created = await fetch(`http://localhost:${console}/v1/keys`, {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name: 'Docs', source: keys.sources.handbook }),
      });
      assert.equal(created.status, 201, await created.clone().text());
      const { token } = await created.json();
      assert.match(await (await fetch(`http://127.0.0.1:${console}/`)).text(), /<title>/, 'the console has any name of this machine');
      const answer = await fetch(`http://127.0.0.1:${http}/api/answer`, {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ question: 'Hello?', api_key: token }),
      });
      assert.equal(answer.status, 200, await answer.clone().text());
      assert.ok((await answer.json()).answer);
    } finally {
      await gate.stop();
      await stub.stop();
    }
  });
});
