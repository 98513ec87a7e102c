// Traces of Caddy's handler "tracing", which a real OpenTelemetry Collector receives: what the gate adds to them, and that they contain
// neither texts nor tokens.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gateBinary } from '../../lib/build.mjs';
import { startCollector } from '../../lib/collector.mjs';
import { LOOPBACK, freePorts, isListening } from '../../lib/net.mjs';
import { runCommand, startProcess } from '../../lib/processes.mjs';
import { startTestbed } from '../../lib/testbed.mjs';
import { waitFor } from '../../lib/wait-for.mjs';

const QUESTION = 'Is this text part of a trace?';
const TRACE = '0af7651916cd43dd8448eb211c80319c';

let collector;

/** Starts docsgate with tracing, once with built-in forwarding and once with reverse_proxy. It replaces startGate. */
async function startTracedGate({ dir, upstream, keys }) {
  collector = await startCollector({ dir });
  const [builtIn, next, metrics] = await freePorts(3);
  fs.writeFileSync(path.join(dir, 'keys.yaml'), keys.file);
  const site = (port, directive) => `http://${LOOPBACK}:${port} {
	route {
		tracing {
			span gate
		}
		${directive}
	}
}
`;
  fs.writeFileSync(path.join(dir, 'Caddyfile'), `{
	admin off
	docsgate {
		feed file keys.yaml
		upstream_token {env.E2E_UPSTREAM_TOKEN}
	}
}
${site(builtIn, `docsgate ${upstream} {\nendpoints widget openai\nmax_in_flight 1\n}`)}${site(next, `docsgate {\nendpoints widget openai\n}\nreverse_proxy ${upstream}`)}http://${LOOPBACK}:${metrics} {
	metrics
}
`);
  const running = startProcess('gate', gateBinary(), ['run', '--config', 'Caddyfile', '--adapter', 'caddyfile'], {
    dir,
    env: {
      PATH: process.env.PATH, HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir, ...keys.env,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf', OTEL_BSP_SCHEDULE_DELAY: '100',
      OTEL_SERVICE_NAME: 'docsgate',
    },
  });
  for (const port of [builtIn, next, metrics]) await running.ready(`port ${port}`, () => isListening(port));
  const ports = { 'built-in forwarding': builtIn, reverse_proxy: next };
  return {
    url: (mode) => `http://${LOOPBACK}:${ports[mode]}`,
    metrics: `http://${LOOPBACK}:${metrics}/metrics`,
    output: running.output,
    log: running.output,
    async stop() {
      await running.stop();
      await collector.stop();
    },
  };
}

describe('tracing', () => {
  let testbed;
  let traces = 0;
  before(async () => { testbed = await startTestbed({ start: startTracedGate }); });
  after(() => testbed?.close());

  function newTrace() {
    traces += 1;
    return TRACE.slice(0, -4) + traces.toString(16).padStart(4, '0');
  }

  /** Asks as a part of a new trace, and returns the function that waits for a span of the trace by its name. */
  async function ask(mode, question, token) {
    const traceID = newTrace();
    const response = await fetch(`${testbed.gate.url(mode)}/stream`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', traceparent: `00-${traceID}-b7ad6b7169203331-01` },
      body: JSON.stringify({ question, api_key: token }),
    });
    await response.text();
    const spans = () => collector.spans().filter((span) => span.traceID === traceID);
    return { traceID, spans, span: (name) => waitFor(`the span "${name}"`, () => spans().find((span) => span.name === name)) };
  }

  for (const mode of ['built-in forwarding', 'reverse_proxy']) {
    test(`${mode}: an answer`, (t) => testbed.scenario(async () => {
      const { span, traceID } = await ask(mode, QUESTION, testbed.keys.tokens.agent);
      const [server, chat] = [await span('gate'), await span('chat docsgpt')];
      assert.equal(server.kind, 'Server');
      assert.equal(server.attributes['docsgate.endpoint'], 'stream');
      assert.equal(server.attributes['docsgate.key.id'], 'by-agent');
      assert.equal(server.attributes['docsgate.decision'], 'allowed');
      assert.match(server.attributes['docsgate.request_id'], /^[0-9a-f]{16}$/);
      assert.equal(chat.kind, 'Client');
      assert.equal(chat.parentID, server.id);
      assert.equal(chat.attributes['gen_ai.operation.name'], 'chat');
      assert.equal(chat.attributes['gen_ai.provider.name'], 'docsgpt');
      assert.equal(chat.attributes['http.response.status_code'], '200');
      assert.deepEqual(chat.events, ['first event']);
      const [parent] = (await testbed.stub.calls()).at(-1).header.Traceparent;
      assert.equal(parent, `00-${traceID}-${chat.id}-01`, 'DocsGPT gets another parent');
    })(t));

    for (const stream of [false, true]) {
      test(`${mode}: the tokens of a completion, ${stream ? '' : 'not '}streamed`, (t) => testbed.scenario(async () => {
        const traceID = newTrace();
        const response = await fetch(`${testbed.gate.url(mode)}/v1/chat/completions`, {
          method: 'POST',
          headers: {
            'Content-Type': 'application/json', Authorization: `Bearer ${testbed.keys.tokens.agent}`, traceparent: `00-${traceID}-b7ad6b7169203331-01`,
          },
          body: JSON.stringify({
            messages: [{ role: 'user', content: QUESTION }], stream, ...stream && { stream_options: { include_usage: true } },
          }),
        });
        const [, usage] = (await response.text()).match(/"usage": ?(\{[^{}]*\})/);
        const { prompt_tokens: input, completion_tokens: output } = JSON.parse(usage);
        const chat = await waitFor('the span', () => collector.spans().find((span) => span.traceID === traceID && span.name === 'chat docsgpt'));
        assert.equal(chat.attributes['gen_ai.usage.input_tokens'], String(input));
        assert.equal(chat.attributes['gen_ai.usage.output_tokens'], String(output));
        assert.ok(input > 0 && output > 0);
      })(t));
    }

    test(`${mode}: a rejection and a failure of DocsGPT`, (t) => testbed.scenario(async () => {
      const rejected = await ask(mode, QUESTION, testbed.keys.tokens.unknown);
      const server = await rejected.span('gate');
      assert.equal(server.attributes['docsgate.decision'], 'unknown_token');
      assert.equal(server.attributes['error.type'], 'unknown_token');
      assert.deepEqual(rejected.spans().map((span) => span.name), ['gate']);
      const failed = await ask(mode, '[[fail=500]]', testbed.keys.tokens.agent);
      const chat = await failed.span('chat docsgpt');
      assert.equal(chat.status, 'Error');
      assert.equal(chat.attributes['error.type'], 'upstream_error');
      assert.equal(chat.attributes['http.response.status_code'], '500');
    })(t));
  }

  test('a request that waits in the queue', (t) => testbed.scenario(async () => {
    const [first, second] = await Promise.all(['[[wait=0.5]]', '[[wait=0.5]]'].map((question) => (
      ask('built-in forwarding', question, testbed.keys.tokens.agent))));
    const span = await waitFor('the span of the queue', () => [...first.spans(), ...second.spans()].find(({ name }) => name === 'docsgate queue'));
    assert.equal(span.attributes['docsgate.queue.class'], 'answer');
  })(t));

  test('the duration has the trace as its exemplar', async () => {
    const response = await fetch(testbed.gate.metrics, { headers: { Accept: 'application/openmetrics-text' } });
    const text = await response.text();
    assert.match(text, /^caddy_docsgate_request_duration_seconds_bucket\{.*# \{trace_id="0af7651916cd43dd8448eb211c80[0-9a-f]{4}"\}/m);
  });

  test('traces contain no text of a question, and no token', (t) => testbed.scenario(async () => {
    const token = testbed.keys.tokens.agent;
    const misplaced = `${testbed.gate.url('reverse_proxy')}/api/${token}?key=${token}`;
    await runCommand(['curl', '-fsS', '-o', '/dev/null', '-A', token, '-H', `X-Forwarded-For: ${token}`, misplaced]).catch(() => {});
    await waitFor('the misplaced token is in a span', () => collector.spans().some((span) => span.attributes['url.path'] === '/REDACTED'));
    const output = collector.output();
    assert.ok(!output.includes('part of a trace'), 'a question is in a trace');
    for (const [name, secret] of Object.entries(testbed.keys.secrets)) assert.ok(!output.includes(secret), `${name} is in a trace`);
  })(t));
});
