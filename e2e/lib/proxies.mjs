// nginx, HAProxy, Caddy and Traefik in front of the gate, with the files of examples/behind-a-proxy. Only addresses and paths are replaced.

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http2 from 'node:http2';
import path from 'node:path';
import tls from 'node:tls';
import { REPO, gateBinary } from './build.mjs';
import { LOOPBACK, freePorts, isListening } from './net.mjs';
import { startProcess } from './processes.mjs';
import { waitFor } from './wait-for.mjs';

export const PROXIES = ['nginx', 'HAProxy', 'Caddy', 'Traefik'];

/** Traefik is not in Debian. scripts/provision.sh installs it from PyPI. */
const TRAEFIK = path.join(REPO, '.cache/venv/bin/traefik');

/** The host name of the examples. */
const HOST = 'ask.example.com';

/** The address of the clients. It differs from that of the proxies, so that the gate's log shows which one it has used. */
export const CLIENT_ADDRESS = '127.0.0.2';

const EXAMPLES = path.join(REPO, 'examples/behind-a-proxy');

/** Returns the text of an example with all replacements made. Each must be in the text, so that the test notices a renamed path. */
function example(name, replacements) {
  let text = fs.readFileSync(path.join(EXAMPLES, name), 'utf8');
  for (const [from, to] of replacements) {
    if (!text.includes(from)) throw new Error(`${name} does not contain ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/**
 * Starts the gate of examples/behind-a-proxy, and each proxy in front of it.
 *
 * @param {{dir: string, upstream: string, keys: ReturnType<import('./keys.mjs').makeKeys>}} options
 */
export async function startGateBehindProxies({ dir, upstream, keys }) {
  const [gatePort, ...ports] = await freePorts(1 + PROXIES.length);
  const [nginx, haproxy, caddy, traefik] = ports.map((port) => `${LOOPBACK}:${port}`);
  const gateAddress = `${LOOPBACK}:${gatePort}`;
  const at = (name) => path.join(dir, name);
  fs.writeFileSync(at('keys.yaml'), keys.file);
  createCertificate(dir);

  fs.mkdirSync(at('nginx'));
  fs.writeFileSync(at('nginx/docsgate.conf'), example('nginx.conf', [
    ['listen 443 ', `listen ${nginx} `], ['/etc/ssl/ask.example.com', at('cert')],
    ['/var/log/nginx/', at('nginx/')], ['127.0.0.1:8080', gateAddress],
  ]));
  fs.writeFileSync(at('nginx/nginx.conf'), `${process.getuid() === 0 ? 'user root;' : ''}
daemon off;
pid nginx.pid;
error_log main.log;
events {}
http {
	${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path temp-${name};`).join('\n\t')}
	include docsgate.conf;
}
`);
  fs.writeFileSync(at('haproxy.cfg'), example('haproxy.cfg', [
    ['bind :443 ', `bind ${haproxy} `], ['/etc/haproxy/ask.example.com.pem', at('cert.pem')],
    ['/dev/log local0', 'stdout format raw local0'], ['127.0.0.1:8080', gateAddress],
  ]));
  fs.writeFileSync(at('front.Caddyfile'), example('front.Caddyfile', [
    ['\n{\n', '\n{\n\tadmin off\n\tauto_https disable_redirects\n'],
    [`\n${HOST} {\n`, `\nhttps://${HOST}:${ports[2]}, https://${caddy} {\n\tbind ${LOOPBACK}\n\ttls ${at('cert.crt')} ${at('cert.key')}\n`],
    ['127.0.0.1:8080', gateAddress],
  ]));
  fs.writeFileSync(at('traefik.yaml'), example('traefik.yaml', [
    ['":443"', JSON.stringify(traefik)], ['/etc/traefik/traefik-dynamic.yaml', at('traefik-dynamic.yaml')],
    ['/var/lib/traefik/acme.json', at('acme.json')],
  ]));
  // A certificate of the test in place of one from Let's Encrypt, and the loopback address as a second name.
  fs.writeFileSync(at('traefik-dynamic.yaml'), `${example('traefik-dynamic.yaml', [
    [`Host(\`${HOST}\`)`, `Host(\`${HOST}\`) || Host(\`${LOOPBACK}\`)`], ['tls:\n        certResolver: acme', 'tls: {}'],
    ['127.0.0.1:8080', gateAddress],
  ])}tls: {stores: {default: {defaultCertificate: {certFile: ${at('cert.crt')}, keyFile: ${at('cert.key')}}}}}\n`);

  const docsgate = gateBinary();
  const env = {
    PATH: `${process.env.PATH}:/usr/sbin`, HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir, ...keys.env,
    DOCSGPT_TOKEN: keys.upstreamToken, DOCSGPT_URL: `http://${upstream}`, DOCSGATE_KEYS: at('keys.yaml'),
    DOCSGATE_SITE: `http://:${gatePort}`, CADDY_ADMIN: `unix/${at('admin.sock')}`,
  };
  let gate;
  async function startGate() {
    gate = startProcess('gate', docsgate, ['run', '--config', path.join(EXAMPLES, 'Caddyfile')], { dir, env });
    await gate.ready(`port ${gatePort}`, () => isListening(gatePort));
  }
  async function stopGate() {
    await gate.stop();
    await waitFor('the port of the gate is free', async () => !(await isListening(gatePort)));
  }
  await startGate();
  const proxies = [
    startProcess('nginx', 'nginx', ['-p', at('nginx'), '-c', at('nginx/nginx.conf')], { dir, env }),
    startProcess('haproxy', 'haproxy', ['-f', at('haproxy.cfg')], { dir, env }),
    startProcess('caddy', docsgate, ['run', '--config', at('front.Caddyfile'), '--adapter', 'caddyfile'], { dir, env }),
    startProcess('traefik', TRAEFIK, [`--configFile=${at('traefik.yaml')}`], { dir, env }),
  ];
  const logFiles = ['nginx/docsgate.access.log', 'haproxy.out', 'caddy.out', 'traefik.out'];

  async function stop() {
    for (const proxy of proxies) await proxy.stop();
    await stopGate();
  }
  try {
    for (const [i, proxy] of proxies.entries()) await proxy.ready(`port ${ports[i]}`, () => isListening(ports[i]));
  } catch (error) {
    await stop();
    throw error;
  }

  const ca = fs.readFileSync(at('cert.crt'));
  return {
    url: (name) => `https://${LOOPBACK}:${ports[PROXIES.indexOf(name)]}`,
    output: () => gate.output(),
    log: () => gate.output(),
    /** Returns the lines of the access log of a proxy. */
    proxyLog: (name) => fs.readFileSync(at(logFiles[PROXIES.indexOf(name)]), 'utf8').split('\n'),
    /** Returns the entries of the gate's access log for a request, by its request ID. */
    entries: (id) => gate.output().split('\n').filter((line) => line.startsWith('{') && line.includes(id)).map((line) => JSON.parse(line))
      .filter((entry) => entry.msg === 'handled request'),
    /**
     * Sends a request from CLIENT_ADDRESS, with TLS and HTTP/2, as browsers do. Returns the response as a readable stream with its
     * headers, when these have arrived. If the stream is destroyed, the client disconnects.
     */
    async request(name, target, { method = 'POST', headers = {}, body } = {}) {
      const session = http2.connect(`https://${HOST}`, {
        createConnection: () => tls.connect({
          host: LOOPBACK, port: ports[PROXIES.indexOf(name)], localAddress: CLIENT_ADDRESS, servername: HOST, ca, ALPNProtocols: ['h2'],
        }),
      });
      const stream = session.request({ ':method': method, ':path': target, ':authority': HOST, 'content-type': 'application/json', ...headers });
      stream.once('close', () => session.destroy());
      stream.end(body);
      const failed = once(session, 'error').then(([error]) => { throw error; });
      failed.catch(() => {}); // an error after the headers is one of the stream
      const [response] = await Promise.race([once(stream, 'response'), failed]);
      return Object.assign(stream, { headers: response });
    },
    startGate,
    stopGate,
    stop,
  };
}

/** Writes a certificate for the host and for the loopback address, as cert.crt, cert.key and cert.pem, which has both. */
function createCertificate(dir) {
  const file = (extension) => path.join(dir, `cert.${extension}`);
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${HOST}`,
    '-addext', `subjectAltName=DNS:${HOST},IP:${LOOPBACK}`, '-keyout', file('key'), '-out', file('crt'),
  ], { stdio: 'pipe' });
  fs.writeFileSync(file('pem'), fs.readFileSync(file('crt'), 'utf8') + fs.readFileSync(file('key'), 'utf8'));
}
