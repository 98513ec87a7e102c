// The conformance suite of the MCP project, run against a server that requires a key.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { E2E } from './build.mjs';
import { LOOPBACK } from './net.mjs';

const SUITE = path.join(E2E, 'node_modules', '@modelcontextprotocol', 'conformance', 'dist', 'index.js');

/** Returns a Node that can run the suite: this one, or the one that npm installs on Linux. */
function node22() {
  if (Number(process.versions.node.split('.')[0]) >= 22) return process.execPath;
  const installed = path.join(E2E, 'node_modules', '.bin', 'node');
  if (fs.existsSync(installed)) return installed;
  throw new Error('the conformance suite needs Node 22 or later');
}

/** Starts a proxy that adds the key to each request, since the suite cannot send headers. */
export async function startKeyProxy(upstream, token) {
  const { hostname, port } = new URL(upstream);
  const server = http.createServer((request, response) => {
    const headers = { ...request.headers, authorization: `Bearer ${token}` };
    const forwarded = http.request({ host: hostname, port, method: request.method, path: request.url, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    forwarded.on('error', () => response.destroy());
    response.on('close', () => forwarded.destroy());
    request.pipe(forwarded);
  });
  await new Promise((resolve) => server.listen(0, LOOPBACK, resolve));
  return {
    url: `http://${LOOPBACK}:${server.address().port}`,
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/**
 * Runs a scenario and returns its checks, each with id, description, status (SUCCESS, FAILURE, SKIPPED, ...) and errorMessage.
 * dir is a folder for the results.
 */
export async function runScenario({ url, scenario, version, dir }) {
  const output = path.join(dir, `${version}-${scenario}`);
  const args = [SUITE, 'server', '--url', url, '--scenario', scenario, '--spec-version', version, '--output-dir', output];
  const child = spawn(node22(), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { text += chunk; });
  await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve); // the exit status is 1 after a failed check, too
  });
  const file = fs.existsSync(output) && fs.readdirSync(output, { recursive: true }).find((name) => name.endsWith('checks.json'));
  if (!file) throw new Error(`the suite has written no results:\n${text.slice(-2000)}`);
  return JSON.parse(fs.readFileSync(path.join(output, file), 'utf8'));
}
