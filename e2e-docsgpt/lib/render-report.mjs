// The page docs/what-the-gate-changes.md.

const HEAD = `# What the gate changes

<!-- Written by the tests against a real DocsGPT. Write it anew with: UPDATE=1 make e2e-docsgpt -->

A client has one key, for a source called handbook. It tries to get more: a source called payroll, which another key is
for, other people's conversations and uploads, the owner's model account. Each line below was tried at a DocsGPT 1.1.0
from PyPI, and then through docsgate in front of it, by its own forwarding and with Caddy's \`reverse_proxy\` behind it: both
come to the same. The tests write this page, and fail when anything on it changes.

| column | |
|---|---|
| straight, no login | at DocsGPT as its stock compose file runs it, with the agent's key |
| straight, login | the same with \`AUTH_TYPE=oidc\` |
| gate, agent | through docsgate with a key that is bound to the agent; DocsGPT behind it has no login |
| gate, source | through docsgate with a key that is bound to the source; DocsGPT behind it has a login, and the gate a personal access token that is good for both sources |

"answers from handbook" means that the text of that source, and of no other, was given to the model. What is not the
client's is **bold**: the payroll, and an upload ("attachment") of one of its readers. Tools are those that the model was
offered; where no key counts, they are the owner's. Numbers are HTTP statuses, with the code of docsgate's refusal or the
message of DocsGPT's. On \`/stream\` docsgate's refusals are events that widgets show.

In the table of the owner's tools all requests run as the owner's account: "straight" with the gate's own credential, and
"gate, source" with a DocsGPT that has its default \`DEFAULT_CHAT_TOOLS\`, as the one without a login has. That with a login has
\`DEFAULT_CHAT_TOOLS=none\`, here and in all other tables. The note is one that another reader had the model store.
`;

const COLUMNS = ['open', 'login', 'agent', 'source'];

/** The page for the results, each {group, name, open, login, agent, source}. */
export function pageOf(results) {
  const groups = [...new Set(results.map((result) => result.group))];
  const tables = groups.map((group) => [
    `## ${group}`,
    '',
    '| attempt | straight, no login | straight, login | gate, agent | gate, source |',
    '|---|---|---|---|---|',
    ...results.filter((result) => result.group === group)
      .map((result) => `| ${[result.name, ...COLUMNS.map((column) => result[column])].join(' | ')} |`),
    '',
  ].join('\n'));
  return `${HEAD}\n${tables.join('\n')}`;
}
