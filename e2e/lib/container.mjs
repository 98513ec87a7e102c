// The image of docsgate, assembled by buildah from the Dockerfile and the binary that was built already, and containers of it that
// podman runs. Base images are not downloaded: the stage that compiles is replaced by a folder.

import fs from 'node:fs';
import path from 'node:path';
import { gateBinary } from './build.mjs';
import { runCommand } from './processes.mjs';

const REPOSITORY = path.resolve(import.meta.dirname, '../..');
export const IMAGE = 'docsgate';

/** Machines without systemd, and those with version 1 of cgroups, need different runtimes. None sets limits that need privileges. */
const RUNTIMES = [
  { runtime: 'runc', options: [] },
  { runtime: 'crun', options: ['--cgroups=disabled'] },
  { runtime: 'crun', options: [] },
];

/** Images and containers in a folder of their own. The folder is removed by removeAll. */
export class ContainerEngine {
  #folder;
  #storage;
  #env;
  #options = [];

  constructor(folder) {
    this.#folder = folder;
    fs.mkdirSync(folder, { recursive: true });
    this.#storage = ['--storage-driver', 'vfs', '--root', path.join(folder, 'root'), '--runroot', path.join(folder, 'run')];
    this.#env = { PATH: process.env.PATH, HOME: folder, CONTAINERS_CONF: path.join(folder, 'containers.conf') };
    this.#configure(RUNTIMES[0].runtime);
  }

  #configure(runtime) {
    fs.writeFileSync(this.#env.CONTAINERS_CONF,
      `[containers]\ndefault_ulimits = []\n[engine]\nruntime = "${runtime}"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n`);
  }

  /** Builds the image from the repository's Dockerfile. */
  async build() {
    const stage = path.join(this.#folder, 'stage');
    fs.mkdirSync(path.join(stage, 'image/root/usr/bin'), { recursive: true });
    const binary = gateBinary();
    const settings = await runCommand(['go', 'version', '-m', binary], { env: process.env });
    if (!settings.includes('CGO_ENABLED=0')) throw new Error(`${binary} is not static: build it with "make build", and name it in DOCSGATE_BIN`);
    fs.copyFileSync(binary, path.join(stage, 'image/root/usr/bin/docsgate'));
    await runCommand([path.join(REPOSITORY, 'scripts/image-root.sh'), path.join(stage, 'image')]);
    await runCommand(['buildah', ...this.#storage, 'build', '--format', 'docker', '--isolation', 'chroot',
      '--build-context', `build=${stage}`, '-t', IMAGE, '.'], { cwd: REPOSITORY, env: this.#env });
  }

  /** Selects the first runtime that can run the image. Fails with the error of the last one. */
  async selectRuntime() {
    let failure;
    for (const { runtime, options } of RUNTIMES) {
      this.#configure(runtime);
      try {
        await this.podman('run', '--rm', '--no-healthcheck', '--network', 'host', ...options, IMAGE, 'version');
        this.#options = options;
        return;
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  /** Starts a container in the background, with these options and the image's own command. */
  run(...options) {
    return this.podman('run', '--detach', '--log-driver', 'k8s-file', ...this.#options, ...options, IMAGE);
  }

  /** Runs podman with these arguments. Returns its standard output. */
  podman(...args) {
    return runCommand(['podman', ...this.#storage, ...args], { env: this.#env });
  }

  /** Removes all containers and images. */
  async removeAll() {
    await this.podman('rm', '--all', '--force', '--time', '1');
    fs.rmSync(this.#folder, { recursive: true, force: true });
  }
}
