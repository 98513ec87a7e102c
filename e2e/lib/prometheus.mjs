// A real Prometheus that scrapes a gate, with the project's own configuration and alerts.

import fs from 'node:fs';
import path from 'node:path';
import { REPO } from './build.mjs';
import { LOOPBACK, freePorts } from './net.mjs';
import { startProcess } from './processes.mjs';

/** The folder with the shipped configuration of Prometheus, the alerts and the dashboard. */
export const MONITORING = path.join(REPO, 'examples/monitoring');

/**
 * Starts Prometheus with the shipped configuration, but for the target and a scrape every half second.
 *
 * @param {{dir: string, target: string}} options target is host:port
 */
export async function startPrometheus({ dir, target }) {
  const config = fs.readFileSync(path.join(MONITORING, 'prometheus.yml'), 'utf8');
  if (!config.includes('[localhost:2019]')) throw new Error('prometheus.yml has another target');
  const folder = path.join(dir, 'prometheus');
  fs.mkdirSync(folder);
  fs.writeFileSync(path.join(folder, 'prometheus.yml'), `global:\n  scrape_interval: 500ms\n  evaluation_interval: 500ms\n${
    config.replace('[localhost:2019]', `["${target}"]`)}`);
  fs.copyFileSync(path.join(MONITORING, 'docsgate-alerts.yml'), path.join(folder, 'docsgate-alerts.yml'));
  const [port] = await freePorts(1);
  const url = `http://${LOOPBACK}:${port}`;
  const running = startProcess('prometheus', 'prometheus', [
    '--config.file=prometheus.yml', '--storage.tsdb.path=data', `--web.listen-address=${LOOPBACK}:${port}`,
  ], { dir: folder });

  async function api(route, parameters = {}) {
    const response = await fetch(`${url}/api/v1/${route}?${new URLSearchParams(parameters)}`);
    const { status, data, error } = await response.json();
    if (status !== 'success') throw new Error(`Prometheus: ${error}`);
    return data;
  }
  await running.ready('Prometheus is ready', async () => (await fetch(`${url}/-/ready`)).ok);
  return {
    /** Returns the series and their values now. */
    query: async (expression) => (await api('query', { query: expression })).result,
    /** Returns the alerting rules: {name, health, lastError, state}. */
    alerts: async () => (await api('rules', { type: 'alert' })).groups.flatMap((group) => group.rules),
    /** Returns the state of the target: {health, lastError}. */
    target: async () => (await api('targets')).activeTargets[0],
    stop: () => running.stop(),
  };
}
