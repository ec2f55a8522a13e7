import { asId, type Network } from '@swarmd/model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { becomes } from './lab/becomes.ts';
import {
  gatewayAddressOf,
  network,
  port,
  stateOf,
  task,
  type Cluster,
  type Placed,
} from './lab/cluster.ts';
import type { Lab } from './lab/lab.ts';
import { back, base, client, front, placed, Scenario, web } from './lab/scenario.ts';
import { ask, eventually, tally } from './lab/traffic.ts';

let s: Scenario;

beforeAll(async () => {
  s = await Scenario.open();
}, 180_000);

afterAll(async () => {
  await s?.[Symbol.asyncDispose]();
});

type Starter = (...argv: string[]) => Promise<ReturnType<Lab['start']>>;

/** A connection that echoes; `say` resolves with the echo, or how it ended. */
async function echo(start: Starter, target: string) {
  const connection = await start('socat', '-', `TCP:${target},connect-timeout=3`);
  let said = '';
  let closed = false;
  connection.stderr.on('data', (data: Buffer) => (said += data.toString()));
  connection.once('close', () => (closed = true));
  return {
    say: (word: string) =>
      new Promise<string>((resolve) => {
        const end = (): void => resolve(`closed: ${said}`);
        if (closed) end();
        connection.stdout.once('data', (data: Buffer) => resolve(data.toString().trim()));
        connection.once('close', end);
        connection.stdin.write(`${word}\n`);
      }),
    end: () => void connection.stdin.end(),
  };
}

describe('changes', () => {
  const inClient: Starter = (...argv) => s.lab.startIn(s.hosts[0], 'cli1', ...argv);
  const outside: Starter = async (...argv) => s.lab.start('cl', ...argv);
  const onlyWeb3 = {
    vips: { web: 2 },
    ports: [port('web', 8082, { backends: [gatewayAddressOf(web[2])], targetPort: 81 })],
  };

  test('connections to a node that is lost live on while it answers, and end when it is dead', async () => {
    // By the third host alone, so that none of its packets goes elsewhere.
    const far: Cluster = {
      ...base,
      ...onlyWeb3,
      tasks: placed.map((one) => ({ ...one, serving: one.id === 'web3' })),
    };
    await s.apply(far);
    const vip = await echo(inClient, '10.0.1.2:81');
    const mesh = await echo(outside, '10.99.0.1:8082');
    expect([await vip.say('a'), await mesh.say('a')]).toEqual(['a', 'a']);
    const lost: Cluster = {
      ...base,
      tasks: placed.map((one) => ({ ...one, serving: one.id !== 'web3' })),
      ports: [port('web', 8082, { backends: [gatewayAddressOf(web[1])], targetPort: 81 })],
      down: [3],
    };
    await s.hosts[0].apply(stateOf(lost, 1));
    // Another life of the daemon does not know who served when the node was last heard of.
    await s.hosts[0].close();
    await s.hosts[0].open();
    await s.hosts[0].apply(stateOf(lost, 1));
    const tracked = async (): Promise<string> => {
      const vips = 'conntrack -L -p tcp --orig-dst 10.0.1.2 --reply-src 10.0.1.13';
      const ports = 'conntrack -L -p tcp --orig-port-dst 8082 --reply-src 100.65.44.13';
      return (await s.from(client, vips)).out + (await s.hosts[0].sh(ports)).out;
    };
    await s.hosts[0].guard();
    expect([await vip.say('b'), await mesh.say('b')]).toEqual(['b', 'b']);
    expect((await tracked()).trim().split('\n')).toHaveLength(2);
    await s.lab.run('sw', 'ip', 'link', 'set', 'p3', 'down');
    await s.hosts[0].guard();
    await eventually('they are forgotten', async () => (await tracked()).trim() === '');
    expect([await vip.say('c'), await mesh.say('c')]).toEqual([
      expect.stringContaining('closed'),
      expect.stringContaining('closed'),
    ]);
    await s.lab.run('sw', 'ip', 'link', 'set', 'p3', 'up');
    vip.end();
    mesh.end();
    await s.apply(base);
  }, 180_000);

  test('connections live on when their backend is drained, and end when it is gone', async () => {
    const with3: Cluster = {
      ...base,
      ...onlyWeb3,
      tasks: placed.map((one) => ({ ...one, serving: one.id === 'web3' })),
    };
    await s.apply(with3);
    const vip = await echo(inClient, '10.0.1.2:81');
    const mesh = await echo(outside, '10.99.0.1:8082');
    expect([await vip.say('a'), await mesh.say('a')]).toEqual(['a', 'a']);

    const drained: Cluster = {
      ...base,
      tasks: placed.map((one) => ({ ...one, serving: one.id !== 'web3' })),
      ports: [port('web', 8082, { backends: [gatewayAddressOf(web[1])], targetPort: 81 })],
    };
    await s.apply(drained);
    expect([await vip.say('b'), await mesh.say('b')]).toEqual(['b', 'b']);
    const { out } = await s.from(client, ask('tcp', '10.0.1.2', { count: 4 }));
    expect(tally(out)).toEqual({ 'web1 10.0.1.20': 2, 'web2 10.0.1.20': 2 });
    expect(await s.dig(client, ['tasks.web', '3.web'])).toEqual({
      'tasks.web': [0, '10.0.1.11', '10.0.1.12'],
      '3.web': [0],
    });

    await s.hosts[2].crash('web3');
    await s.hosts[2].detach('web3');
    await s.apply({ ...drained, tasks: drained.tasks.filter(({ id }) => id !== 'web3') });
    const tracked = 'conntrack -L -p tcp --orig-dst 10.0.1.2 --reply-src 10.0.1.13';
    await eventually('the container forgot', async () => {
      return (await s.from(client, tracked)).out.trim() === '';
    });
    expect(await vip.say('c')).toContain('closed');
    expect(await mesh.say('c')).toContain('closed');
    vip.end();
    mesh.end();
  }, 180_000);

  test('a service without backends refuses at once', async () => {
    await s.apply({ ...base, tasks: placed.map((one) => ({ ...one, serving: false })) });
    const { err } = await s.hosts[0].in('cli1', 'socat', '-', 'TCP:10.0.1.2:80,connect-timeout=3');
    expect(err).toContain('refused');
  });

  test('the daemon restarts: connections live on, damage is repaired, tasks are known', async () => {
    const two: Cluster = { ...base, tasks: placed.filter(({ id }) => id !== 'web3') };
    await s.apply(two);
    const vip = await echo(inClient, '10.0.1.2:81');
    const mesh = await echo(outside, '10.99.0.1:8082');
    expect([await vip.say('a'), await mesh.say('a')]).toEqual(['a', 'a']);
    await Promise.all(s.hosts.map((host) => host.close()));
    expect([await vip.say('b'), await mesh.say('b')]).toEqual(['b', 'b']);
    await s.hosts[0].sh(`
      bridge -n swarm-ovl fdb del 02:42:0a:00:01:0c dev vx4097 master
      bridge -n swarm-ovl fdb add 02:42:0a:00:01:63 dev vx4097 dst 10.99.0.3 self static
      ip -n swarm-ovl neigh del 10.0.1.12 dev br4097
      ip route add 100.99.9.0/24 dev ing0 proto 90
      ip rule del pref 23040
      echo 0 > /proc/sys/net/ipv4/conf/ing0/rp_filter
      ip -n swarm-ovl link set vx4098 nomaster
      ip netns add swt-half`);
    await Promise.all(s.hosts.map((host) => host.open()));
    expect((await s.hosts[0].attached()).sort()).toEqual(['cli1', 'inn1', 'web1']);
    await s.apply(two);
    expect([await vip.say('c'), await mesh.say('c')]).toEqual(['c', 'c']);
    const h1 = async (script: string): Promise<string> => (await s.hosts[0].sh(script)).out;
    const fdb = await h1('bridge -n swarm-ovl fdb show dev vx4097');
    expect(fdb).toContain('02:42:0a:00:01:0c master br4097 static');
    expect(fdb).not.toContain('02:42:0a:00:01:63');
    expect(await h1('ip -n swarm-ovl neigh')).toContain(
      '10.0.1.12 dev br4097 lladdr 02:42:0a:00:01:0c PERM',
    );
    expect(await h1('ip route show proto 90')).not.toContain('100.99.9.0');
    expect(await h1('ip rule')).toContain('goto 23042');
    expect(await h1('cat /proc/sys/net/ipv4/conf/ing0/rp_filter')).toBe('2\n');
    expect(await h1('ip -n swarm-ovl link show vx4098')).toContain('master br4098');
    expect(await h1('ls /run/netns')).not.toContain('swt-half');
    expect((await s.from(client, ask('tcp', '10.0.1.2'))).out).toMatch(/^web[12] 10.0.1.20$/m);
    vip.end();
    mesh.end();
  }, 180_000);

  test('a network that left the state stays until its last container is detached', async () => {
    await s.hosts[0].apply(stateOf({ ...base, networks: [front] }, 1));
    const links = async (): Promise<string> =>
      (await s.hosts[0].run('ip', '-n', 'swarm-ovl', '-br', 'link')).out;
    expect(await links()).toContain('br4098');
    await s.hosts[0].detach('inn1');
    expect(await links()).not.toContain('4098');
  });

  test('attach waits for the state that names the network', async () => {
    const late = network('late', 4200);
    const one: Placed = { ...client, id: 'late1', host: 40, networks: [late] };
    const attached = s.hosts[0].attach(task(one));
    await s.hosts[0].apply(stateOf({ ...base, networks: [front, late] }, 1));
    expect((await attached).addresses).toEqual(['10.0.104.40/24', '100.64.1.40/32']);
    expect(await s.hosts[0].attach(task(one))).toEqual(await attached);
    await s.hosts[0].detach('late1');
    await s.hosts[0].detach('late1');
  });

  test('the doctor says what is wrong and at which hop, and repairs what can be', async () => {
    const far: Placed = { ...client, id: 'far3', node: 3, service: 'far', host: 77 };
    await s.apply({ ...base, tasks: [web[0], client, far] });
    await s.hosts[2].attach(task(far));
    const wrong = async (repair = false): Promise<Record<string, string>> => {
      const findings = await s.hosts[0].check(repair);
      expect(findings.length).toBeGreaterThanOrEqual(6);
      const bad = findings.filter(({ details }) => details.length > 0);
      return Object.fromEntries(bad.map(({ subject, details }) => [subject, details.join('|')]));
    };
    expect(await wrong()).toEqual({});
    await s.hosts[0].sh(`
      ip -n swarm-ovl neigh del 10.0.1.77 dev br4097
      bridge -n swarm-ovl fdb add 02:42:0a:00:01:63 dev vx4097 dst 10.99.0.3 self static
      nft delete element ip swarmd nodes { 10.99.0.3 }
      nsenter --net=/run/netns/swt-cli1 nft flush chain ip swarmd vip_10_0_1_2`);
    expect(await wrong()).toEqual({
      'devices, entries and routes': expect.stringMatching(
        /missing: .*10\.0\.1\.77.*unexpected: .*02:42:0a:00:01:63/,
      ),
      'rules of the host': 'missing: set nodes: 10.99.0.3',
      'rules of cli.1': expect.stringMatching(/^missing: chain vip_10_0_1_2: dnat to 10\.0\.1\.11/),
      'cli.1 reaches far.1 (10.0.1.77)': expect.stringMatching(
        /^container to container: .*UDP 4789/,
      ),
      'web.1 reaches far.1 (10.0.1.77)': expect.stringMatching(/^container to container/),
    });
    expect(await wrong(true)).toEqual({});
    const about = await s.hosts[0].check(false, { serviceId: asId('service', 'web') });
    expect(Object.fromEntries(about.map((one) => [one.subject, one.wanted]))).toMatchObject({
      'rules of cli.1': expect.arrayContaining([
        'chain vip_10_0_1_2: dnat to 10.0.1.11',
        'map vip4: 10.0.1.2 : jump vip_10_0_1_2',
      ]),
      'rules of the host': expect.arrayContaining(['map ports: tcp . 8080 : jump port_tcp_8080']),
    });
    expect(JSON.stringify(about)).not.toMatch(/8091|10\.0\.1\.3\b/);
    // As on a node that joined with a route into a network that was there before.
    await s.lab.run('h1', 'ip', 'route', 'add', '10.0.1.64/26', 'via', '10.99.0.254');
    const hidden = {
      'networks of this machine': expect.stringContaining('10.0.1.64/26 is a part'),
    };
    expect(await wrong()).toEqual(hidden);
    const told = async (one: Network): Promise<string[]> =>
      (await s.hosts[0].check(false, { networkId: one.id })).map(({ subject }) => subject);
    expect(await told(front)).toContain('networks of this machine');
    expect(await told(back)).not.toContain('networks of this machine');
    await s.lab.run('h1', 'ip', 'route', 'del', '10.0.1.64/26');
    await s.lab.run('sw', 'ip', 'link', 'set', 'p3', 'down');
    expect(Object.values(await wrong())).toEqual([
      expect.stringMatching(/^node to node: TCP 4244 of 10\.99\.0\.3 does not answer/),
      expect.stringMatching(/^node to node/),
    ]);
    await s.lab.run('sw', 'ip', 'link', 'set', 'p3', 'up');
    await eventually('the way is back', async () => Object.keys(await wrong()).length === 0);
    await s.hosts[2].detach('far3');
  }, 240_000);

  test('a network gets one more subnet: old and new containers reach each other', async () => {
    const spec = { ...front.spec, moreSubnets: ['10.0.201.0/24'] };
    const cluster: Cluster = { ...base, networks: [{ ...front, spec }, back] };
    const far: Placed = { ...client, id: 'far3', node: 3, service: 'far', host: 77 };
    const address = '10.0.201.5';
    const [endpoint] = stateOf({ ...base, tasks: [far] }, 3).endpoints;
    await Promise.all(
      s.hosts.map((host, i) => {
        const state = stateOf(cluster, i + 1);
        return host.apply({
          ...state,
          endpoints: [...state.endpoints, { ...endpoint!, address }],
        });
      }),
    );
    const made = task(far);
    const networks = made.networks.map((one) => ({ ...one, address: `${address}/24` }));
    await s.hosts[2].attach({ ...made, networks });
    await s.hosts[2].serve('far3');
    expect((await s.from(client, ask('tcp', address))).out).toBe('far3 10.0.1.20\n');
    expect((await s.from(far, ask('tcp', '10.0.1.12'))).out).toBe(`web2 ${address}\n`);
    await s.hosts[2].detach('far3');
    await s.apply(base);
  }, 180_000);

  test.each([
    'nft flush ruleset',
    'nft flush table ip swarmd',
    'nft flush chain ip swarmd pre_nat',
  ])('somebody does "%s": the rules come back at once', async (flush) => {
    await s.apply({ ...base, tasks: placed.filter(({ id }) => id !== 'web3') });
    await s.hosts[0].sh(flush);
    const question = ask('tcp', s.hosts[0].address, { port: 8081 });
    await eventually('the port answers', async () => (await s.outside(question)).out !== '');
    expect((await s.hosts[0].run('nft', 'list', 'tables')).out).toContain('table ip swarmd');
  });

  test('somebody does "iptables -F" where a firewall drops what is forwarded', async () => {
    await s.hosts[0].sh('iptables -P FORWARD DROP');
    const passed = async (): Promise<boolean> =>
      (await s.hosts[0].sh('iptables -S FORWARD')).out.includes('--comment swarmd');
    await eventually('our rules to be there', passed);
    await s.hosts[0].sh('iptables -F');
    await eventually('our rules to be there again', passed);
    expect((await s.hosts[0].sh('iptables -S FORWARD')).out).toContain('-P FORWARD DROP');
    await s.hosts[0].sh('iptables -P FORWARD ACCEPT');
  });

  test('nodes leave and join, ports come and go, one change at a time', async () => {
    const states = [
      { ...base, nodes: 2, ports: [] },
      { ...base, nodes: 1 },
      { ...base, ports: base.ports.slice(2) },
    ];
    for (const cluster of states) await s.hosts[0].apply(stateOf(cluster, 1));
    const program = async (): Promise<string> =>
      (await s.hosts[0].sh('nft -s list table ip swarmd')).out;
    const incremental = await program();
    await s.hosts[0].sh('nft delete table ip swarmd');
    await eventually('the table is back', async () => (await program()) !== '');
    expect(await program()).toBe(incremental);
  });

  test('many at once: attaches, detaches, states', async () => {
    const many = Array.from({ length: 12 }, (_, i): Placed => {
      return { ...client, id: `many${i}`, host: 100 + i, networks: [front] };
    });
    const half = many.slice(0, 6);
    await Promise.all([
      ...many.map((one) => s.hosts[0].attach(task(one))),
      ...many.map((_, i) => s.hosts[0].apply(stateOf({ ...base, tasks: many.slice(i) }, 1))),
      ...half.map((one) => s.hosts[0].attach(task(one)).then(() => s.hosts[0].detach(one.id))),
      s.hosts[0].apply(stateOf({ ...base, tasks: [...placed, ...many] }, 1)),
    ]);
    expect((await s.hosts[0].attached()).filter((id) => id.startsWith('many'))).toHaveLength(6);
    for (const { id } of many.slice(6)) {
      const rules = await s.hosts[0].in(id, 'nft', 'list', 'chain', 'ip', 'swarmd', 'vip_10_0_1_2');
      expect(rules.out).toContain('10.0.1.13');
      await s.hosts[0].detach(id);
    }
  });

  test('a firewall that begins to drop what is forwarded gets rules for us', async () => {
    await s.apply(base);
    await s.hosts[0].sh('iptables -P FORWARD DROP');
    await eventually('the port answers', async () => {
      return (await s.outside(ask('tcp', s.hosts[0].address, { port: 8081 }))).out !== '';
    });
    expect((await s.hosts[0].run('iptables', '-S', 'FORWARD')).out).toContain('-P FORWARD DROP');
    await s.hosts[0].sh('nft delete table ip filter');
  });

  test.each([
    ['policy drop', 'drop'],
    // As firewalld's chains end.
    ['policy accept', 'accept', 'reject with icmpx type admin-prohibited'],
  ])('so does a chain of nftables with %s %s', async (_, policy, last = '') => {
    const rules = `ct state established,related accept; ${last}`;
    const chain = (hook: string): string =>
      `chain ${hook} { type filter hook ${hook} priority 10; policy ${policy}; ${rules}; }`;
    await s.hosts[0].sh(`nft 'table inet others { ${chain('input')}; ${chain('forward')}; }'`);
    await eventually('our rules to be there', async () => {
      const { out } = await s.hosts[0].sh('nft list table inet others');
      return ['udp dport 53 accept', 'oifname "swg*" accept'].every((rule) => out.includes(rule));
    });
    expect((await s.outside(ask('tcp', s.hosts[0].address, { port: 8081 }))).out).not.toBe('');
    expect(await s.dig(client, ['web'])).toEqual({ web: [0, '10.0.1.2'] });
    await s.hosts[0].sh('nft delete table inet others');
  });

  test('the foreign firewall got rules for us', async () => {
    const { out } = await s.hosts[1].run('iptables', '-S', 'FORWARD');
    expect(out).toContain('-A FORWARD -o swg+ -m comment --comment swarmd -j ACCEPT');
    const nft = await s.hosts[2].sh('nft list table inet filter');
    expect(nft.out).toContain('udp dport 4789 accept comment "swarmd"');
  });

  test('destroy leaves nothing', async () => {
    await Promise.all(s.hosts.map((host) => host.destroy()));
    for (const [i, host] of s.hosts.entries()) {
      await becomes(host, s.before[i]);
      expect(host.log).toBe('');
    }
  });
});
