/** The cluster itself: hosts, membership, identities, who may speak to whom. */
import { describe, expect, it } from 'vitest';

import { ctl, lab, ok, sh } from './support.ts';

interface NodeRow {
  id: string;
  role: string;
  status: { state: string; address: string };
  manager?: { raftId: number };
  description?: { hostname: string };
}

describe('hosts', () => {
  it('are separate machines to the kernel', async () => {
    const kinds = ['net', 'mnt', 'pid', 'uts', 'ipc'];
    for (const kind of kinds) {
      const seen = await Promise.all(
        lab.nodes.map((host) => sh(host, `readlink /proc/1/ns/${kind}`)),
      );
      expect(new Set(seen).size, kind).toBe(lab.nodes.length);
    }
  });

  it('each run one swarmd of their own, with their own state', async () => {
    for (const host of lab.nodes) {
      expect(await host.servicePid('swarmd'), host.name).toBeGreaterThan(1);
      expect(await sh(host, 'stat -c %a /var/lib/swarmd/identity 2>/dev/null || echo none')).toBe(
        '700',
      );
    }
  });
});

describe('membership', () => {
  it('is three managers and two workers, all ready', async () => {
    const nodes = JSON.parse(await ok('node', 'ls', '--format', 'json')) as NodeRow[];
    expect(nodes).toHaveLength(5);
    expect(nodes.filter((node) => node.status.state === 'ready')).toHaveLength(5);
    expect(nodes.filter((node) => node.manager !== undefined)).toHaveLength(3);
  });

  it('shows on every manager alike', async () => {
    const answers = await Promise.all(
      ['m1', 'm2', 'm3'].map(async (host) => {
        const { stdout } = await ctl(host, 'node', 'ls', '--format', 'json');
        return (JSON.parse(stdout) as NodeRow[]).map((node) => node.id).toSorted();
      }),
    );
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
  });

  it('has three Raft voters that replicate', async () => {
    const [status] = JSON.parse(await ok('swarm', 'raft', 'status', '--format', 'json')) as {
      members: { role: string }[];
      commit: number;
    }[];
    expect(status?.members.map((member) => member.role)).toEqual(['voter', 'voter', 'voter']);
    expect(status?.commit).toBeGreaterThan(0);
  });
});

describe('who may speak', () => {
  it('keeps the local sockets to root', async () => {
    for (const host of lab.nodes)
      expect(await sh(host, 'stat -c %a /run/swarmd/swarmd.sock')).toBe('600');
    expect(await sh(lab.host('m1'), 'stat -c %a /run/swarmd/control.sock')).toBe('600');
    expect(await sh(lab.host('w1'), 'ls /run/swarmd | grep -c control.sock || true')).toBe('0');
  });

  it('answers TLS only, with a certificate of the cluster that names node and role', async () => {
    const subject = await sh(
      lab.host('w1'),
      'echo | openssl s_client -connect 10.77.0.11:4242 2>/dev/null | openssl x509 -noout -subject',
    );
    expect(subject).toMatch(/OU = swarm-manager/);
    const plain = await sh(
      lab.host('w1'),
      'printf "GET / HTTP/1.0\\r\\n\\r\\n" | timeout 2 socat - TCP:10.77.0.11:4242 | head -c 20 | wc -c',
    );
    expect(Number(plain)).toBeLessThan(20);
  });

  it('refuses a wrong token and leaves nothing half-made', async () => {
    const before = JSON.parse(await ok('node', 'ls', '--format', 'json')) as NodeRow[];
    const token = (await ok('swarm', 'join-token', '--quiet', 'worker')).trim();
    const wrong = `${token.slice(0, -4)}0000`;
    await lab.client.startService('swarmd', [
      'swarmd',
      '--advertise-addr',
      lab.client.place.address,
      '--cgroup-parent',
      lab.client.cgroupParent,
    ]);
    try {
      await lab.cluster.startDaemon(lab.client);
      const refused = await ctl('c1', 'swarm', 'join', '--token', wrong, '10.77.0.11:4242');
      expect(refused.code).toBe(5);
      expect(refused.stderr).toMatch(/token/);
      // Another digest of the CA: as if the token were of another cluster.
      const [prefix, version, digest = '', secret] = token.split('-');
      const foreign = [prefix, version, digest.split('').toReversed().join(''), secret].join('-');
      const pinned = await ctl('c1', 'swarm', 'join', '--token', foreign, '10.77.0.11:4242');
      expect(pinned.code).not.toBe(0);
      expect(pinned.stderr).toMatch(/CA|certificate/);
      const garbage = await ctl('c1', 'swarm', 'join', '--token', 'nonsense', '10.77.0.11:4242');
      expect(garbage.code).toBe(2);
      const nobody = await ctl('c1', 'swarm', 'join', '--token', token, '10.77.0.250:4242');
      expect(nobody.code).toBe(4);
      const info = JSON.parse((await ctl('c1', 'info', '--format', 'json')).stdout) as {
        state: string;
      };
      expect(info.state).toBe('inactive');
    } finally {
      await lab.client.stopService('swarmd', 'TERM');
    }
    const after = JSON.parse(await ok('node', 'ls', '--format', 'json')) as NodeRow[];
    expect(after.map((node) => node.id).toSorted()).toEqual(
      before.map((node) => node.id).toSorted(),
    );
  });

  it('tells a worker where to go', async () => {
    const { code, stderr } = await ctl('w1', 'node', 'ls');
    expect(code).toBe(5);
    expect(stderr).toMatch(/worker.*manager/);
  });
});
