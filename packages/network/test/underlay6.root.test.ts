/** Hosts that send each other containers' packets by IPv6; the containers and the mesh have IPv4. */
import { afterAll, beforeAll, expect, test } from 'vitest';

import { addressOn, stateOf, task, type Cluster } from './lab/cluster.ts';
import { Lab, type Host } from './lab/lab.ts';
import { base, client, CLIENT, front, web } from './lab/scenario.ts';
import { ask } from './lab/traffic.ts';

const server = web[1];
const cluster: Cluster = {
  ...base,
  nodes: 2,
  tasks: [client, server],
  networks: [front],
  ports: base.ports.filter(({ publishedPort }) => publishedPort === 8081),
  dataPath6: true,
};
/** Nobody between them would carry VXLAN by IPv4. */
const ONLY_IPV6 = 'iptables -I INPUT -p udp --dport 4789 -j DROP';

let lab: Lab;
let hosts: readonly [Host, Host];
beforeAll(async () => {
  lab = await Lab.open(2);
  hosts = lab.hosts as unknown as typeof hosts;
  // A foreign firewall that lets nothing in but neighbours and what was asked for.
  await hosts[1].sh(`
    ip6tables -P INPUT DROP; ip6tables -P FORWARD DROP; ip6tables -A INPUT -p ipv6-icmp -j ACCEPT
    ip6tables -A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT`);
  for (const host of hosts) {
    await host.sh(ONLY_IPV6);
    await host.open();
  }
  await Promise.all(hosts.map((host, i) => host.apply(stateOf(cluster, i + 1))));
  await Promise.all([hosts[0].attach(task(client)), hosts[1].attach(task(server))]);
  await hosts[1].serve(server.id);
}, 180_000);

afterAll(() => lab?.[Symbol.asyncDispose]());

test('a task, its virtual address and its published port are reached, by the clients’ own addresses', async () => {
  const own = addressOn(front, client.host);
  const targets = [addressOn(front, server.host), addressOn(front, 2)];
  const inside = await hosts[0].in(client.id, 'sh', '-c', ask('tcp', targets));
  expect(inside.out).toBe(`${server.id} ${own}\n`.repeat(2));
  const outside = await lab.run('cl', 'sh', '-c', ask('tcp', '10.99.0.1', { port: 8081 }));
  expect(outside.out).toBe(`${server.id} ${CLIENT}\n`);
});

test('packets are as large as the header of IPv6 leaves room for, and no larger', async () => {
  const { out } = await hosts[0].in(client.id, 'ip', 'link', 'show', 'eth0');
  expect(out).toContain('mtu 1430');
  const ping = (bytes: number) =>
    hosts[0].in(
      client.id,
      'ping',
      '-c1',
      '-W2',
      '-Mdo',
      `-s${bytes}`,
      addressOn(front, server.host),
    );
  expect((await ping(1_402)).out).toContain('1 received');
  expect((await ping(1_403)).out).not.toContain('1 received');
});

test('the doctor finds all as it should be, also after a restart', async () => {
  const findings = await hosts[0].check();
  expect(findings.flatMap(({ details }) => details)).toEqual([]);
  await hosts[0].close();
  const before = (await hosts[0].sh('ip -d link show ing0; bridge fdb show dev ing0')).out;
  expect(before).toContain('local 2001:db8:99::1');
  await hosts[0].open();
  await hosts[0].apply(stateOf(cluster, 1));
  expect((await hosts[0].sh('ip -d link show ing0; bridge fdb show dev ing0')).out).toBe(before);
});

test('VXLAN packets of strangers are dropped', async () => {
  const vxlan = 'type vxlan id 4097 remote 2001:db8:99::1 dstport 4789';
  const host = addressOn(front, client.host);
  const mac = '02:42:0a:00:01:14';
  const echos = async (): Promise<string> =>
    (await hosts[0].in(client.id, 'grep', '^Icmp: [0-9]', '/proc/net/snmp')).out;
  const before = await echos();
  await lab.run(
    'cl',
    'sh',
    '-ec',
    `
    ip link add vx9 ${vxlan}; ip link set vx9 up; ip addr add 10.0.1.77/24 dev vx9
    ip neigh replace ${host} lladdr ${mac} dev vx9`,
  );
  const rule = 'insert rule ip6 swarmd pre_raw ip6 saddr 2001:db8:113::10 udp dport 4789 counter';
  await hosts[0].sh(`nft ${rule}`);
  await lab.run('cl', 'ping', '-c2', '-W1', '-i0.2', host);
  const seen = await hosts[0].sh('nft list chain ip6 swarmd pre_raw');
  expect(seen.out).toMatch(/counter packets [1-9]/);
  expect(await echos()).toBe(before);
});

test('a node that sends by IPv4 is none that packets go to', async () => {
  const { out } = await hosts[0].sh('ip route get 100.64.2.12');
  expect(out).toContain('dev ing0');
  const state = stateOf(cluster, 1);
  const peers = state.peers.map((peer) => ({ ...peer, dataPathAddress: '' }));
  await hosts[0].apply({ ...state, peers });
  const left = await hosts[0].sh('bridge fdb show dev ing0; ip -n swarm-ovl neigh show dev br4097');
  expect(left.out).not.toMatch(/10\.99\.0\.2|10\.0\.1\.12/);
  const [first] = await hosts[0].check();
  expect(first?.subject).toBe('data paths of other nodes');
  expect(first?.details[0]).toBe('node node2 has 10.99.0.2, this one has 2001:db8:99::1');
  await hosts[0].apply(state);
});
