/** scripts/install on a Debian with nothing on it: from the first run to the last trace. */
import type { ChildProcess } from 'node:child_process';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { waitUntil } from '@swarmd/lab';

import { CleanRoot } from './clean-root.ts';

const BOOT_TIMEOUT_MS = 600_000;
const STEP_TIMEOUT_MS = 400_000;
const ANSWER_TIMEOUT_MS = 90_000;
const ADDRESS = '192.0.2.1';
const CGROUP = '/swarmd-install-test';
const INSTALL = '/opt/checkout/scripts/install';
const CONFIGURATION = `{ "advertiseAddr": "${ADDRESS}", "cgroupParent": "${CGROUP}" }`;

/** Everything that packages and installs may have left, without what changes by itself. */
const ALL_FILES =
  'find / -xdev -path /tmp -prune -o -path /var/log -prune -o -path /var/cache -prune -o -path /var/lib/apt -prune -o -print | sort';

let root: CleanRoot;
let daemon: ChildProcess | undefined;

async function install(...flags: string[]): Promise<string> {
  return root.sh([INSTALL, ...flags].join(' '));
}

async function startDaemon(): Promise<void> {
  daemon = root.start(['swarmd'], 'alone');
  await waitUntil({ what: 'swarmd to answer', timeoutMs: ANSWER_TIMEOUT_MS }, async () => {
    if (daemon?.exitCode !== null) throw new Error('swarmd ended');
    return (await info()).state === 'pending' ? undefined : true;
  });
}

async function stopDaemon(): Promise<void> {
  if (daemon === undefined) return;
  await root.stop(daemon);
  daemon = undefined;
}

interface Info {
  readonly state: string;
  readonly nodeId?: string;
}

async function info(): Promise<Info> {
  const { code, stdout } = await root.exec(['swarmctl', 'info', '--format', 'json'], 'alone');
  return code === 0 ? (JSON.parse(stdout) as Info) : { state: 'pending' };
}

beforeAll(async () => {
  root = await CleanRoot.boot();
}, BOOT_TIMEOUT_MS);

afterAll(async () => {
  await root[Symbol.asyncDispose]();
});

describe('installing', { timeout: STEP_TIMEOUT_MS }, () => {
  it.each([
    ['--nonsense', 'unknown argument "--nonsense" (usage: scripts/install'],
    ['--purge', '--purge goes with --uninstall'],
  ])('refuses %s', async (flag, message) => {
    const { code, stderr } = await root.exec([INSTALL, flag]);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
  });

  it('says that npm is missing, where the checkout is not built, before it changes anything', async () => {
    const before = await root.sh(ALL_FILES);
    const { code, stderr } = await root.exec(['/opt/unbuilt/scripts/install']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/npm is missing: .*apt-get install nodejs npm/);
    expect(await root.sh(ALL_FILES)).toBe(before);
  });

  it('needs neither Node nor npm where the checkout is built, and starts nothing', async () => {
    await root.sh('! command -v node npm');
    const said = await install('--no-start');
    expect(said).toContain('there is no systemd here: start swarmd yourself');
    expect(await root.sh('ls /usr/lib/swarmd/bin')).toBe('node');
    expect(await root.sh('cat /etc/swarmd/swarmd.json')).toBe('{}');
    await root.sh('command -v crun conmon nft conntrack luajit tini zstd ip mount');
    await root.sh('test ! -e /usr/sbin/policy-rc.d');
  });

  it('puts programs into PATH that know their version', async () => {
    const version = await root.sh('swarmd --version');
    expect(version).toMatch(/^swarmd \d+\.\d+\.\d+$/);
    expect(await root.sh('swarmctl --version')).toBe(version.split(' ')[1]);
  });

  it('leaves a swarmctl that says what to do while there is no daemon', async () => {
    const { code, stdout, stderr } = await root.exec(['swarmctl', 'info']);
    expect(code).toBe(4);
    expect(stdout).toBe('');
    expect(stderr).toContain('no daemon at /run/swarmd/swarmd.sock: start swarmd');
  });
});

describe('the unit', { timeout: STEP_TIMEOUT_MS }, () => {
  it('is one that systemd accepts, enabled for the next boot', async () => {
    await root.sh(
      'DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends systemd >/dev/null 2>&1',
    );
    const said = await install();
    expect(said).toContain('swarmd starts with the next boot');
    const { code, stdout, stderr } = await root.exec([
      'systemd-analyze',
      'verify',
      '--man=no',
      'swarmd.service',
    ]);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(await root.sh('systemctl is-enabled swarmd')).toBe('enabled');
  });
});

describe('living with it', { timeout: STEP_TIMEOUT_MS }, () => {
  let nodeId: string | undefined;

  it('runs, as a machine in no cluster', async () => {
    await root.isolate(ADDRESS);
    await root.sh(`echo '${CONFIGURATION}' > /etc/swarmd/swarmd.json`);
    await startDaemon();
    expect(await info()).toMatchObject({ state: 'inactive', address: ADDRESS });
  });

  it('makes a cluster, so no part of the programs is missing', async () => {
    await root.sh('swarmctl swarm init', 'alone');
    ({ nodeId } = await info());
    const ready = await waitUntil(
      { what: 'the node to be ready', timeoutMs: ANSWER_TIMEOUT_MS },
      async () => {
        const { stdout } = await root.exec(['swarmctl', 'node', 'ls', '--format', 'json'], 'alone');
        return stdout.includes('"ready"') ? stdout : undefined;
      },
    );
    expect(JSON.parse(ready)).toMatchObject([{ id: nodeId, status: { state: 'ready' } }]);
  });

  it('upgrades with configuration and membership kept', async () => {
    await install('--no-start');
    expect(await root.sh('cat /etc/swarmd/swarmd.json')).toBe(CONFIGURATION);
    expect(await root.sh('ls /usr/lib')).not.toMatch(/swarmd\.(new|old)/);
    await stopDaemon();
    await startDaemon();
    expect(await info()).toMatchObject({ state: 'active', nodeId });
  });
});

describe('uninstalling', { timeout: STEP_TIMEOUT_MS }, () => {
  it('does not take swarmd from a machine that is in a cluster', async () => {
    const { code, stderr } = await root.exec([INSTALL, '--uninstall'], 'alone');
    expect(code).toBe(1);
    expect(stderr).toContain('leave first (swarmctl swarm leave), or add --purge');
    expect(await info()).toMatchObject({ state: 'active' });
  });

  it('leaves the cluster with --purge, and no trace of swarmd', async () => {
    expect(await root.sh(`${INSTALL} --uninstall --purge`, 'alone')).toContain(
      'swarmd is gone, with its state and configuration',
    );
    const code = await waitUntil(
      { what: 'swarmd to have ended', timeoutMs: ANSWER_TIMEOUT_MS },
      () => daemon?.exitCode ?? undefined,
    );
    expect(code).toBe(0);
    expect(await root.sh("find / -xdev -name '*swarm*' -not -path '/opt/*'")).toBe('');
    expect(await root.sh("find /run -name '*swarm*'")).toBe('');
    expect(await root.sh(`find /sys/fs/cgroup -maxdepth 2 -path '*${CGROUP}'`)).toBe('');
  });

  it('leaves exactly what packages brought, however often', async () => {
    const before = await root.sh(ALL_FILES);
    await install('--no-start');
    await install('--uninstall', '--purge');
    expect(await root.sh(ALL_FILES)).toBe(before);
  });

  it('is no error where there is nothing', async () => {
    expect(await install('--uninstall')).toContain('swarmd is gone');
  });
});
