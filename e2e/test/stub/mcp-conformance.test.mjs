// The conformance suite of the MCP project: its scenarios that need nothing but one tool.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { PROXY_MODES } from '../../lib/gate.mjs';
import { runScenario, startKeyProxy } from '../../lib/mcp-conformance.mjs';
import { startTestbed } from '../../lib/testbed.mjs';

const SCENARIOS = {
  '2025-06-18': ['server-initialize', 'ping', 'logging-set-level', 'tools-list', 'resources-list', 'prompts-list'],
  '2025-11-25': [
    'server-initialize', 'server-session-lifecycle', 'ping', 'logging-set-level', 'tools-list', 'resources-list', 'prompts-list',
    'server-sse-multiple-streams',
  ],
  '2026-07-28': [
    'server-stateless', 'tools-list', 'resources-list', 'prompts-list', 'caching', 'http-header-validation',
  ],
};

/** Checks that fail, each with the reason in its message. */
const EXPECTED_FAILURES = {
  // These need a tool of the suite's own test server.
  'sep-2575-server-rejects-undeclared-capability': /'test_missing_capability'|tool_not_found/,
  'sep-2575-missing-capability-http-400': /'test_missing_capability'/,
  'sep-2575-http-server-no-independent-requests-on-stream': /'test_streaming_elicitation'/,
  'sep-2575-server-no-log-without-loglevel': /'test_logging_tool'/,
  // The gate has no prompts to declare. Clients request the list regardless, and get an empty one.
  'sep-2575-server-declares-prompts-in-discover': /did not declare prompts capability/,
  // The suite calls the tool without its arguments: the header is accepted, but not the call.
  'sep-2243-server-accepts-whitespace-header-value': /"query\\?" is missing/,
};

describe('MCP conformance suite', () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'docsgate-conformance-'));
  let testbed;
  before(async () => { testbed = await startTestbed(); });
  after(async () => {
    await testbed?.close();
    fs.rmSync(dir, { recursive: true, force: true });
  });

  for (const mode of PROXY_MODES) {
    for (const [version, scenarios] of Object.entries(SCENARIOS)) {
      for (const scenario of scenarios) {
        test(`${mode}, ${version}: ${scenario}`, (t) => testbed.scenario(async () => {
          const proxy = await startKeyProxy(testbed.gate.url(mode), testbed.keys.tokens.agent);
          try {
            const checks = await runScenario({ url: `${proxy.url}/mcp`, scenario, version, dir: path.join(dir, mode.replaceAll(/\W/g, '-')) });
            const failed = checks.filter(({ id, status, errorMessage }) => (
              status === 'FAILURE' && !EXPECTED_FAILURES[id]?.test(errorMessage)));
            assert.deepEqual(failed.map(({ id, errorMessage }) => `${id}: ${errorMessage}`), []);
            assert.ok(checks.some((check) => check.status === 'SUCCESS'), 'nothing was checked');
          } finally {
            await proxy.stop();
          }
        })(t));
      }
    }
  }
});
