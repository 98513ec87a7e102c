// A complete DocsGPT, with PostgreSQL, Redis, a worker, two API servers, sources and agents, and docsgate in front of it.
//
// The two API servers share the database, the owner and the worker. "open" is as in DocsGPT's stock compose file, without a
// login: a request without a key is the owner's. "login" requires a session (AUTH_TYPE=oidc).

import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { REPO, gateBinary } from '../build.mjs';
import { PROXY_MODES } from '../gate.mjs';
import { LOOPBACK, freePorts, isListening } from '../net.mjs';
import { newSignSecret } from '../visitor-tokens.mjs';
import { DocsGPTClient, signSession } from './docsgpt-client.mjs';
import { MODEL, MODEL_KEY, canary, startFakeLLM } from './fake-llm.mjs';

const ENTER = path.join(REPO, 'scripts', 'docsgpt-enter.sh');
/** The user of requests without a session, so both API servers have the same owner. */
const OWNER = 'local';
/** PostgreSQL does not run as root. This user exists on every system. */
const NOBODY = 'nobody';
/** The subfolders of the data folder. */
const FOLDERS = ['pg', 'redis', 'home', 'tmp'];

/** Both documents answer this question. They differ only in the canary and the number of seconds. */
export const QUESTION = 'How do I reset the device?';
const manual = (name, animal, seconds) => `# The ${name}

${canary(name, animal)} How do I reset the device? Hold the button of the device for ${seconds} seconds.
`;
export const CANARY = {
  handbook: canary('handbook', 'brass heron'), payroll: canary('payroll', 'silver otter'),
  /** In an attachment that a client with a key for the payroll uploads. */
  attachment: canary('attachment', 'copper lynx'),
  /** In a note that another client makes the model store. */
  note: canary('note', 'amber stoat'),
};
const MANUALS = { handbook: manual('handbook', 'brass heron', 5), payroll: manual('payroll', 'silver otter', 9) };

const random = () => crypto.randomBytes(24).toString('hex');
const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex');

/** Returns the values in the file "paths" of an installation. */
function readPaths(folder) {
  return Object.fromEntries(fs.readFileSync(path.join(folder, 'paths'), 'utf8').trim().split('\n').map((l) => l.split('=', 2)));
}

/** Returns the settings of DocsGPT, for both API servers and the worker. */
function settings(ports, secrets) {
  return {
    ...secrets,
    POSTGRES_URI: `postgresql://docsgpt@${LOOPBACK}:${ports.postgres}/docsgpt`,
    CELERY_BROKER_URL: `redis://${LOOPBACK}:${ports.redis}/0`,
    CELERY_RESULT_BACKEND: `redis://${LOOPBACK}:${ports.redis}/1`,
    CACHE_REDIS_URL: `redis://${LOOPBACK}:${ports.redis}/2`,
    LLM_PROVIDER: 'openai',
    LLM_NAME: MODEL,
    OPENAI_BASE_URL: `http://${LOOPBACK}:${ports.llm}/v1`,
    API_KEY: MODEL_KEY,
    LLM_CACHE_ENABLED: 'false',
    EMBEDDINGS_NAME: 'fake-embeddings',
    EMBEDDINGS_BASE_URL: `http://${LOOPBACK}:${ports.llm}`,
    EMBEDDINGS_KEY: MODEL_KEY,
    VECTOR_STORE: 'faiss',
    API_URL: `http://${LOOPBACK}:${ports.open}`,
    WORKER_API_URL: `http://${LOOPBACK}:${ports.open}`,
    VERSION_CHECK: '0',
    TTS_PROVIDER: 'none',
    STT_PROVIDER: 'none',
    SERVE_UI: 'false',
    // Open streams at the end of the tests are not waited for.
    GRACEFUL_SHUTDOWN_TIMEOUT_SECONDS: '2',
  };
}

/** The servers start slowly on a busy machine. */
const START = { deadline: 180_000 };

/**
 * Starts all servers.
 *
 * @param {{dir: string, installation: string, processes: import('./process-groups.mjs').ProcessGroups,
 *   say: (text: string) => void}} options dir is an empty folder that other users may enter
 * @returns {Promise<{llm: object, info: object}>} the fake LLM, and the addresses, ids and keys as plain data
 */
export async function startStack({ dir, installation, processes, say }) {
  const { mode, prefix, postgres } = readPaths(installation);
  const data = path.join(dir, 'data');
  const inside = mode === 'root' ? '/run-data' : data;
  for (const folder of FOLDERS) fs.mkdirSync(path.join(data, folder), { recursive: true });
  fs.chmodSync(path.join(data, 'pg'), 0o700);
  const isRoot = process.getuid() === 0;
  // In a separate root file system all servers run as this user, otherwise only PostgreSQL.
  const user = mode === 'root' ? NOBODY : '-';
  if (isRoot) {
    const id = Number(execFileSync('id', ['-u', NOBODY]));
    const group = Number(execFileSync('id', ['-g', NOBODY]));
    for (const folder of mode === 'root' ? FOLDERS : ['pg', 'tmp']) fs.chownSync(path.join(data, folder), id, group);
  }

  const names = ['postgres', 'redis', 'llm', 'open', 'login'];
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

  say('PostgreSQL, Redis, fake LLM');
  const llm = await startFakeLLM(ports.llm);
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
  await database.ready('accepts connections', () => /ready to accept connections/.test(database.output()), START);
  await redis.ready('accepts connections', () => isListening(ports.redis), START);

  say("DocsGPT's migrations");
  await processes.run('migrate', docsgpt('migrate'), options(docsgptEnv));

  say('DocsGPT: API without a login, API with a login, worker');
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
      // As the documentation of the gate requires if keys are bound to sources. The other API has the default.
      DEFAULT_CHAT_TOOLS: 'none',
      // Required at startup. The provider is used only during a login.
      OIDC_ISSUER: `http://${LOOPBACK}:9`, OIDC_CLIENT_ID: 'tests', OIDC_FRONTEND_URL: `http://${LOOPBACK}:9`,
    }),
  ];
  const worker = processes.start(
    'worker', docsgpt('worker', '--pool', 'solo', '--no-beat', '-l', 'WARNING'), options(docsgptEnv),
  );
  for (const [i, name] of ['open', 'login'].entries()) {
    await running[i].ready('is healthy', async () => (await fetch(`${api[name]}/api/health`)).ok, START);
  }

  say('sources, agents and access tokens');
  const ownerSession = signSession(secrets.JWT_SECRET_KEY, OWNER);
  const owner = new DocsGPTClient(api.login, ownerSession);
  await worker.ready('accepts tasks', async () => {
    // 503 without a worker, 404 for an unknown task
    const response = await fetch(`${api.login}/api/task_status?task_id=${crypto.randomUUID()}`);
    return response.status !== 503;
  }, START);
  const sources = {};
  const agents = {};
  for (const [name, text] of Object.entries(MANUALS)) {
    sources[name] = await owner.createSource(name, text);
    agents[name] = await owner.createAgent(name, sources[name]);
  }
  const accessToken = await owner.createAccessToken('gate', Object.values(sources));

  say('docsgate');
  const gate = await startGate({ dir, ports, processes, agents, sources, accessToken });
  return {
    llm,
    info: {
      dir, api, sources, agents, gate, ownerSession,
      llm: `http://${LOOPBACK}:${ports.llm}`,
      postgres: `postgresql://docsgpt@${LOOPBACK}:${ports.postgres}/docsgpt`,
      // psql of the same installation. It stops at the first error.
      psql: enter('-', `${postgres}/psql`, '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1'),
      // Prints the compose file of "docsgpt up".
      printComposeFile: enter('-', 'sh', '-c', `cat ${prefix}/venv/lib/python*/site-packages/docsgpt/deploy/docker-compose.yaml`),
      secrets: {
        'access token': accessToken, 'session of the owner': ownerSession, ...prefixed('agent key', Object.fromEntries(
          Object.entries(agents).map(([name, agent]) => [name, agent.key]),
        )), ...prefixed('token', gate.tokens), 'secret of signed visitors': gate.signSecret,
      },
    },
  };
}

const prefixed = (prefix, values) => Object.fromEntries(Object.entries(values).map(([name, v]) => [`${prefix} "${name}"`, v]));

/** Returns the reverse_proxy block of examples/load-balanced, with one upstream. */
function reverseProxy(upstream) {
  const file = path.join(REPO, 'examples', 'load-balanced', 'Caddyfile');
  const lines = fs.readFileSync(file, 'utf8').match(/^\treverse_proxy \S+ \S+ \{\n[\s\S]*?^\t\}\n/m);
  if (!lines) throw new Error(`${file} has no reverse_proxy with two upstreams`);
  return lines[0].replace(/reverse_proxy \S+ \S+/, `reverse_proxy ${upstream}`);
}

/**
 * Starts docsgate with two sites in front of each API, one for each proxy mode. Its keys: "agent" and "source" are bound to
 * the handbook; "same" is another key for the same agent, "sameSource" for the same source; "otherAgent" and "otherSource"
 * are bound to the payroll. "publishable", "secret", "limited" and "signed" are bound to the handbook's agent, and have a policy;
 * "signedSource" has that of "signed", and is bound to the handbook.
 *
 * @returns {Promise<{folder: string, tokens: object, urls: object, sitePort: number, signSecret: string}>} urls has the addresses
 *   of the sites: urls[mode][api]; sitePort is the port of the page that the publishable key allows; signSecret is the secret of
 *   signed visitors
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
  const [sitePort] = await freePorts(1);
  const policies = {
    publishable: { kind: 'publishable', origins: [`http://${LOOPBACK}:${sitePort}`] },
    secret: { kind: 'secret' },
    limited: { limits: { visitor_requests: '1/20s' } },
    signed: { visitors: 'required', sign_secret: '{env.SIGN_SECRET}' },
  };
  for (const name of Object.keys(policies)) bindings[name] = bindings.agent;
  policies.signedSource = policies.signed;
  bindings.signedSource = bindings.source;
  const signSecret = newSignSecret();
  const tokens = Object.fromEntries(Object.keys(bindings).map((name) => [name, random()]));
  const records = Object.entries(bindings).map(([id, binding]) => ({ id, name: id, sha256: sha256(tokens[id]), ...binding, ...policies[id] }));
  fs.writeFileSync(path.join(folder, 'keys.yaml'), JSON.stringify({ keys: records }));
  const log = `log {
		format docsgate
	}`;
  const [forwarding] = PROXY_MODES;
  const site = (port, mode, upstream) => `http://${LOOPBACK}:${port} {
	${log}
	docsgate ${mode === forwarding ? upstream : ''} {
		endpoints widget openai mcp attachments health
	}
${mode === forwarding ? '' : reverseProxy(upstream)}}
`;
  const pairs = PROXY_MODES.flatMap((mode) => ['open', 'login'].map((api) => ({ mode, api })));
  const gatePorts = await freePorts(pairs.length);
  const sites = pairs.map(({ mode, api }, i) => site(gatePorts[i], mode, `${LOOPBACK}:${ports[api]}`));
  fs.writeFileSync(path.join(folder, 'Caddyfile'), `{
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
      SIGN_SECRET: signSecret,
    },
  });
  const urls = Object.fromEntries(PROXY_MODES.map((mode) => [mode, {}]));
  for (const [i, { mode, api }] of pairs.entries()) {
    await gate.ready(`port ${gatePorts[i]}`, () => isListening(gatePorts[i]), START);
    urls[mode][api] = `http://${LOOPBACK}:${gatePorts[i]}`;
  }
  return { folder, tokens, urls, sitePort, signSecret };
}
