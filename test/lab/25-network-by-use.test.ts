/**
 * Ways to publish and kinds of networks, as people use them: clients that stay, ports that stay, ranges,
 * SCTP, subnets that cannot be, services that come to a network and leave it, wires of the hosts.
 */
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Host } from '@swarmd/lab';
import type { Node, Task } from '@swarmd/model';

import { startLoad } from './load/start-load.ts';
import {
  BUSYBOX,
  ctl,
  hostOf,
  inTask,
  lab,
  LONG,
  NGINX,
  ok,
  pidOf,
  remove,
  service,
  sh,
  until,
  untilRunning,
} from './support.ts';

const SCTP = fileURLToPath(new URL('../../packages/network/test/lab/sctp.py', import.meta.url));
const [FIRST, LAST] = [7_200, 7_209];
const SCTP_PORT = 7_300;
/** Published later. */
const ADDED = 7_400;
const LOAD_PORT = 8_092;
/** Enough that both of two tasks get some, whatever their addresses are: the hash of each is known. */
const CLIENTS = 16;
/** Every task serves its own name, at 80 and at each port of the range. */
const SERVE = `mkdir /www; hostname >/www/name
  for port in 80 $(seq ${FIRST} ${LAST}); do httpd -p $port -h /www; done; exec sleep 100000`;

const bare = (address: string): string => address.split('/')[0] ?? address;
const addressOf = (task: Task): string => bare(task.networks[0]?.address ?? '');

/** Containers end at once, unless flags say otherwise. */
async function create(name: string, ...rest: string[]): Promise<void> {
  await ok('service', 'create', '--name', name, '--stop-signal', 'SIGKILL', ...rest);
}

/** Who answers clients outside, one line for each; "" where nobody does. */
async function ask(urls: readonly string[], from = ''): Promise<string[]> {
  const each = urls.map((url) => `curl -s ${from} --max-time 20 http://${url}/name || echo`);
  return (await sh(lab.client, each.join('; '))).split('\n');
}

describe('a service with a range, a port that is chosen, and clients that stay', () => {
  const nodes = lab.nodes.map(({ place }) => place.address);
  const range = `${FIRST}-${LAST}:${FIRST}-${LAST}`;
  const chosen = async (): Promise<number> => {
    const { endpoint } = await service('ways');
    const of80 = endpoint.ports.filter(({ targetPort }) => targetPort === 80);
    return of80.find(({ publishedPort }) => publishedPort !== ADDED)?.publishedPort ?? 0;
  };
  const everywhere = (...ports: number[]): string[] =>
    nodes.flatMap((node) => ports.map((port) => `${node}:${port}`));
  let port: number;
  let own: string;
  let device: string;
  let more: string[];

  beforeAll(async () => {
    await ok('network', 'create', 'ways');
    const publish = [range, '80', `${SCTP_PORT}:${SCTP_PORT}/sctp`];
    const ports = publish.flatMap((one) => ['--publish', one]);
    const flags = `--replicas 2 --network ways --endpoint-affinity client-ip
      --update-parallelism 0 --update-monitor 100ms`.split(/\s+/);
    await create('ways', ...flags, ...ports, BUSYBOX, 'sh', '-c', SERVE);
    await create('asker', '--network', 'ways', BUSYBOX, 'sleep', '100000');
    await untilRunning('ways', 2);
    port = await chosen();
    own = lab.client.place.address;
    device = await sh(lab.client, `ip -o -4 addr show | awk '/ ${own}\\// {print $2}'`);
    more = Array.from({ length: CLIENTS }, (_, at) => own.replace(/\d+$/, String(100 + at)));
    const add = more.map((one) => `ip addr add ${one}/24 dev ${device}`);
    await sh(lab.client, add.join(' && '));
    await until('the ports to answer', async () =>
      (await ask(everywhere(port, FIRST, LAST))).includes('') ? undefined : true,
    );
  });
  afterAll(async () => {
    await sh(lab.client, more.map((one) => `ip addr del ${one}/24 dev ${device}`).join('; '));
    await remove('ways', 'asker');
    await ctl('m1', 'network', 'rm', 'ways');
  });

  it('sends a client to one task by whichever node and port, and clients to all of them', async () => {
    const answers = await ask(everywhere(port, FIRST, FIRST + 5, LAST));
    expect(answers).toEqual(answers.map(() => answers[0]));
    const others = await Promise.all(
      more.map((one) => ask(everywhere(port).slice(0, 2), `--interface ${one}`)),
    );
    for (const one of others) expect(new Set(one).size).toBe(1);
    expect(new Set(others.flat())).toHaveLength(2);
  });

  it('does so for containers by name', async () => {
    const [asker] = await untilRunning('asker', 1);
    const line = 'for i in 1 2 3 4 5 6; do timeout 20 wget -q -O - http://ways/name; done';
    const answers = (await inTask(asker!, line)).split('\n');
    expect(answers).toHaveLength(6);
    expect(new Set(answers).size).toBe(1);
  });

  it('carries SCTP from outside by every node', async () => {
    const servers = await Promise.all((await untilRunning('ways', 2)).map(serveSctp));
    const asked = nodes.map((node) => `${node}:${SCTP_PORT}`);
    const answers = await until('all to answer', async () => {
      const { stdout } = await lab.client.exec(['python3', SCTP, 'ask', ...asked]);
      return stdout.includes('nothing') ? undefined : stdout.trim().split('\n');
    });
    // One client: one task.
    expect(answers).toEqual(answers.map(() => answers[0]));
    expect(answers[0]?.split(' ')[1]).toBe(own);
    await Promise.all(servers.map((stop) => stop()));
  });

  it('keeps the chosen port when tasks are replaced, added and published otherwise', async () => {
    await ok('service', 'update', '--env-add', 'ROUND=2', 'ways');
    await ok('service', 'scale', 'ways=3');
    await ok('service', 'update', '--publish-add', `${ADDED}:80`, 'ways');
    expect(await chosen()).toBe(port);
    await until('all ways to answer', async () =>
      (await ask(everywhere(port, ADDED, FIRST, LAST))).includes('') ? undefined : true,
    );
    await ok('service', 'update', '--publish-rm', `${FIRST}-${LAST}`, 'ways');
    await until('the range to be refused', async () =>
      (await ask(everywhere(FIRST, LAST))).every((text) => text === '') ? true : undefined,
    );
    expect(await ask(everywhere(port))).not.toContain('');
    expect(await chosen()).toBe(port);
  });
});

async function serveSctp(task: Task): Promise<() => Promise<void>> {
  const host = await hostOf(task);
  const name = `sctp-${task.id}`;
  const enter = ['nsenter', `--target=${pidOf(task)}`, '--net', '--'];
  const argv = ['python3', SCTP, 'serve', task.id, String(SCTP_PORT)];
  await host.startService(name, [...enter, ...argv]);
  return () => host.killService(name);
}

describe('a subnet that cannot be', () => {
  const wire = lab.host('w1').place.address;

  it.each([
    ['of the hosts', wire.replace(/\d+$/, '0/24'), /contains the node address|has a route/],
    ['around the hosts', '10.0.0.0/8', /overlaps|contains the node address|has a route/],
    ['of the cluster itself', '10.255.3.0/24', /which the cluster uses itself/],
    ['with bits behind its prefix', '10.20.30.1/24', /with the bits behind its prefix zero/],
    ['with no room', '10.20.30.0/30', /of \/8 to \/29/],
  ])('%s is refused, with the reason', async (_, subnet, reason) => {
    const { code, stderr } = await ctl('m1', 'network', 'create', '--subnet', subnet, 'cannot');
    expect(stderr).toMatch(reason);
    expect(code).not.toBe(0);
  });

  it('leaves nothing of what was refused', async () => {
    expect((await ctl('m1', 'network', 'inspect', 'cannot')).code).toBe(3);
  });
});

describe.runIf(LONG)('a node that gets a network of its own later', () => {
  const w1 = lab.host('w1');
  const OWN = '10.44.5.0/24';

  beforeAll(async () => {
    await ok('network', 'create', '--subnet', '10.44.0.0/16', 'early');
    const where = '--network early --constraint node.hostname==w1'.split(' ');
    await create('early', ...where, BUSYBOX, 'sleep', '100000');
    await untilRunning('early', 1);
    await sh(w1, 'ip link add priv0 type veth peer name priv1 && ip link set priv0 up');
    await sh(w1, 'ip addr add 10.44.5.1/24 dev priv0');
  });
  afterAll(async () => {
    await sh(w1, 'ip link del priv0');
    await remove('early');
    await ctl('m1', 'network', 'rm', 'early');
  });

  it('says so when it is looked at', async () => {
    const { code, stdout } = await ctl('w1', 'doctor', 'network');
    expect(stdout).toContain(`${OWN} is a part of 10.44.0.0/16 of network "early"`);
    expect(code).not.toBe(0);
  });

  it('keeps new networks from it', async () => {
    await remove('early');
    await ok('network', 'rm', 'early');
    await until('the managers to know of it', async () => {
      const [node] = JSON.parse(await ok('node', 'inspect', 'w1')) as [Node];
      return node.description?.networks.includes(OWN) === true ? true : undefined;
    });
    const create = 'network create --subnet 10.44.0.0/16 cannot'.split(' ');
    const { code, stderr } = await ctl('m1', ...create);
    expect(stderr).toContain(`overlaps ${OWN}, to which node w1 has a route`);
    expect(code).not.toBe(0);
  });

  it('makes a cluster only with pools that it has no network of', async () => {
    const { nodeId } = JSON.parse((await ctl('w1', 'info', '--format', 'json')).stdout) as {
      nodeId: string;
    };
    expect((await ctl('w1', 'swarm', 'leave')).code).toBe(0);
    await until('the managers to let it go', async () =>
      (await ctl('m1', 'node', 'rm', nodeId)).code === 0 ? true : undefined,
    );
    const init = ['swarm', 'init', '--advertise-addr', w1.place.address];
    const refused = await ctl('w1', ...init, '--gateway-pool', '10.44.0.0/16');
    expect(refused.stderr).toContain(`a route to ${OWN} in it`);
    expect(refused.code).not.toBe(0);
    expect((await ctl('w1', ...init, '--gateway-pool', '10.45.0.0/16')).code).toBe(0);
    const [alone] = await until('it to lead', async () => {
      const { code, stdout } = await ctl('w1', 'node', 'ls', '--format', 'json');
      return code === 0 ? (JSON.parse(stdout) as [Node]) : undefined;
    });
    expect(alone.gatewaySubnet).toMatch(/^10\.45\./);
    expect((await ctl('w1', 'swarm', 'leave', '--force')).code).toBe(0);
  });

  it('does not join a cluster whose pools hold a network of its own', async () => {
    const token = (await ok('swarm', 'join-token', '--quiet', 'worker')).trim();
    await sh(w1, 'ip addr add 100.70.5.1/24 dev priv0');
    const { address } = lab.host('m1').place;
    const joined = await ctl('w1', 'swarm', 'join', '--token', token, address);
    expect(joined.stderr).toContain('a route to 100.70.5.0/24, which lies in 100.64.0.0/10');
    expect(joined.code).not.toBe(0);
    await sh(w1, 'ip addr del 100.70.5.1/24 dev priv0');
    await lab.cluster.form();
  });
});

describe.runIf(LONG)('a service under load', () => {
  const outside = lab.client;
  let asker: Task;
  let inside: Host;

  beforeAll(async () => {
    for (const name of ['here', 'there']) await ok('network', 'create', name);
    const flags = `--replicas 2 --network here --publish ${LOAD_PORT}:80 --update-monitor 100ms
      --stop-signal SIGQUIT --health-interval 300ms`;
    const health = ['--health-cmd', 'wget -q -O /dev/null http://127.0.0.1/'];
    await create('shop', ...flags.split(/\s+/), ...health, NGINX);
    await create('near', '--network', 'here', BUSYBOX, 'sleep', '100000');
    await create('far', '--network', 'there', BUSYBOX, 'sleep', '100000');
    await untilRunning('shop', 2);
    [asker] = (await untilRunning('near', 1)) as [Task];
    inside = await hostOf(asker);
  });
  afterAll(async () => {
    await remove('shop', 'near', 'far');
    await ctl('m1', 'network', 'rm', 'here', 'there');
  });

  it('comes to a network and leaves it without a lost request', async () => {
    const common = { workers: 8, periodMs: 25 };
    const hosts = lab.nodes.map(({ place }) => place.address);
    const named = { hosts: ['shop'], port: 80, nameserver: '127.0.0.11' };
    const loads = [true, false].flatMap((keepAlive) => [
      startLoad(outside, { ...common, keepAlive, hosts, port: LOAD_PORT }),
      startLoad(inside, { ...common, keepAlive, ...named }, asker),
    ]);
    const [far] = (await untilRunning('far', 1)) as [Task];
    const reached = (): Promise<string> =>
      inTask(far, 'timeout 5 wget -q -O - http://store/ 2>&1 || echo no');
    try {
      await Promise.all(loads.map((load) => load.started));
      await ok('network', 'connect', '--alias', 'store', 'there', 'shop');
      await until('the other network to reach it', async () =>
        (await reached()).startsWith('hello from') ? true : undefined,
      );
      await untilConnected(2);
      await ok('network', 'disconnect', 'there', 'shop');
      await untilConnected(1);
      expect(await reached()).toMatch(/no$/);
    } finally {
      for (const load of loads) load.stop();
    }
    const results = await Promise.all(loads.map((load) => load.result));
    const requests = results.reduce((sum, one) => sum + one.requests, 0);
    process.stdout.write(`${JSON.stringify({ what: 'connect and disconnect', requests })}\n`);
    expect(results.flatMap(({ failures }) => failures)).toEqual([]);
    expect(requests).toBeGreaterThan(100);
  });

  /** All tasks are on so many networks, and their update is over. */
  async function untilConnected(networks: number): Promise<void> {
    await until(`tasks on ${networks} networks`, async () => {
      const { updateStatus } = await service('shop');
      const found = await untilRunning('shop', 2);
      const areThere = found.every((task) => task.networks.length === networks);
      return areThere && updateStatus?.state === 'completed' ? true : undefined;
    });
  }
});

describe.runIf(LONG)('the wire of the hosts', () => {
  const host = lab.host('w1');

  afterAll(async () => {
    await remove('wired');
    await ctl('m1', 'network', 'rm', 'wire');
  });

  it('has macvlan containers, which everybody there reaches by their own addresses', async () => {
    const { address } = host.place;
    const device = await sh(host, `ip -o -4 addr show | awk '/ ${address}\\// {print $2}'`);
    const subnet = address.replace(/\d+$/, '0/24');
    const part = address.replace(/\d+$/, '160/28');
    const flags = ['--opt', `parent=${device}`, '--subnet', subnet, '--ip-range', part];
    await ok('network', 'create', '--driver', 'macvlan', ...flags, 'wire');
    const where = '--replicas 2 --network wire --constraint node.role==worker'.split(' ');
    await create('wired', ...where, BUSYBOX, 'sh', '-c', SERVE);
    const tasks = await untilRunning('wired', 2);
    const addresses = tasks.map(addressOf);
    for (const one of addresses) {
      await until(`${one} to answer a host`, async () => {
        const line = `curl -s --max-time 2 http://${one}/name || echo`;
        return (await sh(lab.host('m1'), line)) === '' ? undefined : true;
      });
    }
    const [one, other] = tasks as [Task, Task];
    expect(await inTask(one, `timeout 5 wget -q -O - http://${addressOf(other)}/name`)).not.toBe(
      '',
    );
  });
});

describe.runIf(LONG)('a network of small packets', () => {
  afterAll(async () => {
    await remove('big', 'puller');
    await ctl('m1', 'network', 'rm', 'narrow');
  });

  it('carries large ones in parts, within a node and between nodes', async () => {
    await ok('network', 'create', '--mtu', '600', 'narrow');
    const serve = `mkdir /www; dd if=/dev/zero of=/www/name bs=1M count=4; httpd -p 80 -h /www; exec sleep 100000`;
    const on = (name: string): string[] => ['--network', 'narrow', '--constraint', name];
    await create('big', ...on('node.hostname==w1'), BUSYBOX, 'sh', '-c', serve);
    await create(
      'puller',
      '--mode',
      'global',
      ...on('node.role==worker'),
      BUSYBOX,
      'sleep',
      '100000',
    );
    const [big] = (await untilRunning('big', 1)) as [Task];
    for (const task of await untilRunning('puller', 2)) {
      const bytes = await inTask(task, 'timeout 10 wget -q -O - http://big/name | wc -c');
      expect(bytes).toBe(String(4 * 1024 * 1024));
      expect(await inTask(task, `ping -c 1 -W 2 -s 3000 ${addressOf(big)} | grep -c ' 0% '`)).toBe(
        '1',
      );
      expect(await inTask(task, 'cat /sys/class/net/eth0/mtu')).toBe('600');
    }
  });
});
