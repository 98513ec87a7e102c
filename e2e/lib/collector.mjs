// A real OpenTelemetry Collector that receives the traces of a gate.

import path from 'node:path';
import { REPO } from './build.mjs';
import { LOOPBACK, freePorts, isListening } from './net.mjs';
import { runCommand, startProcess } from './processes.mjs';

/** Builds and starts the Collector. */
export async function startCollector({ dir }) {
  const program = path.join(dir, 'collector');
  await runCommand(['go', 'build', '-trimpath', '-o', program, '.'], {
    cwd: path.join(REPO, 'tools/collector'), env: { ...process.env, CGO_ENABLED: '0' },
  });
  const [port] = await freePorts(1);
  const running = startProcess('collector', program, [`${LOOPBACK}:${port}`], { dir });
  await running.ready('the Collector listens', () => isListening(port));
  return {
    url: `http://${LOOPBACK}:${port}`,
    /** Returns the spans that have arrived: {traceID, id, parentID, name, kind, status, attributes, events}. */
    spans: () => running.output().split(/^Span #\d+$/m).slice(1).map(parseSpan),
    output: running.output,
    stop: () => running.stop(),
  };
}

/** Parses a span as the Collector's debug exporter prints it. */
function parseSpan(text) {
  const [span, events = ''] = text.split(/^Events:$/m);
  const field = (name) => span.match(new RegExp(`^    ${name} *: (.*)$`, 'm'))?.[1] ?? '';
  return {
    traceID: field('Trace ID'),
    parentID: field('Parent ID'),
    id: field('ID'),
    name: field('Name'),
    kind: field('Kind'),
    status: field('Status code'),
    attributes: Object.fromEntries([...span.matchAll(/^     -> (\S+): \w+\((.*)\)$/gm)].map(([, name, value]) => [name, value])),
    events: [...events.matchAll(/^     -> Name: (.*)$/gm)].map((found) => found[1]),
  };
}
