// A real Prometheus scrapes a gate: every query of the dashboard returns data, the alerts are valid, and the metrics follow the
// conventions of Prometheus.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { REPO, gateBinary } from '../../lib/build.mjs';
import { makeKeys } from '../../lib/keys.mjs';
import { startMonitoredGate } from '../../lib/monitored-gate.mjs';
import { runCommand } from '../../lib/processes.mjs';
import { MONITORING, startPrometheus } from '../../lib/prometheus.mjs';
import { startTestbed } from '../../lib/testbed.mjs';
import { waitFor } from '../../lib/wait-for.mjs';

const DASHBOARD = path.join(MONITORING, 'docsgate-dashboard.json');
const dashboard = JSON.parse(fs.readFileSync(DASHBOARD, 'utf8'));
const panels = dashboard.panels.filter((panel) => panel.type !== 'row');

/** Returns the type and the labels of the gate's metrics, by name, of Prometheus' text format. */
function exportedMetrics(text) {
  const metrics = new Map();
  for (const [, name, type] of text.matchAll(/^# TYPE (caddy_docsgate_\w+) (\w+)$/gm)) {
    const [, labels = ''] = text.match(new RegExp(`^${name}(?:_count)?(?:\\{(.*)\\})? `, 'm'));
    metrics.set(name, { type, labels: [...labels.matchAll(/(\w+)="/g)].map((found) => found[1]).sort() });
  }
  return new Map([...metrics].sort());
}

/** Returns the same of the table of metrics in the documentation. */
function listedMetrics(page) {
  const metrics = new Map();
  for (const [, cell, type, labels] of page.matchAll(/^\| (`caddy_docsgate_.*) \| (\w+) \| (.*)\|$/gm)) {
    for (const [, name] of cell.matchAll(/`(caddy_docsgate_\w+)`/g)) {
      metrics.set(name, { type, labels: [...labels.matchAll(/`(\w+)`/g)].map((found) => found[1]).sort() });
    }
  }
  return new Map([...metrics].sort());
}

describe('monitoring', () => {
  let testbed;
  let prometheus;
  before(async () => {
    testbed = await startTestbed({
      keys: makeKeys({ policies: { limited: { limits: { requests: '1000/1m', tokens_per_day: 1_000_000 } } } }), start: startMonitoredGate,
    });
    prometheus = await startPrometheus({ dir: testbed.dir, target: testbed.gate.admin });
  });
  after(async () => {
    await prometheus?.stop();
    await testbed?.close();
  });

  const ask = (question, token, options) => fetch(`${testbed.gate.url()}/stream`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ question, api_key: token }), ...options,
  });

  /** Returns the metrics in Prometheus' text format. Caddy's admin endpoint rejects the headers of fetch, as those of a page. */
  async function exposition() {
    const text = await runCommand(['curl', '-fsS', `http://${testbed.gate.admin}/metrics`]);
    assert.match(text, /^caddy_docsgate_build_info\{/m);
    return text;
  }

  /** Causes whatever the gate counts. */
  async function traffic() {
    await runCommand([gateBinary(), 'keys', 'create', '--address', testbed.gate.admin, '--name', 'A key', '--source', testbed.keys.sources.handbook]);
    const { limited, unknown } = testbed.keys.tokens;
    const text = async (...question) => (await ask(...question)).text();
    await text('Q', limited);
    await text('Q', unknown);
    await text('Q'.repeat(200), limited); // more than question_chars, which is in dry_run
    await text('[[fail=500]]', limited);
    await Promise.all(['[[wait=0.3]]', '[[wait=0.3]]', 'Q', 'Q'].map((question) => text(question, limited))); // one waits, others are rejected
  }

  /** Abandons an answer. The gate cannot cancel it with this credential, so one of two places in flight is taken for half a minute. */
  async function abandon() {
    const controller = new AbortController();
    await ask('[[gap=1]]', testbed.keys.tokens.limited, { signal: controller.signal });
    controller.abort();
  }

  test('each query of the dashboard returns data', (t) => testbed.scenario(async () => {
    await traffic();
    await waitFor('Prometheus has the counters', async () => (await prometheus.query('caddy_docsgate_queue_rejections_total')).length > 0);
    await traffic(); // rates need an increase of counters that exist
    await abandon();
    const substitutes = { $__rate_interval: '30s', $job: '.+', $instance: '.+' };
    assert.ok(panels.length > 20);
    for (const panel of panels) {
      assert.ok(panel.description, `${panel.title} has no description`);
      for (const { expr } of panel.targets) {
        const query = expr.replace(/\$\w+/g, (name) => substitutes[name] ?? assert.fail(`${name} in ${expr}`));
        await waitFor(`"${panel.title}" has data: ${query}`, async () => {
          const result = await prometheus.query(query);
          return result.length > 0 && result.some(({ value }) => value[1] !== 'NaN');
        });
      }
    }
  })(t));

  test('Prometheus evaluates the alerts of a gate that it reaches', (t) => testbed.scenario(async () => {
    await waitFor('the alerts are evaluated', async () => (await prometheus.alerts()).every((alert) => alert.health === 'ok'));
    const alerts = await prometheus.alerts();
    assert.ok(alerts.length > 10);
    for (const { name, annotations, labels } of alerts) {
      assert.ok(annotations.summary && annotations.description, `${name} has no text`);
      assert.match(labels.severity, /^(critical|warning)$/, name);
    }
    assert.equal((await prometheus.target()).health, 'up');
  })(t));

  test('promtool accepts configuration, alerts and their unit tests', async () => {
    await runCommand(['promtool', 'check', 'config', path.join(MONITORING, 'prometheus.yml')]);
    await runCommand(['promtool', 'test', 'rules', path.join(REPO, 'examples/monitoring/docsgate-alerts_test.yml')]);
  });

  test('the names of the metrics follow the conventions', async () => {
    const own = (await exposition()).split('\n').filter((line) => line.includes('caddy_docsgate_')).join('\n');
    await runCommand(['promtool', 'check', 'metrics'], { input: `${own}\n` });
  });

  test('the dashboard is the output of its generator', async () => {
    const built = await runCommand(['go', 'run', '-trimpath', './dashboard'], {
      cwd: path.join(REPO, 'tools'), env: { ...process.env, CGO_ENABLED: '0' }, maxBuffer: 10 << 20,
    });
    assert.equal(fs.readFileSync(DASHBOARD, 'utf8'), built, 'run make dashboard');
  });

  test('the alert of shared limits becomes pending when Redis is unavailable', (t) => testbed.scenario(async () => {
    await testbed.gate.stopRedis();
    await waitFor('a limit falls back', async () => {
      await (await ask('Q', testbed.keys.tokens.limited)).text();
      return /^caddy_docsgate_shared_limits_fallbacks_total\{/m.test(await exposition());
    });
    await waitFor('the alert is pending', async () => {
      const alerts = await prometheus.alerts();
      return alerts.find(({ name }) => name === 'DocsgateLimitsNotShared').state === 'pending';
    });
  })(t));

  test('docs/configuration.md lists each metric with its type and its labels', (t) => testbed.scenario(async () => {
    const exported = exportedMetrics(await exposition());
    const listed = listedMetrics(fs.readFileSync(path.join(REPO, 'docs/configuration.md'), 'utf8'));
    assert.deepEqual(Object.fromEntries(exported), Object.fromEntries(listed));
  })(t));
});
