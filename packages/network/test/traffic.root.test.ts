import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { CLIENT, client, inner, other, Scenario, web } from './lab/scenario.ts';
import { ask, eventually, tally, who } from './lab/traffic.ts';

let s: Scenario;

beforeAll(async () => {
  s = await Scenario.open();
}, 180_000);

afterAll(async () => {
  await s?.[Symbol.asyncDispose]();
});

describe('what the kernel has', () => {
  test('forwarding and neighbour entries of remote endpoints only', async () => {
    const fdb = (await s.hosts[0].run('bridge', '-n', 'swarm-ovl', 'fdb', 'show', 'dev', 'vx4097'))
      .out;
    expect(fdb).toContain('02:42:0a:00:01:0c dst 10.99.0.2');
    expect(fdb).toContain('02:42:0a:00:01:0c master br4097 static');
    expect(fdb).not.toContain('02:42:0a:00:01:0b');
    const neighbours = await s.hosts[0].run(
      'ip',
      '-n',
      'swarm-ovl',
      'neigh',
      'show',
      'dev',
      'br4097',
    );
    expect(neighbours.out).toContain('10.0.1.12 lladdr 02:42:0a:00:01:0c PERMANENT');
  });

  test('addresses in the container, overlay first', async () => {
    const { out } = await s.hosts[0].in('cli1', 'ip', '-4', '-br', 'addr');
    expect(out).toMatch(/eth0@\S+ +UP +10\.0\.1\.20\/24/);
    expect(out).toMatch(/gw0@\S+ +UP +100\.64\.1\.20\/32/);
    const link = await s.hosts[0].in('cli1', 'cat', '/proc/sys/net/ipv4/conf/gw0/route_localnet');
    expect(link.out.trim()).toBe('1');
    expect((await s.hosts[0].in('cli1', 'ip', 'link', 'show', 'eth0')).out).toContain('mtu 1450');
  });

  test('one mark, table and rule per other node, index above 255 included', async () => {
    const { out } = await s.hosts[0].run('ip', 'rule', 'show');
    expect(out).toContain('fwmark 0x5a00012c lookup 1509949740');
    expect((await s.hosts[0].run('ip', 'route', 'show', 'table', '1509949740')).out).toContain(
      'default via 10.255.1.44 dev ing0',
    );
  });
});

describe('between containers', () => {
  test.each(['tcp', 'udp'] as const)('%s to every task by address', async (protocol) => {
    const script = ask(
      protocol,
      web.map((one) => `10.0.1.${one.host}`),
    );
    expect((await s.from(client, script)).out.trim().split('\n')).toEqual(
      web.map((one) => `${one.id} 10.0.1.20`),
    );
  });

  test('large packets and pings', async () => {
    const { out } = await s.from(
      client,
      'ping -c1 -W2 -M do -s 1422 10.0.1.12; ping -c1 -W2 -s 6000 10.0.1.13',
    );
    expect(out.match(/1 received/g)).toHaveLength(2);
  });

  test.each(['tcp', 'udp'] as const)('%s to the virtual address is balanced', async (protocol) => {
    const { out } = await s.from(client, ask(protocol, '10.0.1.2', { count: 6 }));
    expect(tally(out)).toEqual({ 'web1 10.0.1.20': 2, 'web2 10.0.1.20': 2, 'web3 10.0.1.20': 2 });
  });

  test('a task may be its own backend', async () => {
    const { out } = await s.from(web[0], ask('tcp', '10.0.1.2', { count: 3 }));
    expect(tally(who(out))).toEqual({ web1: 1, web2: 1, web3: 1 });
  });

  test('no way between networks, nor through the gateways', async () => {
    const targets = ['10.0.1.11', '100.64.1.11', '100.64.2.12', '10.0.2.30'];
    expect((await s.from(inner, ask('tcp', targets.slice(0, 3)))).out).toBe('');
    expect((await s.from(client, ask('tcp', targets.slice(1)))).out).toBe('');
  }, 180_000);
});

describe('names', () => {
  test('services, tasks, slots and aliases of the own networks', async () => {
    const names = ['web', 'WWW', 'tasks.web', '3.web', 'oth', 'web.1.web1', 'inner', 'tasks.nope'];
    expect(await s.dig(client, names)).toEqual({
      web: [0, '10.0.1.2'],
      WWW: [0, '10.0.1.2'],
      'tasks.web': [0, '10.0.1.11', '10.0.1.12', '10.0.1.13'],
      '3.web': [0, '10.0.1.13'],
      oth: [0, '10.0.1.21'],
      'web.1.web1': [0, '10.0.1.11'],
      inner: [3],
      'tasks.nope': [3],
    });
  });

  test('over TCP, no AAAA but no error, reverse, the outside by the second upstream', async () => {
    expect(await s.dig(client, ['tasks.web'], { transport: 'tcp' })).toEqual({
      'tasks.web': [0, '10.0.1.11', '10.0.1.12', '10.0.1.13'],
    });
    expect(await s.dig(client, ['web'], { type: 'AAAA' })).toEqual({ web: [0] });
    expect(await s.dig(client, ['12.1.0.10.in-addr.arpa'], { type: 'PTR' })).toEqual({
      '12.1.0.10.in-addr.arpa': [0, 'web.2.web2'],
    });
    expect(await s.dig(client, ['example.org'])).toEqual({ 'example.org': [0, '192.0.2.53'] });
    expect(await s.dig(inner, ['inner', 'example.org'])).toEqual({
      inner: [0, '10.0.2.30'],
      'example.org': [3],
    });
  });
});

describe('published ports', () => {
  test.each(['tcp', 'udp'] as const)(
    '%s: every host answers, tasks see the client',
    async (protocol) => {
      for (const host of s.hosts) {
        const { out } = await s.lab.run(
          'cl',
          'sh',
          '-c',
          ask(protocol, host.address, { port: 8080, count: 3 }),
        );
        expect(tally(out), `through ${host.address}`).toEqual({
          [`web1 ${CLIENT}`]: 1,
          [`web2 ${CLIENT}`]: 1,
          [`web3 ${CLIENT}`]: 1,
        });
      }
    },
  );

  test('one client port through all hosts at once', async () => {
    const connections = s.hosts.map(({ address }) => {
      const target = `TCP:${address}:8082,sourceport=50123,reuseaddr,reuseport`;
      return s.lab.start('cl', 'socat', '-', target);
    });
    for (const round of ['a', 'b']) {
      const answers = connections.map(async (connection) => {
        const line = new Promise<string>((resolve) => {
          connection.stdout.once('data', (data: Buffer) => resolve(data.toString()));
          connection.once('close', () => resolve('closed'));
        });
        connection.stdin.write(`${round}\n`);
        return line;
      });
      expect(await Promise.all(answers)).toEqual([`${round}\n`, `${round}\n`, `${round}\n`]);
    }
    for (const connection of connections) connection.stdin.end();
  });

  test.each(['tcp', 'udp'] as const)(
    '%s from hosts: loopback, own and others’ addresses',
    async (protocol) => {
      const targets = ['127.0.0.1', ...s.hosts.map(({ address }) => address)];
      const published = protocol === 'tcp' ? 8081 : 8083;
      const script = ask(protocol, targets, { port: published });
      for (const host of s.hosts) {
        const { out } = await host.sh(script);
        expect(tally(who(out)), `on ${host.address}`).toEqual({ web2: 4 });
      }
    },
  );

  test('from containers, to the own host and to others, their own task included', async () => {
    const script = ask(
      'tcp',
      s.hosts.map(({ address }) => address),
      { port: 8081 },
    );
    for (const one of [client, other, web[1]]) {
      const { out } = await s.from(one, script);
      expect(tally(who(out)), `from ${one.id}`).toEqual({ web2: 3 });
    }
  });

  test('a task of an internal network only', async () => {
    for (const { address } of s.hosts) {
      const { out } = await s.outside(ask('tcp', address, { port: 8091 }));
      expect(out).toBe(`inn1 ${CLIENT}\n`);
    }
  });

  test('without a backend the connection is refused at once', async () => {
    const { err } = await s.lab.run(
      'cl',
      'socat',
      '-',
      `TCP:${s.hosts[2].address}:8090,connect-timeout=2`,
    );
    expect(err).toContain('Connection refused');
  });
});

describe('the way out, and what is closed', () => {
  beforeAll(async () => {
    await s.lab.run(
      'cl',
      'sh',
      '-c',
      "setsid socat TCP-LISTEN:80,fork,reuseaddr 'SYSTEM:echo out $SOCAT_PEERADDR' >/dev/null 2>&1 </dev/null &",
    );
    for (const netns of ['h1', 'h3']) {
      await s.lab.run(
        netns,
        'sh',
        '-c',
        'setsid socat TCP-LISTEN:4242,fork,reuseaddr SYSTEM:"echo control" >/dev/null 2>&1 </dev/null &',
      );
      await eventually('it listens', async () =>
        (await s.lab.run(netns, 'ss', '-Hlnt')).out.includes(':4242 '),
      );
    }
  });

  test('the outside sees the host; internal networks have no way out', async () => {
    const question = ask('tcp', CLIENT);
    await eventually(
      'the outside serves',
      async () => (await s.lab.run('h1', 'sh', '-c', question)).out !== '',
    );
    expect((await s.from(client, question)).out).toBe('out 10.99.0.1\n');
    expect((await s.from(inner, question)).out).toBe('');
  });

  test('containers do not reach the control plane', async () => {
    const control = (...addresses: string[]): string => ask('tcp', addresses, { port: 4242 });
    expect((await s.lab.run('h1', 'sh', '-c', control('10.99.0.1'))).out).toBe('control\n');
    const targets = ['10.99.0.1', '100.64.1.1', '10.99.0.3'];
    expect((await s.from(client, control(...targets))).out).toBe('');
  });

  test('the outside does not reach containers or the name server directly', async () => {
    await s.lab.run('sw', 'ip', 'route', 'add', '100.64.1.0/24', 'via', '10.99.0.1');
    expect((await s.outside(ask('tcp', '100.64.1.11'))).out).toBe('');
    expect((await s.outside(ask('tcp', '100.64.1.1', { port: 53 }))).out).toBe('');
    await s.lab.run('sw', 'ip', 'route', 'del', '100.64.1.0/24');
  });

  test('a container cannot send from another address', async () => {
    await s.hosts[0].in('cli1', 'ip', 'addr', 'add', '100.64.1.99/32', 'dev', 'gw0');
    const spoofed = 'ping -c1 -W1 -I 100.64.1.99 203.0.113.10';
    expect((await s.from(client, spoofed)).out).toContain('0 received');
    await s.hosts[0].in('cli1', 'ip', 'addr', 'del', '100.64.1.99/32', 'dev', 'gw0');
  });

  test('VXLAN packets of strangers are dropped', async () => {
    const dropped = async (): Promise<string> =>
      (await s.hosts[0].run('nft', 'list', 'chain', 'ip', 'swarmd', 'tunnel')).out;
    expect(await dropped()).toContain('ip saddr != @nodes fib daddr type local drop');
    // A stranger that claims to be a remote endpoint: an ICMP echo for cli1 in VNI 4097.
    await s.lab.run(
      'cl',
      'ip',
      'link',
      'add',
      'vx9',
      'type',
      'vxlan',
      'id',
      '4097',
      'remote',
      '10.99.0.1',
      'dstport',
      '4789',
    );
    await s.lab.run(
      'cl',
      'sh',
      '-c',
      'ip link set vx9 up; ip addr add 10.0.1.77/24 dev vx9; ip neigh replace 10.0.1.20 lladdr 02:42:0a:00:01:14 dev vx9',
    );
    const before = await echosSeen();
    await s.lab.run('cl', 'ping', '-c2', '-W1', '-i0.2', '10.0.1.20');
    expect(await echosSeen()).toBe(before);
    await s.lab.run('cl', 'ip', 'link', 'del', 'vx9');
  });
});

/** How many pings the client container has received. */
async function echosSeen(): Promise<string | undefined> {
  const { out } = await s.from(client, 'grep ^Icmp: /proc/net/snmp');
  const [names = [], values = []] = out.split('\n').map((line) => line.split(' '));
  return values[names.indexOf('InEchos')];
}
