// What the gate and the stub know in these tests: two sources, an agent for each, and the gate's own keys.

import crypto from 'node:crypto';

const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex');

/**
 * Makes a fresh set of keys. Every token and upstream key in it is random, so that finding one of them in a log is no
 * accident.
 *
 * @param {{agentKey?: string}} [options] agentKey is used as the handbook agent's key, for a backend that has its own
 */
export function makeKeys({ agentKey = crypto.randomUUID() } = {}) {
  const sources = { handbook: crypto.randomUUID(), payroll: crypto.randomUUID() };
  const agents = { handbook: agentKey, payroll: crypto.randomUUID() };
  const upstreamToken = `dgpt_pat_${crypto.randomBytes(24).toString('base64url')}`;
  const goneAgent = crypto.randomUUID();
  const tokens = {};
  for (const name of ['agent', 'source', 'other', 'stale', 'expired', 'early', 'disabled', 'unknown']) tokens[name] = crypto.randomUUID();

  const records = [
    { id: 'by-agent', name: 'Bound to an agent', sha256: sha256(tokens.agent), agent: '{env.E2E_AGENT_HANDBOOK}' },
    { id: 'by-source', name: 'Bound to a source', sha256: sha256(tokens.source), source: [sources.handbook] },
    {
      id: 'expired', name: 'Expired', sha256: sha256(tokens.expired), agent: '{env.E2E_AGENT_HANDBOOK}',
      expires: '2020-01-01T00:00:00Z',
    },
    {
      id: 'early', name: 'Not yet valid', sha256: sha256(tokens.early), agent: '{env.E2E_AGENT_HANDBOOK}',
      not_before: '2999-01-01T00:00:00Z',
    },
    {
      id: 'disabled', name: 'Disabled', sha256: sha256(tokens.disabled), agent: '{env.E2E_AGENT_HANDBOOK}',
      state: 'disabled',
    },
    { id: 'other', name: 'Bound to the other agent', sha256: sha256(tokens.other), agent: '{env.E2E_AGENT_PAYROLL}' },
    { id: 'stale', name: 'Bound to an agent that is gone', sha256: sha256(tokens.stale), agent: '{env.E2E_AGENT_GONE}' },
  ];

  return {
    sources,
    agents,
    upstreamToken,
    /** What clients present; "unknown" is in no record. */
    tokens,
    /** The key file's text. JSON is YAML too. */
    file: `${JSON.stringify({ keys: records }, null, 2)}\n`,
    /** Environment in which the key file and the Caddyfile find the upstream credentials. */
    env: {
      E2E_AGENT_HANDBOOK: agents.handbook,
      E2E_AGENT_PAYROLL: agents.payroll,
      E2E_AGENT_GONE: goneAgent,
      E2E_UPSTREAM_TOKEN: upstreamToken,
    },
    /** Everything that must never be written anywhere, by name. */
    secrets: {
      ...Object.fromEntries(Object.entries(tokens).map(([name, token]) => [`token "${name}"`, token])),
      ...Object.fromEntries(Object.entries(agents).map(([name, key]) => [`agent key "${name}"`, key])),
      'agent key that is gone': goneAgent,
      'upstream token': upstreamToken,
    },
    /** What the stub has to know to match. */
    stub: {
      label: 'stub',
      keys: { [agents.handbook]: [sources.handbook], [agents.payroll]: [sources.payroll] },
      tokens: { [upstreamToken]: [sources.handbook, sources.payroll] },
      sources: { [sources.handbook]: 'handbook', [sources.payroll]: 'payroll' },
    },
  };
}
