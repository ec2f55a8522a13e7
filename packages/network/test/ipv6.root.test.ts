/** A network with both families: what containers reach by IPv6, and by which names. */
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
import { Lab, type Host } from './lab/lab.ts';
import { snapshot } from './lab/scenario.ts';
import { ask, eventually, PATIENT, tally } from './lab/traffic.ts';

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
/** On an internal network alone. */
const closed = network('closed', 4099, { ipv6: true, internal: true });
const in1: Placed = { ...on('in1', 1, 30), networks: [closed] };
const backends = [web1, web2].map(gatewayAddressOf);
const [, second = ''] = backends;
const cluster: Cluster = {
  nodes: 2,
  networks: [front, plain, closed],
  tasks: [web1, web2, cli1, in1],
  vips: { web: 2 },
  ports: [
    port('web', 8080, { backends, backends6: backends }),
    port('web', 8080, { backends, backends6: backends, protocol: 'udp' }),
    port('web', 8081, { backends: [second], backends6: [second] }),
    port('web', 8082, { backends, backends6: backends, source: 'snat' }),
    port('web', 8083, { backends, backends6: backends, localOnly: true }),
    port('web', 8085, { backends, backends6: backends, address: '2001:db8:99::1' }),
    port('web', 8086, { backends: [], backends6: [], address: '2001:db8:99::1' }),
    port('old', 8084, { backends, backends6: [] }),
  ],
};
/** Of the hosts and the client on the underlay; of the mesh. */
const [HOST1, HOST2, OUTSIDE] = ['2001:db8:99::1', '2001:db8:99::2', '2001:db8:113::10'];
const mesh = (last: string): string => `fd53:7764:0:1000::${last}`;
const [GATEWAY1, GATEWAY2, CLI1] = [mesh('6440:101'), mesh('6440:201'), mesh('6440:114')];
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
  // The second host hears of ways from a router.
  await hosts[1].sh('ip -6 route add 2001:db8:77::/64 dev eth0 proto ra');
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
}, 180_000);

afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

function hostOf({ node }: Placed): Host {
  return hosts[node === 1 ? 0 : 1];
}

/** socat writes addresses in full: as everybody else does. */
function short(out: string): string {
  return out.replaceAll(/\[([0-9a-f:]{39})\]/g, (_, full: string) => {
    return new URL(`http://[${full}]`).hostname.slice(1, -1);
  });
}

/** A shell line that asks the addresses, one after the other, and prints what was answered. */
function ask6(addresses: readonly string[], port = 80): string {
  const ask = (address: string): string =>
    `socat ${PATIENT} - TCP6:[${address}]:${port},connect-timeout=2 </dev/null 2>&1`;
  return addresses.map((address) => `${ask(address)} || true`).join('; ');
}

async function apply(to: Cluster): Promise<void> {
  await Promise.all(hosts.map((host, i) => host.apply(stateOf(to, i + 1))));
}

/** What the client hears from the addresses, one after the other. */
async function asks(protocol: 'tcp' | 'udp', addresses: readonly string[]): Promise<string> {
  const tcp = addresses.map(
    (address) => `socat ${PATIENT} - TCP6:[${address}]:80,connect-timeout=2 </dev/null 2>&1`,
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

describe('published ports', () => {
  test('answer on every host, and tasks see the client', async () => {
    const asks6 = ask6([HOST1, HOST2, HOST1, HOST2], 8080);
    const { out } = await lab.run('cl', 'sh', '-c', asks6);
    expect(tally(short(out))).toEqual({ [`web1 ${OUTSIDE}`]: 2, [`web2 ${OUTSIDE}`]: 2 });
    const udp = await lab.run('cl', 'sh', '-c', ask('udp', [HOST1, HOST1], { port: 8080 }));
    expect(tally(udp.out)).toEqual({ [`web1 ${OUTSIDE}`]: 1, [`web2 ${OUTSIDE}`]: 1 });
  });

  test('by hosts themselves: ::1, own and others’ addresses', async () => {
    const [one, two] = await Promise.all(
      hosts.map(async (host) => short((await host.sh(ask6(['::1', HOST1, HOST2], 8081))).out)),
    );
    expect(one).toBe(`web2 ${mesh('aff:1')}\nweb2 ${HOST1}\nweb2 ${HOST1}\n`);
    // Its own address would be a stranger's to it: it sees the host that was asked.
    expect(two).toBe(`web2 ${GATEWAY2}\nweb2 ${mesh('aff:1')}\nweb2 ${HOST2}\n`);
  });

  test('with the node’s address, only where a task is, and not without IPv6', async () => {
    const answers = async (port: number): Promise<string> =>
      short((await lab.run('cl', 'sh', '-c', ask6([HOST1, HOST2], port))).out);
    for (const line of (await answers(8082)).trim().split('\n')) {
      expect(line).toMatch(/^web\d fd53:7764:0:1000::(aff|6440):/);
    }
    expect(await answers(8083)).toBe(`web1 ${OUTSIDE}\nweb2 ${OUTSIDE}\n`);
    expect((await answers(8084)).match(/Connection refused/g)).toHaveLength(2);
  });

  test('bound to one address of a host: by that alone, and by no other family', async () => {
    const { out } = await lab.run('cl', 'sh', '-c', ask6([HOST1, HOST1, HOST2], 8085));
    const [one, other, refusal = ''] = short(out).trim().split('\n');
    expect(new Set([one, other])).toEqual(new Set([`web1 ${OUTSIDE}`, `web2 ${OUTSIDE}`]));
    expect(refusal).toContain('Connection refused');
    const by4 = await lab.run('cl', 'sh', '-c', 'socat -T2 - TCP:10.99.0.1:8085 2>&1 || true');
    expect(by4.out).toContain('Connection refused');
    const unserved = await lab.run('cl', 'sh', '-c', ask6([HOST1], 8086));
    expect(unserved.out).toContain('Connection refused');
  });
});

describe('the way out, and what is closed', () => {
  const fromClient = async (script: string): Promise<string> =>
    short((await hosts[0].in('cli1', 'sh', '-c', script)).out);

  test('the outside sees the host; internal networks have no way out', async () => {
    const answer = `SYSTEM:echo out $SOCAT_PEERADDR`;
    lab.start('cl', 'socat', 'TCP6-LISTEN:90,fork,reuseaddr,ipv6only=1', answer);
    await eventually('it serves', async () =>
      (await lab.run('cl', 'ss', '-6Hlnt')).out.includes(':90 '),
    );
    expect(await fromClient(ask6([OUTSIDE], 90))).toBe(`out ${HOST1}\n`);
    const { out } = await hosts[0].in('in1', 'sh', '-c', ask6([OUTSIDE, WEB1, HOST1], 90));
    expect(out).not.toContain('out ');
    expect(out.match(/timed out|unreachable/gi)?.length).toBeGreaterThanOrEqual(2);
  });

  test('no way between containers through their gateways, nor to the control plane', async () => {
    const listen = `exec >/dev/null 2>&1; setsid socat TCP6-LISTEN:4242,fork,reuseaddr PIPE &`;
    for (const host of hosts) {
      await host.sh(listen);
      await eventually('it listens', async () => {
        return (await host.run('ss', '-6Hlnt')).out.includes(':4242 ');
      });
    }
    expect((await hosts[0].sh(ask6([HOST2], 4242))).out).toBe('');
    const ways = [mesh('6440:10b'), mesh('6440:20c')];
    const answers = await Promise.all([
      ...ways.map((address) => fromClient(ask6([address]))),
      ...[HOST1, HOST2, GATEWAY1].map((address) => fromClient(ask6([address], 4242))),
    ]);
    for (const answer of answers) expect(answer).toMatch(/timed out/);
  }, 180_000);

  test('the outside does not reach ways out, nor can a container use another’s address', async () => {
    await lab.run('sw', 'ip', 'route', 'add', 'fd53:7764:0:1000::/96', 'via', HOST1);
    const { out } = await lab.run('cl', 'sh', '-c', ask6([mesh('6440:10b'), GATEWAY1]));
    expect(out).not.toContain('web');
    await lab.run('sw', 'ip', 'route', 'del', 'fd53:7764:0:1000::/96');
    const spoof = async (own: string): Promise<string> =>
      fromClient(`ip addr add ${own}/128 dev gw0 nodad; ping -6 -c1 -W1 -I ${own} ${OUTSIDE}
        ip addr del ${own}/128 dev gw0`);
    expect(await spoof(mesh('6440:10b'))).toContain('0 received');
    expect(await fromClient(`ping -6 -c1 -W2 -I ${CLI1} ${OUTSIDE}`)).toContain('1 received');
  });

  test('a container does not tell others, or the host, where to route', async () => {
    const inside = 'cat /proc/sys/net/ipv6/conf/{eth0,gw0}/accept_ra';
    expect((await hosts[0].in('cli1', 'bash', '-c', inside)).out).toBe('0\n0\n');
    const { out } = await hosts[0].run('bash', '-c', 'cat /proc/sys/net/ipv6/conf/swg*/accept_ra');
    expect(new Set(out.trim().split('\n'))).toEqual(new Set(['0']));
  });
});

test('a host goes on hearing of ways from routers, though it forwards', async () => {
  const settings = async (host: Host): Promise<string> => {
    const files = 'cat /proc/sys/net/ipv6/conf/{all/forwarding,eth0/accept_ra}';
    return (await host.run('bash', '-c', files)).out;
  };
  expect(await settings(hosts[1])).toBe('1\n2\n');
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
  for (const [i, host] of hosts.entries()) await becomes(host, before[i]);
});
