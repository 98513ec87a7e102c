// The life of the .deb on a machine: it is installed, upgraded with a changed Caddyfile, rolled back, removed and purged.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { REPO } from '../../lib/build.mjs';
import { runCommand } from '../../lib/processes.mjs';
import { PackageRoot } from '../../lib/package-root.mjs';
import { ADDED_LINE, buildPackages } from '../../lib/packages.mjs';

const CADDYFILE = 'etc/docsgate/Caddyfile';
const ENABLED = 'etc/systemd/system/multi-user.target.wants/docsgate.service';

describe('.deb', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'docsgate-deb-'));
  let packages;
  let root;

  before(async () => {
    packages = await buildPackages(folder, 'deb');
    root = await PackageRoot.create(path.join(folder, 'root'));
    for (const [version, deb] of Object.entries(packages)) fs.copyFileSync(deb, root.path(`${version}.deb`));
  });
  after(() => {
    root?.close();
    fs.rmSync(folder, { recursive: true, force: true });
  });

  const status = async () => (await root.run('dpkg-query', '--show', '--showformat=${db:Status-Abbrev}${Version}', 'docsgate'));
  const exists = (file) => fs.lstatSync(root.path(file), { throwIfNoEntry: false }) !== undefined;

  test('lintian has no objections', async () => {
    assert.equal(await runCommand(['lintian', '--allow-root', '--fail-on', 'none', packages.new]), '');
  });

  test('an installation', async () => {
    await root.run('dpkg', '--install', '/old.deb');
    assert.equal(await status(), 'ii 1.0.0');
    assert.match(await root.run('getent', 'passwd', 'docsgate'), /^docsgate:x:\d{3}:\d+:docsgate:\/var\/lib\/docsgate:\/usr\/sbin\/nologin\n$/);
    assert.equal(await root.owner('/etc/docsgate/env'), '600 root:root');
    assert.equal(await root.owner(`/${CADDYFILE}`), '644 root:root');
    assert.equal(await root.owner('/var/lib/docsgate'), '700 docsgate:docsgate');
    assert.equal(await root.run('dpkg', '--verify', 'docsgate'), '');
    assert.ok(exists(ENABLED), 'the service is enabled');
    assert.match(await root.run('bash', '-c', 'source /usr/share/bash-completion/completions/docsgate && complete -p docsgate'), /__start_docsgate/);
  });

  test('the unit is valid, and restricts the gate', async () => {
    assert.equal(await root.run('systemd-analyze', 'verify', 'docsgate.service'), '');
    // 100 is the worst exposure. The limit is a little over that of the unit.
    await root.run('systemd-analyze', 'security', '--offline=true', '--threshold=20', 'docsgate.service');
  });

  test('the units of the examples are valid with it', async () => {
    const units = root.path('etc/systemd/system');
    const example = (name) => fs.readFileSync(path.join(REPO, 'examples', name));
    const dropIn = (unit, name) => {
      fs.mkdirSync(path.join(units, `${unit}.d`));
      fs.writeFileSync(path.join(units, `${unit}.d/${path.basename(name)}`), example(name));
    };
    fs.writeFileSync(path.join(units, 'docsgate.socket'), example('socket-activation/docsgate.socket'));
    dropIn('docsgate.service', 'socket-activation/socket.conf');
    fs.copyFileSync(root.path('usr/lib/systemd/system/docsgate.service'), path.join(units, 'docsgate@.service'));
    dropIn('docsgate@.service', 'two-instances/instance.conf');
    try {
      assert.equal(await root.run('systemd-analyze', 'verify', 'docsgate.socket', 'docsgate.service', 'docsgate@a.service'), '');
    } finally {
      for (const name of ['docsgate.socket', 'docsgate.service.d', 'docsgate@.service', 'docsgate@.service.d']) {
        fs.rmSync(path.join(units, name), { recursive: true });
      }
    }
  });

  test('as installed the gate serves only its own machine, and rejects every token', async () => {
    await root.whileGateRuns(async () => {
      const listeners = (await root.run('ss', '--no-header', '--listening', '--tcp', '--udp', '--numeric')).trim().split('\n')
        .map((line) => line.trim().split(/\s+/)[4]);
      assert.ok(listeners.length >= 3, listeners.join(' '));
      for (const address of listeners) assert.match(address, /^(127\.0\.0\.1|\[::1\]):/);
      assert.equal(await root.runOutside('curl', '--silent', '--output', '/dev/null', '--write-out', '%{http_code}',
        '--json', '{"question": "x", "api_key": "unknown"}', 'http://localhost:8080/api/answer'), '401');
      await root.createKey('first');
    });
    assert.deepEqual(fs.readdirSync(root.path('etc/docsgate')).sort(), ['Caddyfile', 'env']);
  });

  test('an upgrade keeps a changed Caddyfile, a disabled service and the keys', async () => {
    fs.appendFileSync(root.path(CADDYFILE), '# changed here\n');
    await root.run('systemctl', 'disable', 'docsgate');
    await root.run('dpkg', '--force-confdef', '--force-confold', '--install', '/new.deb');
    assert.equal(await status(), 'ii 1.1.0');
    assert.match(fs.readFileSync(root.path(CADDYFILE), 'utf8'), /# changed here\n$/);
    assert.match(fs.readFileSync(root.path(`${CADDYFILE}.dpkg-dist`), 'utf8'), new RegExp(`${ADDED_LINE}\n$`));
    assert.ok(!exists(ENABLED), 'the service is still disabled');
    assert.match(await root.run('dpkg', '--verify', 'docsgate').catch((error) => error.message), /^(dpkg: )?$|c \/etc\/docsgate\/Caddyfile/);
    assert.deepEqual(await root.whileGateRuns(() => root.keyNames()), ['first']);
  });

  test('a rollback keeps them as well', async () => {
    await root.run('dpkg', '--force-confdef', '--force-confold', '--install', '/old.deb');
    assert.equal(await status(), 'ii 1.0.0');
    assert.match(fs.readFileSync(root.path(CADDYFILE), 'utf8'), /# changed here\n$/);
    assert.deepEqual(await root.whileGateRuns(() => root.keyNames()), ['first']);
  });

  test('removing keeps configuration and data', async () => {
    await root.run('systemctl', 'enable', 'docsgate');
    await root.run('dpkg', '--remove', 'docsgate');
    assert.ok(!exists('usr/bin/docsgate'));
    assert.ok(exists(CADDYFILE) && exists('etc/docsgate/env'));
    assert.equal(await root.owner('/var/lib/docsgate'), '700 docsgate:docsgate');

    await root.run('dpkg', '--force-confdef', '--force-confold', '--install', '/new.deb');
    assert.ok(exists(ENABLED), 'the service is enabled again');
    assert.deepEqual(await root.whileGateRuns(() => root.keyNames()), ['first']);
  });

  test('purging leaves only the user', async () => {
    await root.run('dpkg', '--purge', 'docsgate');
    assert.equal(await root.run('find', '/etc', '/usr', '/var/lib', '/run', '-name', '*docsgate*'), '');
    assert.match(await root.run('getent', 'passwd', 'docsgate'), /^docsgate:/);
  });

  test('with systemd the service is started, restarted in an upgrade, and stopped', async () => {
    const recorded = root.pretendSystemd();
    const calls = () => recorded().filter((call) => call.startsWith('deb-systemd-invoke')); // others enable the service
    await root.run('dpkg', '--install', '/old.deb');
    assert.deepEqual(calls(), ['deb-systemd-invoke start docsgate.service']);
    await root.run('dpkg', '--install', '/new.deb');
    assert.deepEqual(calls(), ['deb-systemd-invoke try-restart docsgate.service']);
    await root.run('dpkg', '--remove', 'docsgate');
    assert.deepEqual(calls(), ['deb-systemd-invoke stop docsgate.service']);
  });
});
