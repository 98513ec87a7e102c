// A whole DocsGPT: PostgreSQL, Redis, its worker and its API, twice, with sources and agents, and docsgate in front.
//
// The two APIs share one database, one owner and one worker. "open" runs as the stock compose file does, without a
// login: a request without a key counts as the owner's. "login" wants a session (AUTH_TYPE=oidc).

import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { REPO, gateBinary } from '../../e2e/lib/build.mjs';
import { PROXY_MODES, logFilters } from '../../e2e/lib/gate.mjs';
import { LOOPBACK, freePorts, isListening } from '../../e2e/lib/net.mjs';
import { MODEL, MODEL_KEY, canary, startModel } from './fake-llm.mjs';
import { Owner, session } from './docsgpt-client.mjs';

const ENTER = path.join(REPO, 'scripts', 'docsgpt-enter.sh');
/** Who asks without a session is this user, so both APIs have the same owner. */
const OWNER = 'local';
/** PostgreSQL does not run as root; this user is everywhere. */
const NOBODY = 'nobody';
/** In the folder of the servers' data. */
const FOLDERS = ['pg', 'redis', 'home', 'tmp'];

/** Both documents answer the same questions; only the canary and the number of seconds tell them apart. */
export const QUESTION = 'How do I reset the device?';
const manual = (name, animal, seconds) => `# The ${name}

${canary(name, animal)} How do I reset the device? Hold the button of the device for ${seconds} seconds.
`;
export const CANARY = {
  handbook: canary('handbook', 'brass heron'), payroll: canary('payroll', 'silver otter'),
  /** of a text that one of the payroll's readers uploads */
  attachment: canary('attachment', 'copper lynx'),
  /** of a note that another reader has the model store */
  note: canary('note', 'amber stoat'),
};
const MANUALS = { handbook: manual('handbook', 'brass heron', 5), payroll: manual('payroll', 'silver otter', 9) };

const random = () => crypto.randomBytes(24).toString('hex');
const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex');

/** The file "paths" of an installation. */
function installed(folder) {
  return Object.fromEntries(fs.readFileSync(path.join(folder, 'paths'), 'utf8').trim().split('\n').map((l) => l.split('=', 2)));
}

/** The settings of DocsGPT, for both APIs and the worker. */
function settings(ports, secrets) {
  return {
    ...secrets,
    POSTGRES_URI: `postgresql://docsgpt@${LOOPBACK}:${ports.postgres}/docsgpt`,
    CELERY_BROKER_URL: `redis://${LOOPBACK}:${ports.redis}/0`,
    CELERY_RESULT_BACKEND: `redis://${LOOPBACK}:${ports.redis}/1`,
    CACHE_REDIS_URL: `redis://${LOOPBACK}:${ports.redis}/2`,
    LLM_PROVIDER: 'openai',
    LLM_NAME: MODEL,
    OPENAI_BASE_URL: `http://${LOOPBACK}:${ports.model}/v1`,
    API_KEY: MODEL_KEY,
    LLM_CACHE_ENABLED: 'false',
    EMBEDDINGS_NAME: 'stand-in-embeddings',
    EMBEDDINGS_BASE_URL: `http://${LOOPBACK}:${ports.model}`,
    EMBEDDINGS_KEY: MODEL_KEY,
    VECTOR_STORE: 'faiss',
    API_URL: `http://${LOOPBACK}:${ports.open}`,
    WORKER_API_URL: `http://${LOOPBACK}:${ports.open}`,
    VERSION_CHECK: '0',
    TTS_PROVIDER: 'none',
    STT_PROVIDER: 'none',
    SERVE_UI: 'false',
    // Streams that are open when the tests end need not be waited for.
    GRACEFUL_SHUTDOWN_TIMEOUT_SECONDS: '2',
  };
}

/**
 * Starts all of it.
 *
 * @param {{dir: string, installation: string, processes: import('./processes.mjs').Processes, say: (text: string) => void}}
 *   options dir is a folder of this run's own that other users may enter
 * @returns what the tests need to know, as plain data, and the model
 */
export async function startStack({ dir, installation, processes, say }) {
  const { way, prefix, postgres } = installed(installation);
  const data = path.join(dir, 'data');
  const inside = way === 'root' ? '/run-data' : data;
  for (const folder of FOLDERS) fs.mkdirSync(path.join(data, folder), { recursive: true });
  fs.chmodSync(path.join(data, 'pg'), 0o700);
  const isRoot = process.getuid() === 0;
  // In a system of its own everything runs as nobody; beside the machine's own programs only what must.
  const user = way === 'root' ? NOBODY : '-';
  if (isRoot) {
    const id = Number(execFileSync('id', ['-u', NOBODY]));
    const group = Number(execFileSync('id', ['-g', NOBODY]));
    for (const folder of way === 'root' ? FOLDERS : ['pg', 'tmp']) fs.chownSync(path.join(data, folder), id, group);
  }

  const names = ['postgres', 'redis', 'model', 'open', 'login'];
  const numbers = await freePorts(names.length);
  const ports = Object.fromEntries(names.map((name, i) => [name, numbers[i]]));
  const secrets = { JWT_SECRET_KEY: random(), INTERNAL_KEY: random(), ENCRYPTION_SECRET_KEY: random() };
  const base = {
    PATH: `${prefix}/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin`, LANG: 'C.UTF-8', HOME: `${inside}/home`, TMPDIR: `${inside}/tmp`,
  };
  const docsgptEnv = {
    ...base, ...settings(ports, secrets), DOCSGPT_HOME: `${inside}/home`, TIKTOKEN_CACHE_DIR: `${prefix}/tiktoken`,
    HF_HUB_OFFLINE: '1',
  };
  const enter = (as, ...command) => [ENTER, installation, data, as, ...command];
  const docsgpt = (...args) => enter(user, `${prefix}/venv/bin/docsgpt`, ...args);
  const options = (env) => ({ env, cwd: data });

  say('PostgreSQL, Redis, the stand-in for the model');
  const model = await startModel(ports.model);
  await processes.run('initdb', enter(
    NOBODY, `${postgres}/initdb`, '-D', `${inside}/pg`, '-U', 'docsgpt', '--auth=trust', '-E', 'UTF8', '--locale=C.UTF-8',
    '--no-sync',
  ), options(base));
  const database = processes.start('postgres', enter(
    NOBODY, `${postgres}/postgres`, '-D', `${inside}/pg`, '-p', `${ports.postgres}`, '-h', LOOPBACK, '-k', '',
    '-c', 'fsync=off',
  ), options(base));
  const redis = processes.start('redis', enter(
    user, 'redis-server', '--bind', LOOPBACK, '--port', `${ports.redis}`, '--dir', `${inside}/redis`, '--save', '',
  ), options(base));
  await database.ready('accepts connections', () => /ready to accept connections/.test(database.output()));
  await redis.ready('accepts connections', () => isListening(ports.redis));

  say("DocsGPT's migrations");
  await processes.run('migrate', docsgpt('migrate'), options(docsgptEnv));

  say('DocsGPT: API without a login, API with one, worker');
  const api = {};
  const start = (name, env) => {
    api[name] = `http://${LOOPBACK}:${ports[name]}`;
    const command = docsgpt('api', '--host', LOOPBACK, '--port', `${ports[name]}`, '--workers', '1');
    return processes.start(`api-${name}`, command, options(env));
  };
  const running = [
    start('open', docsgptEnv),
    start('login', {
      ...docsgptEnv, AUTH_TYPE: 'oidc',
      // What the gate's documentation asks for, where keys are bound to sources. The other API has the default.
      DEFAULT_CHAT_TOOLS: 'none',
      // Wanted at start; the provider is only asked at a login.
      OIDC_ISSUER: `http://${LOOPBACK}:9`, OIDC_CLIENT_ID: 'tests', OIDC_FRONTEND_URL: `http://${LOOPBACK}:9`,
    }),
  ];
  const worker = processes.start(
    'worker', docsgpt('worker', '--pool', 'solo', '--no-beat', '-l', 'WARNING'), options(docsgptEnv),
  );
  for (const [i, name] of ['open', 'login'].entries()) {
    await running[i].ready('is healthy', async () => (await fetch(`${api[name]}/api/health`)).ok);
  }

  say('sources, agents and access tokens');
  const ownerSession = session(secrets.JWT_SECRET_KEY, OWNER);
  const owner = new Owner(api.login, ownerSession);
  await worker.ready('takes jobs', async () => {
    // 503 while no worker answers, 404 for an unknown job when one does
    const response = await fetch(`${api.login}/api/task_status?task_id=${crypto.randomUUID()}`);
    return response.status !== 503;
  });
  const sources = {};
  const agents = {};
  for (const [name, text] of Object.entries(MANUALS)) {
    sources[name] = await owner.source(name, text);
    agents[name] = await owner.agent(name, sources[name]);
  }
  const accessToken = await owner.accessToken('gate', Object.values(sources));

  say('docsgate');
  const gate = await startGate({ dir, ports, processes, agents, sources, accessToken });
  return {
    model,
    facts: {
      dir, api, sources, agents, gate, ownerSession,
      model: `http://${LOOPBACK}:${ports.model}`,
      postgres: `postgresql://docsgpt@${LOOPBACK}:${ports.postgres}/docsgpt`,
      // The client of the same installation; the first error ends it.
      psql: enter('-', `${postgres}/psql`, '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1'),
      secrets: {
        'access token': accessToken, 'session of the owner': ownerSession, ...prefixed('agent key', Object.fromEntries(
          Object.entries(agents).map(([name, agent]) => [name, agent.key]),
        )), ...prefixed('token', gate.tokens),
      },
    },
  };
}

const prefixed = (prefix, values) => Object.fromEntries(Object.entries(values).map(([name, v]) => [`${prefix} "${name}"`, v]));

/** The lines that examples/load-balanced has for reverse_proxy, with one server. */
function reverseProxy(upstream) {
  const file = path.join(REPO, 'examples', 'load-balanced', 'Caddyfile');
  const lines = fs.readFileSync(file, 'utf8').match(/^\treverse_proxy \S+ \S+ \{\n[\s\S]*?^\t\}\n/m);
  if (!lines) throw new Error(`${file} has no reverse_proxy with two servers`);
  return lines[0].replace(/reverse_proxy \S+ \S+/, `reverse_proxy ${upstream}`);
}

/**
 * Starts docsgate with two sites in front of each API, one for each way to hand requests on. Its keys: "agent" and
 * "source" are bound to the handbook; "same" is another key for the same agent, "sameSource" for the same source;
 * "otherAgent" and "otherSource" are bound to the payroll.
 *
 * @returns {{folder: string, tokens: object, ways: object}} ways has the addresses: ways[way][api]
 */
async function startGate({ dir, ports, processes, agents, sources, accessToken }) {
  const folder = path.join(dir, 'gate');
  fs.mkdirSync(folder);
  const bindings = {
    agent: { agent: '{env.AGENT_HANDBOOK}' },
    same: { agent: '{env.AGENT_HANDBOOK}' },
    source: { source: [sources.handbook] },
    sameSource: { source: [sources.handbook] },
    otherAgent: { agent: '{env.AGENT_PAYROLL}' },
    otherSource: { source: [sources.payroll] },
  };
  const tokens = Object.fromEntries(Object.keys(bindings).map((name) => [name, random()]));
  const records = Object.entries(bindings).map(([id, binding]) => ({ id, name: id, sha256: sha256(tokens[id]), ...binding }));
  fs.writeFileSync(path.join(folder, 'keys.yaml'), JSON.stringify({ keys: records }));
  const log = `log {
		format filter {
			import no_keys
		}
	}`;
  const [forwarding] = PROXY_MODES;
  const site = (port, way, upstream) => `http://${LOOPBACK}:${port} {
	${log}
	docsgate ${way === forwarding ? upstream : ''} {
		endpoints widget openai mcp attachments health
	}
${way === forwarding ? '' : reverseProxy(upstream)}}
`;
  const places = PROXY_MODES.flatMap((way) => ['open', 'login'].map((api) => ({ way, api })));
  const numbers = await freePorts(places.length);
  const sites = places.map(({ way, api }, i) => site(numbers[i], way, `${LOOPBACK}:${ports[api]}`));
  fs.writeFileSync(path.join(folder, 'Caddyfile'), `${logFilters()}
{
	admin off
	auto_https off
	${log.replace('log', 'log default')}
	docsgate {
		feed file keys.yaml
		upstream_token {env.DOCSGPT_TOKEN}
		docsgpt_version auto
	}
}
${sites.join('')}`);
  const gate = processes.start('gate', [gateBinary(), 'run', '--config', 'Caddyfile', '--adapter', 'caddyfile'], {
    cwd: folder,
    env: {
      PATH: process.env.PATH, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder,
      AGENT_HANDBOOK: agents.handbook.key, AGENT_PAYROLL: agents.payroll.key, DOCSGPT_TOKEN: accessToken,
    },
  });
  const ways = Object.fromEntries(PROXY_MODES.map((way) => [way, {}]));
  for (const [i, { way, api }] of places.entries()) {
    await gate.ready(`port ${numbers[i]}`, () => isListening(numbers[i]));
    ways[way][api] = `http://${LOOPBACK}:${numbers[i]}`;
  }
  return { folder, tokens, ways };
}
