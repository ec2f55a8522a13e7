/** Managers as operators handle them: promoted, demoted, moved, lost, and restarted on purpose. */
import { afterAll, describe, expect, it } from 'vitest';

import {
  BUSYBOX,
  ctl,
  lab,
  leader,
  ok,
  okOn,
  remove,
  sh,
  tasks,
  until,
  untilRunning,
} from './support.ts';

interface NodeRow {
  readonly id: string;
  readonly spec: { readonly role: string };
  readonly description?: { readonly hostname: string; readonly dataPathAddress?: string };
  readonly status: { readonly state: string; readonly address: string; readonly message: string };
  readonly manager?: { readonly apiAddress: string };
}

const nodes = async (asking = 'm1'): Promise<NodeRow[]> =>
  JSON.parse((await ctl(asking, 'node', 'ls', '--format', 'json')).stdout || '[]') as NodeRow[];

async function node(name: string, asking = 'm1'): Promise<NodeRow | undefined> {
  return (await nodes(asking)).find((row) => row.description?.hostname === name);
}

async function raft(asking: string): Promise<{ role: string; address: string }[]> {
  const { code, stdout } = await ctl(asking, 'swarm', 'raft', 'status', '--format', 'json');
  if (code !== 0) return [];
  return (JSON.parse(stdout) as [{ members: { role: string; address: string }[] }])[0].members;
}

function untilVoters(asking: string, count: number): Promise<true> {
  return until(`${count} voters as ${asking} sees them`, async () => {
    const members = await raft(asking);
    return members.length === count && members.every(({ role }) => role === 'voter')
      ? true
      : undefined;
  });
}

const otherThan = (name: string): string => (name === 'm1' ? 'm2' : 'm1');

describe('roles', () => {
  afterAll(async () => {
    await ok('node', 'promote', 'm1', 'm2', 'm3');
    await untilVoters('m1', 3);
  });

  it('a worker becomes a manager while its tasks go on, and a worker again', async () => {
    const flags = ['--name', 'steady', '--constraint', 'node.hostname==w1'];
    await ok('service', 'create', ...flags, BUSYBOX, 'sleep', '100000');
    const [before] = await untilRunning('steady', 1);
    await ok('node', 'promote', 'w1');
    await untilVoters('m1', 4);
    await until('w1 to answer as a manager', async () =>
      (await nodes('w1')).length === 5 ? true : undefined,
    );
    await ok('node', 'demote', 'w1');
    await untilVoters('m1', 3);
    await until('w1 to be a worker', async () =>
      (await ctl('w1', 'info')).stdout.includes('worker') ? true : undefined,
    );
    expect((await untilRunning('steady', 1)).map(({ id }) => id)).toEqual([before?.id]);
    await remove('steady');
  });

  it('the leader hands over when it is demoted, and says that it was; where quorum would be lost, the reason is told', async () => {
    const led = await leader();
    const asked = otherThan(led);
    expect(await ctl(led, 'node', 'demote', led)).toMatchObject({ code: 0 });
    await untilVoters(asked, 2);
    const [other = ''] = ['m1', 'm2', 'm3'].filter((name) => name !== led && name !== asked);
    await lab.kill(other);
    const refused = await until('the loss to be noticed', async () => {
      const outcome = await ctl(asked, 'node', 'demote', asked);
      return outcome.code === 0 ? undefined : outcome;
    });
    expect(refused.stderr).toMatch(/quorum would be lost|no leader/);
    await lab.heal(other);
    await lab.cluster.startDaemon(lab.host(other));
    await untilVoters(asked, 2);
    await until('it can be promoted again', async () =>
      (await ctl(asked, 'node', 'promote', led)).code === 0 ? true : undefined,
    );
    await untilVoters(asked, 3);
  });
});

describe('scenario 27: writes while the leader is killed', () => {
  const names = Array.from({ length: 12 }, (_, at) => `once-${at}`);
  afterAll(async () => {
    for (const name of names) await ctl('m1', 'config', 'rm', name);
  });

  it('happen exactly once, and are never told that their own name is taken', async () => {
    const led = await leader();
    const asked = otherThan(led);
    await sh(lab.host(asked), 'echo x > /run/once.txt');
    const writes = names.map((name) => ctl(asked, 'config', 'create', name, '/run/once.txt'));
    await lab.kill(led);
    const outcomes = await Promise.all(writes);
    await lab.heal(led);
    await lab.cluster.allReady(lab.host('m1'));
    expect(outcomes.map(({ stderr }) => stderr).join('')).not.toContain('exists');
    const listed = JSON.parse(await okOn(asked, 'config', 'ls', '--format', 'json')) as {
      id: string;
      spec: { name: string };
    }[];
    // One that reported success is there with the id it was told; one that did not, at most once.
    const wrong = outcomes.filter(({ code, stdout }, at) => {
      const found = listed.filter(({ spec }) => spec.name === names[at]);
      return code === 0 ? found.map(({ id }) => id).join() !== stdout.trim() : found.length > 1;
    });
    expect(wrong).toEqual([]);
    expect(outcomes.filter(({ code }) => code === 0).length).toBeGreaterThan(0);
  });
});

describe('a daemon that restarts on purpose', () => {
  afterAll(async () => {
    await lab.cluster.startDaemon(lab.host('w2'));
    await lab.cluster.allReady(lab.host('m1'));
    await remove('patient');
  });

  it('says so, and keeps its tasks longer than one that crashes', async () => {
    const flags = ['--name', 'patient', '--constraint', 'node.hostname==w2'];
    await ok('service', 'create', ...flags, BUSYBOX, 'sleep', '100000');
    const [before] = await untilRunning('patient', 1);
    await lab.host('w2').stopService('swarmd', 'TERM');
    const away = await until('the managers to know', async () => {
      const row = await node('w2');
      return row?.status.message.includes('restarts') === true ? row : undefined;
    });
    expect(away.status.state).toBe('ready');
    await lab.cluster.startDaemon(lab.host('w2'));
    await until('it to be back', async () =>
      (await node('w2'))?.status.message === '' ? true : undefined,
    );
    expect((await tasks('patient')).map(({ id }) => id)).toEqual([before?.id]);
  });
});

describe('a machine that goes down', () => {
  // Mounted over a folder of the PATH: hosts share the machine's, and no other one goes down.
  const folder = '/usr/local/sbin';
  afterAll(async () => {
    await sh(lab.host('w2'), `umount ${folder}`);
    await lab.cluster.startDaemon(lab.host('w2'));
    await lab.cluster.allReady(lab.host('m1'));
  });

  it('is down as soon as it is silent: nobody waits for its daemon', async () => {
    const script = String.raw`#!/bin/sh
echo stopping
exit 1
`;
    const made = `printf '${script}' > ${folder}/systemctl; chmod 755 ${folder}/systemctl`;
    await sh(lab.host('w2'), `mount -t tmpfs tmpfs ${folder} && { ${made}; }`);
    await lab.host('w2').stopService('swarmd', 'TERM');
    const seen = new Set<string>();
    await until('it to be down', async () => {
      const row = await node('w2');
      seen.add(row?.status.message ?? '');
      return row?.status.state === 'down' ? true : undefined;
    });
    expect([...seen].join()).not.toContain('restarts');
  });
});

describe('all other managers lost for good', () => {
  it('one goes on alone; those that come back become workers, and can be promoted', async () => {
    const held = await ctl('m1', 'swarm', 'init', '--force-new-cluster');
    expect(held).toMatchObject({ code: 5, stderr: expect.stringContaining('a quorum') as string });
    await lab.kill('m2');
    await lab.kill('m3');
    const stale = await until('the quorum to be gone', async () => {
      if ((await ctl('m1', 'node', 'ls')).code === 0) return undefined;
      return ctl('m1', 'node', 'ls', '--stale');
    });
    expect(stale).toMatchObject({ code: 0, stderr: expect.stringContaining('stale:') as string });
    expect(await raft('m1')).toHaveLength(3);
    const { address } = lab.host('m1').place;
    const alone = ['swarm', 'init', '--force-new-cluster', '--data-path-addr', address];
    expect(await ctl('m1', ...alone)).toMatchObject({ code: 0 });
    await untilVoters('m1', 1);
    await until('its data path to be known', async () => {
      const { description } = (await node('m1')) ?? {};
      return description?.dataPathAddress === address ? true : undefined;
    });
    for (const name of ['m2', 'm3']) await lab.heal(name);
    for (const name of ['m2', 'm3']) await lab.cluster.startDaemon(lab.host(name));
    await until('both to be back as workers', async () => {
      const rows = await Promise.all(['m2', 'm3'].map((name) => ctl(name, 'info')));
      return rows.every(({ stdout }) => stdout.includes('worker')) ? true : undefined;
    });
    await ok('node', 'promote', 'm2', 'm3');
    await untilVoters('m1', 3);
    await lab.cluster.allReady(lab.host('m1'));
  });
});

describe('a manager at another address', () => {
  const host = lab.host('m3');
  const home = host.place.address;
  const away = home.replace(/\.\d+$/, '.213');
  const move = async (from: string, to: string): Promise<void> => {
    const dev = await sh(host, `ip -o -4 addr show | awk '/${from}\\// {print $2}'`);
    const bits = await sh(
      host,
      `ip -o -4 addr show dev ${dev} | sed 's/.*inet [^/]*.\\([0-9]*\\).*/\\1/'`,
    );
    await host.stopService('swarmd', 'KILL');
    // The kernel drops the default route along with the address that its gateway was reached by.
    await sh(
      host,
      `route=$(ip -4 route show default)
      ip addr del ${from}/${bits} dev ${dev} && ip addr add ${to}/${bits} dev ${dev} && ip route replace $route`,
    );
  };
  afterAll(async () => {
    await move(away, home);
    await lab.cluster.startDaemon(host);
    await lab.cluster.allReady(lab.host('m1'));
  });

  it('tells the others, who reach it there; workers learn it', async () => {
    await move(home, away);
    await host.startService('swarmd', [
      'swarmd',
      '--advertise-addr',
      away,
      '--cgroup-parent',
      host.cgroupParent,
      '--insecure-registry',
      lab.layout.registryEndpoint,
    ]);
    await until('the managers to know the new address', async () =>
      (await raft('m1')).some(({ address }) => address.startsWith(`${away}:`)) ? true : undefined,
    );
    await until('it to answer', async () => ((await nodes('m3')).length === 5 ? true : undefined));
    await until('a worker to know it', async () =>
      (await sh(lab.host('w1'), 'cat /var/lib/swarmd/agent/known-managers.json')).includes(away)
        ? true
        : undefined,
    );
  });
});
