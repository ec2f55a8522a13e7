/** Ways to publish a port, and ways to choose among tasks: what clients and tasks see of them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { becomes } from './lab/becomes.ts';
import { gatewayAddressOf, port, type Cluster, type Placed } from './lab/cluster.ts';
import { base, CLIENT, client, Scenario, web } from './lab/scenario.ts';
import { ask, eventually, PATIENT, tally, who } from './lab/traffic.ts';

let s: Scenario;
const all = web.map(gatewayAddressOf);
const nodes = ['10.99.0.1', '10.99.0.2', '10.99.0.3'];
const SCTP = `${import.meta.dirname}/lab/sctp.py`;
const [first] = web;

const cluster: Cluster = {
  ...base,
  ports: [
    port('web', 8100, { backends: all, address: '10.99.0.2' }),
    port('web', 8100, { backends: [gatewayAddressOf(first)], address: '127.0.0.1' }),
    port('web', 8101, { backends: all, source: 'snat' }),
    port('web', 8102, { backends: all, localOnly: true }),
    port('web', 8103, { backends: [gatewayAddressOf(first)], localOnly: true }),
    port('web', 8104, { backends: all, protocol: 'sctp' }),
    port('web', 8105, { backends: all, affinity: 'client-ip' }),
    port('web', 80, { backends: all }),
    port('web', 81, { backends: all, targetPort: 81 }),
  ],
};

beforeAll(async () => {
  s = await Scenario.open();
  await s.apply(cluster);
  for (const one of web) {
    await s.lab.startIn(s.hostOf(one), one.id, 'python3', SCTP, 'serve', one.id, '80');
    // A raw socket of protocol 132.
    await eventually('it serves SCTP', async () =>
      (await s.hostOf(one).in(one.id, 'cat', '/proc/net/raw')).out.includes(':0084 '),
    );
  }
}, 180_000);

afterAll(async () => {
  await s?.[Symbol.asyncDispose]();
});

/** Who answers the client outside at each node, with what it saw of it; "" where nobody does. */
async function answers(published: number, of: readonly string[] = nodes): Promise<string[]> {
  const each = of.map(async (address) => {
    const { out } = await s.outside(ask('tcp', address, { port: published }));
    return out.trim();
  });
  return Promise.all(each);
}

describe('published ports', () => {
  test('bound to an address: no other answers', async () => {
    expect((await answers(8100)).map((text) => text !== '')).toEqual([false, true, false]);
    const own = await s.hosts[0].sh(ask('tcp', ['127.0.0.1', '10.99.0.1'], { port: 8100 }));
    expect(who(own.out)).toBe('web1\n');
  });

  test('with the node’s address instead of the client’s', async () => {
    const seen = (await answers(8101, [...nodes, ...nodes])).map((text) => text.split(' ')[1]);
    for (const address of seen) expect(address).toMatch(/^(10\.255\.\d+\.\d+|100\.6[45]\.\d+\.1)$/);
    expect(seen).not.toContain(CLIENT);
  });

  test('only where a task is: by that task, refused elsewhere', async () => {
    expect(await answers(8102)).toEqual(web.map(({ id }) => `${id} ${CLIENT}`));
    expect(await answers(8103)).toEqual([`web1 ${CLIENT}`, '', '']);
    const { err } = await s.outside(`socat - TCP:10.99.0.2:8103,connect-timeout=2`);
    expect(err).toContain('Connection refused');
  });

  test('a range: each leads to the same port of a task, by one chain for all', async () => {
    const echo = (node: string): string => `printf hello | socat ${PATIENT} - TCP:${node}:81`;
    const chains = async (): Promise<string> =>
      (await s.hosts[0].sh('nft list chains ip | grep -c "chain ports_tcp"')).out.trim();
    expect(await chains()).toBe('1');
    expect((await answers(80)).map((text) => text.split(' ')[1])).toEqual(nodes.map(() => CLIENT));
    const said = await Promise.all(nodes.map(async (node) => (await s.outside(echo(node))).out));
    expect(said).toEqual(['hello', 'hello', 'hello']);
    const ports = cluster.ports.map((one) =>
      one.targetPort === one.publishedPort ? { ...one, backends: [gatewayAddressOf(first)] } : one,
    );
    await s.apply({ ...cluster, ports });
    expect(await answers(80)).toEqual(nodes.map(() => `web1 ${CLIENT}`));
    // Tasks of their own: chains of their own.
    const apart = ports.map((one) => (one.publishedPort === 81 ? { ...one, backends: all } : one));
    await s.apply({ ...cluster, ports: apart });
    expect(await chains()).toBe('0');
    expect(await answers(80)).toEqual(nodes.map(() => `web1 ${CLIENT}`));
    await s.apply(cluster);
  });

  test('SCTP: every node answers, tasks see the client', async () => {
    const script = `python3 ${SCTP} ask ${nodes
      .flatMap((one) => [one, one, one])
      .map((one) => `${one}:8104`)
      .join(' ')}`;
    const { out } = await s.outside(script);
    const lines = tally(out);
    expect(lines).toEqual(Object.fromEntries(web.map(({ id }) => [`${id} ${CLIENT}`, 3])));
  });
});

describe('clients that stay', () => {
  const sticky = (backends: readonly Placed[]): Cluster => ({
    ...cluster,
    ports: [
      ...cluster.ports,
      port('web', 8106, {
        backends: backends.map(gatewayAddressOf),
        affinity: 'client-ip',
        affinityTimeoutMs: 60_000,
      }),
    ],
  });

  test('with one task, whichever node they come by', async () => {
    const seen = await answers(8105, [...nodes, ...nodes]);
    expect(new Set(seen).size).toBe(1);
  });

  test('remembered while tasks come, and moved when theirs goes', async () => {
    const [hashed = ''] = await answers(8105);
    const before = web.find(({ id }) => !hashed.startsWith(id)) ?? first;
    await s.apply(sticky([before]));
    expect(await answers(8106)).toEqual(nodes.map(() => `${before.id} ${CLIENT}`));
    await s.apply(sticky(web));
    expect(await answers(8106)).toEqual(nodes.map(() => `${before.id} ${CLIENT}`));
    const findings = await s.hosts[0].check(false);
    expect(findings.flatMap(({ details }) => details)).toEqual([]);
    await s.apply(sticky(web.filter((one) => one !== before)));
    const after = await answers(8106);
    expect(new Set(after)).toEqual(new Set([hashed]));
  });

  test('at a virtual address', async () => {
    const question = ask('tcp', '10.0.1.2', { count: 6 });
    expect(Object.keys(tally((await s.from(client, question)).out))).toHaveLength(3);
    for (const timeout of [0, 60_000]) {
      await s.apply({ ...cluster, affinity: { web: timeout } });
      expect(Object.keys(tally((await s.from(client, question)).out))).toHaveLength(1);
    }
  });
});

test('a virtual address answers pings while a task serves', async () => {
  const ping = 'ping -c3 -i0.2 -W1 10.0.1.2';
  expect((await s.from(client, ping)).out).toContain('3 received');
  const idle = { ...cluster, tasks: base.tasks.map((one) => ({ ...one, serving: false })) };
  await s.apply(idle);
  await eventually('no answer', async () =>
    (await s.from(client, ping)).out.includes('0 received'),
  );
  expect((await s.from(client, ping)).out).toContain('Port Unreachable');
});

test('nothing is left in the end, of SCTP neither', async () => {
  await s.apply(cluster);
  await s.outside(`python3 ${SCTP} ask 10.99.0.1:8104 10.99.0.2:8104 10.99.0.3:8104`);
  const tracked = 'conntrack -L -o extended 2>/dev/null | grep -c zone';
  const zones = await Promise.all(s.hosts.map(async (host) => (await host.sh(tracked)).out.trim()));
  expect(zones.some((count) => Number(count) > 0)).toBe(true);
  await Promise.all(s.hosts.map((host) => host.destroy()));
  for (const [i, host] of s.hosts.entries()) await becomes(host, s.before[i]);
});
