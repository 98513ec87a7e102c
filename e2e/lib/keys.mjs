// The data that the gate and the stub share in these tests: two sources, an agent for each, and the gate's keys.

import crypto from 'node:crypto';

const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex');

/**
 * Returns a new set of keys. Every token and upstream key in it is random, so a match in a log is never a coincidence.
 *
 * @param {{agentKey?: string, policies?: Object<string, object>}} [options] agentKey is the handbook agent's key, for a
 *   backend that already has one; policies are further keys for that agent, with the fields of their policies by name
 */
export function makeKeys({ agentKey = crypto.randomUUID(), policies = {} } = {}) {
  const sources = { handbook: crypto.randomUUID(), payroll: crypto.randomUUID() };
  const agents = { handbook: agentKey, payroll: crypto.randomUUID() };
  const upstreamToken = `dgpt_pat_${crypto.randomBytes(24).toString('base64url')}`;
  const deletedAgent = crypto.randomUUID();
  const tokens = {};
  for (const name of ['agent', 'source', 'other', 'stale', 'expired', 'early', 'disabled', 'unknown', ...Object.keys(policies)]) {
    tokens[name] = crypto.randomUUID();
  }

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
    { id: 'stale', name: 'Bound to a deleted agent', sha256: sha256(tokens.stale), agent: '{env.E2E_AGENT_DELETED}' },
    ...Object.entries(policies).map(([name, policy]) => (
      { id: name, name, sha256: sha256(tokens[name]), agent: '{env.E2E_AGENT_HANDBOOK}', ...policy }
    )),
  ];

  return {
    sources,
    agents,
    upstreamToken,
    /** The tokens that clients present. "unknown" belongs to no key. */
    tokens,
    /** The text of the key file. JSON is valid YAML. */
    file: `${JSON.stringify({ keys: records }, null, 2)}\n`,
    /** The environment variables with the upstream credentials that the key file and the Caddyfile refer to. */
    env: {
      E2E_AGENT_HANDBOOK: agents.handbook,
      E2E_AGENT_PAYROLL: agents.payroll,
      E2E_AGENT_DELETED: deletedAgent,
      E2E_UPSTREAM_TOKEN: upstreamToken,
    },
    /** The secrets that must not be in any log or file, by name. */
    secrets: {
      ...Object.fromEntries(Object.entries(tokens).map(([name, token]) => [`token "${name}"`, token])),
      ...Object.fromEntries(Object.entries(agents).map(([name, key]) => [`agent key "${name}"`, key])),
      'key of the deleted agent': deletedAgent,
      'upstream token': upstreamToken,
    },
    /** The corresponding options of the stub. */
    stub: {
      label: 'stub',
      keys: { [agents.handbook]: [sources.handbook], [agents.payroll]: [sources.payroll] },
      tokens: { [upstreamToken]: [sources.handbook, sources.payroll] },
      sources: { [sources.handbook]: 'handbook', [sources.payroll]: 'payroll' },
    },
  };
}
