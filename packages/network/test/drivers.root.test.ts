/** Networks that are no overlays: what containers on them have and reach. */
import { afterAll, beforeAll, expect, test } from 'vitest';

import { becomes } from './lab/becomes.ts';
import { network, stateOf, task, type Cluster, type Placed } from './lab/cluster.ts';
import { Lab, type Host } from './lab/lab.ts';
import { snapshot } from './lab/scenario.ts';
import { ask } from './lab/traffic.ts';

const here = network('here', 4097, { driver: 'bridge' });
const wire = network('wire', 0, { driver: 'macvlan', parent: 'eth0', subnet: '10.98.0.0/24' });
const lost = network('lost', 0, { driver: 'macvlan', parent: 'eth7', subnet: '10.97.0.0/24' });
const none = network('none', 0, { driver: 'none' });
const host = network('host', 0, { driver: 'host' });

/** "here2" is the task of service "here" on node 2. */
const on = (id: string, last: number, network: Placed['networks'][number]): Placed => ({
  id,
  node: Number(id.at(-1)),
  service: id.slice(0, -1),
  slot: Number(id.at(-1)),
  host: last,
  networks: [network],
});
const near = [on('here1', 11, here), on('cli1', 12, here), on('here2', 13, here)] as const;
const wired = [on('wire1', 21, wire), on('wire2', 22, wire)] as const;
const cluster: Cluster = {
  nodes: 2,
  networks: [here, wire, lost, none, host],
  tasks: [...near, ...wired],
  vips: { here: 2, wire: 3 },
  ports: [],
};

let lab: Lab;
let hosts: readonly [Host, Host];
let before: string[];

beforeAll(async () => {
  lab = await Lab.open(2);
  hosts = lab.hosts as unknown as readonly [Host, Host];
  before = await Promise.all(hosts.map(snapshot));
  await lab.run('sw', 'ip', 'addr', 'add', '10.98.0.254/24', 'dev', 'lan');
  await Promise.all(hosts.map((host) => host.open()));
  await Promise.all(hosts.map((host, i) => host.apply(stateOf(cluster, i + 1))));
  for (const one of cluster.tasks) await hostOf(one).attach(task(one));
  await Promise.all([near[0], near[2], ...wired].map((one) => hostOf(one).serve(one.id)));
}, 180_000);

afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

function hostOf({ node }: Placed): Host {
  return hosts[node === 1 ? 0 : 1];
}

test('bridge: tasks of the own node only, by address and by virtual address', async () => {
  const question = ask('tcp', ['10.0.1.11', '10.0.1.13', '10.0.1.2', '10.0.1.2']);
  const { out } = await hosts[0].in('cli1', 'sh', '-c', question);
  expect(out).toBe('here1 10.0.1.12\n'.repeat(3));
  const links = (await hosts[0].run('ip', '-n', 'swarm-ovl', '-br', 'link')).out;
  expect(links).toContain('br4097');
  expect(links).not.toContain('vx');
  expect((await hosts[0].in('cli1', 'ip', 'link', 'show', 'eth0')).out).toContain('mtu 1500');
});

test('macvlan: on the wire of the hosts, seen with the own address', async () => {
  const { out } = await hosts[0].in('wire1', 'sh', '-c', ask('tcp', '10.98.0.22'));
  expect(out).toBe('wire2 10.98.0.21\n');
  const fromWire = await lab.run('sw', 'sh', '-c', ask('tcp', ['10.98.0.21', '10.98.0.22']));
  expect(fromWire.out).toBe('wire1 10.98.0.254\nwire2 10.98.0.254\n');
  const balanced = await hosts[0].in('wire1', 'sh', '-c', ask('tcp', '10.98.0.3', { count: 2 }));
  expect(balanced.out.split('\n').toSorted()).toEqual(['', 'wire1 10.98.0.21', 'wire2 10.98.0.21']);
});

test('macvlan: an interface that the node does not have is named', async () => {
  const placed = on('lost1', 31, lost);
  await expect(hosts[0].attach(task(placed))).rejects.toThrow(/eth7/);
  expect(await hosts[0].attached()).not.toContain('lost1');
});

test('none: a loopback interface, no name server', async () => {
  const attachment = await hosts[0].attach(task(on('none1', 41, none)));
  expect(attachment).toMatchObject({ addresses: [], resolver: { nameservers: [] } });
  const { out } = await hosts[0].in('none1', 'ip', '-br', 'link');
  expect(out).toMatch(/^lo .*\n$/);
  await hosts[0].close();
  await hosts[0].open();
  expect(await hosts[0].attached()).toContain('none1');
  await hosts[0].apply(stateOf(cluster, 1));
  await hosts[0].detach('none1');
});

test('no network at all: a way out, and the doctor knows it by name', async () => {
  const bare: Placed = { ...on('bare1', 43, here), networks: [] };
  await hosts[0].attach(task(bare));
  const subjects = (await hosts[0].check()).map(({ subject }) => subject);
  expect(subjects).toContain('rules of bare.1');
  await hosts[0].detach('bare1');
});

test('host: the node’s own interfaces and name servers', async () => {
  const attachment = await hosts[0].attach(task(on('host1', 42, host)));
  expect(attachment).toMatchObject({ namespace: '/run/netns/swarm-host', addresses: [] });
  const inside = ['nsenter', `--net=${attachment.namespace}`, 'ip', '-br', 'addr'];
  expect((await hosts[0].run(...inside)).out).toBe((await hosts[0].run('ip', '-br', 'addr')).out);
  await hosts[0].detach('host1');
});

test('the doctor finds nothing wrong, and nothing is left in the end', async () => {
  const findings = await Promise.all(hosts.map((host) => host.check()));
  expect(findings.flat().filter(({ details }) => details.length > 0)).toEqual([]);
  expect(findings.flat().map(({ subject }) => subject)).toContain(
    'wire.1 reaches wire.2 (10.98.0.22)',
  );
  await Promise.all(hosts.map((host) => host.destroy()));
  for (const [i, host] of hosts.entries()) await becomes(host, before[i]);
});
