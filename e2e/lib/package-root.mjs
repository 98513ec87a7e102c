// A root file system of Debian, in which packages are installed, and the gate runs as systemd would start it. Namespaces of
// their own for mounts and network keep the machine unchanged, and let the gate use its default ports.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { REPO } from './build.mjs';
import { runCommand, startProcess } from './processes.mjs';
import { waitFor } from './wait-for.mjs';

const UNIT = 'usr/lib/systemd/system/docsgate.service';
const ENV = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
const LARGE = { maxBuffer: 16 << 20 };

/** A shell script that runs its arguments in the root $0. */
const INSIDE = `mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"`;

export class PackageRoot {
  #namespace;

  constructor(folder) {
    this.folder = folder;
  }

  /** Copies the file system that debootstrap has created into a folder. */
  static async create(folder) {
    const template = (await runCommand([path.join(REPO, 'scripts/debian-root.sh')])).trim();
    await runCommand(['cp', '--archive', '--reflink=auto', template, folder]);
    fs.writeFileSync(path.join(folder, 'etc/hosts'), '127.0.0.1 localhost\n::1 localhost\n');
    const root = new PackageRoot(folder);
    await root.#openNetwork();
    return root;
  }

  /** A network namespace with nothing but the loopback interface. It exists as long as the process that waits in it. */
  async #openNetwork() {
    this.#namespace = spawn('unshare', ['--net', 'sleep', '900'], { stdio: 'ignore' });
    const own = fs.readlinkSync('/proc/self/ns/net');
    await waitFor('the network namespace', () => fs.readlinkSync(`/proc/${this.#namespace.pid}/ns/net`) !== own);
    await this.run('ip', 'link', 'set', 'lo', 'up');
  }

  close() {
    this.#namespace?.kill();
  }

  /** The path of a file in the root, on the machine. */
  path(file) {
    return path.join(this.folder, file);
  }

  /** Mode, user and group of a file in the root, such as "755 root:root", without following links. */
  async owner(file) {
    return (await this.run('stat', '--format=%a %U:%G', file)).trim();
  }

  #inNamespaces(args) {
    return ['nsenter', `--net=/proc/${this.#namespace.pid}/ns/net`,
      'unshare', '--mount', '--propagation', 'private', 'sh', '-ec', INSIDE, this.folder, ...args];
  }

  /** Runs a program in the root, as root, and returns its standard output. */
  run(...args) {
    return runCommand(this.#inNamespaces(args), { env: ENV, ...LARGE });
  }

  /** Creates a key with docsgate keys, and returns its token. */
  async createKey(name) {
    return (await runCommand(this.#inNamespaces(['docsgate', 'keys', 'create', '--name', name, '--agent-key-stdin']),
      { env: ENV, input: '3f1c0a52-9f0e-4c3f-8f0b-5a7d3f1c2e44\n' })).trim();
  }

  /** The names of the keys that docsgate keys lists. */
  async keyNames() {
    return (await this.run('docsgate', 'keys', 'list', '--json')).trim().split('\n').map((line) => JSON.parse(line).name);
  }

  /** Runs a program of the machine in the network of the root. */
  runOutside(...args) {
    return runCommand(['nsenter', `--net=/proc/${this.#namespace.pid}/ns/net`, ...args], LARGE);
  }

  /**
   * Lets scripts find a running systemd, whose commands only record that they were called. The stubs are in /usr/sbin, which is
   * before the real ones in PATH. Returns a function that returns the calls since its last call, except for daemon-reload.
   */
  pretendSystemd() {
    const calls = this.path('systemd-calls');
    fs.mkdirSync(this.path('run/systemd/system'), { recursive: true });
    for (const name of ['systemctl', 'deb-systemd-invoke']) {
      fs.writeFileSync(this.path(`usr/sbin/${name}`), `#!/bin/sh\necho "${name} $*" >>/systemd-calls\n`, { mode: 0o755 });
    }
    return () => {
      const lines = fs.readFileSync(calls, 'utf8').trim().split('\n');
      fs.rmSync(calls);
      return lines.filter((line) => !line.endsWith('daemon-reload'));
    };
  }

  /** The values of an option of the installed unit. */
  unit(option) {
    return [...fs.readFileSync(this.path(UNIT), 'utf8').matchAll(/^(\w+)=(.*)$/gm)]
      .filter(([, name]) => name === option).map(([, , value]) => value);
  }

  /** Runs check while the gate runs with user, environment, capabilities and command of the unit. */
  async whileGateRuns(check) {
    const [user] = this.unit('User');
    const [command] = this.unit('ExecStart');
    const variables = this.unit('Environment').flatMap((value) => value.replaceAll('%S', '/var/lib').split(' '));
    const [file] = this.unit('EnvironmentFile');
    variables.push(...fs.readFileSync(this.path(file), 'utf8').split('\n').filter((line) => /^\w+=/.test(line)));
    const gate = startProcess('docsgate', ...split(this.#inNamespaces(['setpriv', `--reuid=${user}`, `--regid=${user}`,
      '--clear-groups', '--no-new-privs', '--bounding-set=-all,+net_bind_service', '--inh-caps=-all,+net_bind_service',
      '--ambient-caps=-all,+net_bind_service', 'env', '--ignore-environment', `PATH=${ENV.PATH}`, ...variables, ...command.split(' ')])),
    { dir: path.dirname(this.folder) });
    try {
      await gate.ready('it is healthy', () => this.run('docsgate', 'health'), { deadline: 60_000 });
      return await check();
    } finally {
      await gate.stop();
    }
  }
}

const split = ([program, ...args]) => [program, args];
