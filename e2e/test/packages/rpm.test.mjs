// The life of the .rpm on a machine: it is installed, upgraded with a changed Caddyfile, rolled back and erased. The root is a Debian,
// since that is what the tests can install; so the names of the required packages are checked, and not installed.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runCommand } from '../../lib/processes.mjs';
import { PackageRoot } from '../../lib/package-root.mjs';
import { ADDED_LINE, buildPackages } from '../../lib/packages.mjs';

const CADDYFILE = 'etc/docsgate/Caddyfile';

describe('.rpm', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'docsgate-rpm-'));
  let packages;
  let root;

  before(async () => {
    packages = await buildPackages(folder, 'rpm');
    root = await PackageRoot.create(path.join(folder, 'root'));
  });
  after(() => {
    root?.close();
    fs.rmSync(folder, { recursive: true, force: true });
  });

  const query = (...args) => runCommand(['rpm', '--query', ...args, '--package', packages.new], { env: { ...process.env, LC_ALL: 'C' } });
  const rpm = (...args) => runCommand(['rpm', '--root', root.folder, '--dbpath', '/var/lib/rpm', ...args], { env: { ...process.env, LC_ALL: 'C' } });

  test('modes, configuration files and requirements', async () => {
    assert.equal(await query('--queryformat', '%{NAME} %{VERSION} %{LICENSE}'), 'docsgate 1.1.0 Apache-2.0');
    assert.equal(await query('--configfiles'), '/etc/docsgate/Caddyfile\n/etc/docsgate/env\n');
    assert.match(await query('--requires'), /^ca-certificates\nshadow-utils\n/);
    const files = (await query('--queryformat', '[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES}\\n]')).trim().split('\n');
    for (const file of ['-rw------- root:root /etc/docsgate/env', '-rw-r--r-- root:root /etc/docsgate/Caddyfile',
      'drwxr-xr-x root:root /etc/docsgate', '-rwxr-xr-x root:root /usr/bin/docsgate',
      '-rw-r--r-- root:root /usr/lib/systemd/system/docsgate.service']) assert.ok(files.includes(file), `${file} in\n${files.join('\n')}`);
  });

  test('an installation', async () => {
    await rpm('--install', '--nodeps', packages.old);
    assert.match(await root.run('getent', 'passwd', 'docsgate'), /:\/var\/lib\/docsgate:\/sbin\/nologin\n$/);
    assert.equal(await root.owner('/var/lib/docsgate'), '700 docsgate:docsgate');
    assert.equal(await rpm('--verify', '--nodeps', 'docsgate'), '');
    assert.equal(await root.run('systemd-analyze', 'verify', 'docsgate.service'), '');
    await root.whileGateRuns(() => root.createKey('first'));
  });

  test('an upgrade keeps a changed Caddyfile and the keys', async () => {
    fs.appendFileSync(root.path(CADDYFILE), '# changed here\n');
    await rpm('--upgrade', '--nodeps', packages.new);
    assert.equal(await rpm('--query', 'docsgate'), `docsgate-1.1.0-1.${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}\n`);
    assert.match(fs.readFileSync(root.path(CADDYFILE), 'utf8'), /# changed here\n$/);
    assert.match(fs.readFileSync(root.path(`${CADDYFILE}.rpmnew`), 'utf8'), new RegExp(`${ADDED_LINE}\n$`));
    assert.deepEqual(await root.whileGateRuns(() => root.keyNames()), ['first']);
  });

  test('a rollback keeps them as well', async () => {
    await rpm('--upgrade', '--oldpackage', '--nodeps', packages.old);
    assert.match(fs.readFileSync(root.path(CADDYFILE), 'utf8'), /# changed here\n$/);
    assert.deepEqual(await root.whileGateRuns(() => root.keyNames()), ['first']);
  });

  test('erasing keeps changed configuration, data and user', async () => {
    await rpm('--erase', 'docsgate');
    assert.ok(!fs.existsSync(root.path('usr/bin/docsgate')));
    assert.match(fs.readFileSync(root.path(`${CADDYFILE}.rpmsave`), 'utf8'), /# changed here\n$/);
    assert.equal(await root.owner('/var/lib/docsgate'), '700 docsgate:docsgate');
  });

  test('with systemd the service follows the presets, is restarted in an upgrade, and stopped', async () => {
    const calls = root.pretendSystemd();
    await rpm('--install', '--nodeps', packages.old);
    assert.deepEqual(calls(), ['systemctl preset docsgate.service']);
    await rpm('--upgrade', '--nodeps', packages.new);
    assert.deepEqual(calls(), ['systemctl try-restart docsgate.service']);
    await rpm('--erase', 'docsgate');
    assert.deepEqual(calls(), ['systemctl disable --now docsgate.service']);
  });
});
