/** A network with both families: what containers reach by IPv6, and by which names. */
import { afterAll, beforeAll, expect, test } from 'vitest';

import { network, stateOf, task, type Cluster, type Placed } from './lab/cluster.ts';
import { Lab, type Host } from './lab/lab.ts';
import { snapshot } from './lab/scenario.ts';
import { ask, eventually, tally } from './lab/traffic.ts';

const front = network('front', 4097, { ipv6: true });
const plain = network('plain', 4098);
const on = (id: string, node: number, host: number): Placed => ({
  id,
  node,
  host,
  service: id.slice(0, -1),
  slot: node,
  networks: [front, plain],
});
const [web1, web2, cli1] = [on('web1', 1, 11), on('web2', 2, 12), on('cli1', 1, 20)];
const cluster: Cluster = {
  nodes: 2,
  networks: [front, plain],
  tasks: [web1, web2, cli1],
  vips: { web: 2 },
  ports: [],
};
const ip = (last: string): string => `fd53:7764:0:1001::a00:1${last}`;
const [WEB1, WEB2, VIP] = [ip('0b'), ip('0c'), ip('02')];
/** The client, as socat writes it and as everybody else does. */
const [LONG, SHORT] = ['[fd53:7764:0000:1001:0000:0000:0a00:0114]', ip('14')];

let lab: Lab;
let hosts: readonly [Host, Host];
let before: string[];

beforeAll(async () => {
  lab = await Lab.open(2);
  hosts = lab.hosts as unknown as readonly [Host, Host];
  before = await Promise.all(hosts.map(snapshot));
  await Promise.all(hosts.map((host) => host.open()));
  await apply(cluster);
  for (const one of cluster.tasks) await hostOf(one).attach(task(one));
  for (const one of [web1, web2]) {
    const answer = `SYSTEM:echo ${one.id} $SOCAT_PEERADDR`;
    const server = 'TCP6-LISTEN:80,fork,reuseaddr,ipv6only=1';
    await lab.startIn(hostOf(one), one.id, 'socat', server, answer);
    const script = `${import.meta.dirname}/lab/udp-server.ts`;
    await lab.startIn(hostOf(one), one.id, process.execPath, script, one.id, 'udp6');
    await eventually('it serves', async () => {
      const { out } = await hostOf(one).in(one.id, 'ss', '-6Hlntu');
      return /tcp.*:80 /.test(out) && /udp.*:80 /.test(out);
    });
  }
}, 60_000);

afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

function hostOf({ node }: Placed): Host {
  return hosts[node === 1 ? 0 : 1];
}

async function apply(to: Cluster): Promise<void> {
  await Promise.all(hosts.map((host, i) => host.apply(stateOf(to, i + 1))));
}

/** What the client hears from the addresses, one after the other. */
async function asks(protocol: 'tcp' | 'udp', addresses: readonly string[]): Promise<string> {
  const tcp = addresses.map(
    (address) => `socat -T2 - TCP6:[${address}]:80,connect-timeout=2 </dev/null 2>&1`,
  );
  const script = protocol === 'udp' ? ask('udp', addresses) : tcp.join('; ');
  const { out } = await hosts[0].in('cli1', 'sh', '-c', script);
  return out.replaceAll(LONG, SHORT);
}

test.each(['tcp', 'udp'] as const)('%s to every task, and to the virtual address', async (of) => {
  expect(await asks(of, [WEB1, WEB2])).toBe(`web1 ${SHORT}\nweb2 ${SHORT}\n`);
  expect(tally(await asks(of, [VIP, VIP, VIP, VIP]))).toEqual({
    [`web1 ${SHORT}`]: 2,
    [`web2 ${SHORT}`]: 2,
  });
});

test('pings, and large packets', async () => {
  const { out } = await hosts[0].in(
    'cli1',
    'sh',
    '-c',
    `ping -6 -c1 -W2 ${VIP}; ping -6 -c1 -W2 -M do -s 1402 ${WEB2}; ping -6 -c1 -W2 -s 4000 ${WEB2}`,
  );
  expect(out.match(/1 received/g)).toHaveLength(3);
});

test('neighbours are pushed, and the namespace of the bridges has no address', async () => {
  const inside = async (...argv: string[]) =>
    (await hosts[0].run('ip', '-6', '-n', 'swarm-ovl', ...argv)).out;
  expect(await inside('neigh')).toContain(`${WEB2} dev br4097 lladdr 02:42:0a:00:01:0c PERMANENT`);
  expect(await inside('-o', 'addr', 'show', 'scope', 'link')).toBe('');
  expect(await inside('-o', 'addr', 'show', 'scope', 'global')).toBe('');
});

test('names of both families, and of IPv4 alone', async () => {
  const dig = async (type: string, ...names: string[]) => {
    const script = `${import.meta.dirname}/lab/dig.ts`;
    const argv = [process.execPath, script, '127.0.0.11', 'udp', type, ...names];
    const { out } = await hosts[0].in('cli1', 'timeout', '10', ...argv);
    return out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { data: string[] });
  };
  const [vip, tasks] = await dig('AAAA', 'web', 'tasks.web');
  expect([vip?.data, tasks?.data.toSorted()]).toEqual([[VIP], [WEB1, WEB2]]);
  const nibbles = 'c.0.1.0.0.0.a.0.0.0.0.0.0.0.0.0.1.0.0.1.0.0.0.0.4.6.7.7.3.5.d.f.ip6.arpa';
  expect((await dig('PTR', nibbles))[0]?.data).toEqual(['web.2.web2']);
});

test('a service without tasks refuses at once; the doctor finds nothing wrong', async () => {
  const findings = await Promise.all(hosts.map((host) => host.check()));
  expect(findings.flat().filter(({ details }) => details.length > 0)).toEqual([]);
  await apply({ ...cluster, tasks: cluster.tasks.map((one) => ({ ...one, serving: false })) });
  expect(await asks('tcp', [VIP])).toContain('Connection refused');
});

test('the daemon restarts and repairs; nothing is left in the end', async () => {
  await hosts[0].close();
  await hosts[0].run('ip', '-n', 'swarm-ovl', 'neigh', 'del', WEB2, 'dev', 'br4097');
  await hosts[0].open();
  await apply(cluster);
  expect(await asks('tcp', [WEB2])).toBe(`web2 ${SHORT}\n`);
  const { out } = await hosts[0].run('ip', '-6', '-n', 'swarm-ovl', 'neigh');
  expect(out).toContain(WEB2);
  await Promise.all(hosts.map((host) => host.destroy()));
  for (const [i, host] of hosts.entries()) expect(await snapshot(host)).toBe(before[i]);
});
