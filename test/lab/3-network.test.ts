/** The network: overlay, names, virtual addresses, published ports, by kernel state and by traffic. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Network, Node, Task } from '@swarmd/model';

import { DATA_PATH_6 } from './labs.ts';
import {
  BUSYBOX,
  hostOf,
  inTask,
  lab,
  NGINX,
  ok,
  remove,
  service,
  sh,
  until,
  untilRunning,
  ctl,
} from './support.ts';

let network: Network;
let servers: Task[];
let client: Task;

const addressOf = (task: Task): string => task.networks[0]?.address.split('/')[0] ?? '';
const fetchIn = (task: Task, url: string): Promise<string> =>
  inTask(task, `timeout 20 wget -q -O - ${url}`);

beforeAll(async () => {
  await ok('network', 'create', 'net1');
  [network] = JSON.parse(await ok('network', 'inspect', 'net1')) as [Network];
  await ok(
    'service',
    'create',
    '--name',
    'web',
    '--replicas',
    '3',
    '--network',
    'net1',
    '--publish',
    '8080:80',
    NGINX,
  );
  await ok('service', 'create', '--name', 'probe', '--network', 'net1', BUSYBOX, 'sleep', '100000');
  servers = await untilRunning('web', 3);
  const [found] = await untilRunning('probe', 1);
  if (found === undefined) throw new Error('no probe');
  client = found;
});

afterAll(async () => {
  await remove('web', 'probe', 'other', 'clash');
  await ctl('m1', 'network', 'rm', 'net1', 'net2');
});

describe('the overlay', () => {
  it('has one VNI and a subnet of its own; tasks hold distinct addresses of it', () => {
    expect(network.vni).toBeGreaterThan(4096);
    const addresses = [...servers, client].map(addressOf);
    expect(new Set(addresses).size).toBe(4);
    const prefix = network.subnet.split('.').slice(0, 3).join('.');
    for (const address of addresses) expect(address.startsWith(`${prefix}.`)).toBe(true);
  });

  it('puts the allocated address into the container', async () => {
    for (const task of servers) {
      expect(await inTask(task, 'ip -4 addr show')).toContain(task.networks[0]?.address);
    }
  });

  it('has forwarding and neighbour entries pushed for every remote task, and learns nothing', async () => {
    const host = await hostOf(client);
    const remote = servers.filter((task) => task.nodeId !== client.nodeId);
    expect(remote.length).toBeGreaterThan(0);
    const device = await until('the VXLAN device', async () => {
      const text = await sh(host, `ip netns exec swarm-ovl ip -d link show type vxlan`);
      return (
        new RegExp(`(\\S+?)(@\\S+)?: .*\\n(.*\\n)?.*vxlan id ${network.vni} `).exec(text) ??
        undefined
      );
    });
    expect(device).toBeDefined();
    for (const task of remote) {
      const { place } = await hostOf(task);
      const vtep = DATA_PATH_6 ? place.address6 : place.address;
      const mac = `02:42:${addressOf(task)
        .split('.')
        .map((byte) => Number(byte).toString(16).padStart(2, '0'))
        .join(':')}`;
      const forwards = new RegExp(`^${mac} .*dst ${vtep}`, 'm');
      const knows = new RegExp(`^${addressOf(task)} .*${mac} PERMANENT`, 'mi');
      // Agents hear of tasks elsewhere a moment after those run.
      await until(`the entries for ${task.id}`, async () => {
        const fdb = await sh(host, 'ip netns exec swarm-ovl bridge fdb show');
        const neighbours = await sh(host, 'ip netns exec swarm-ovl ip neigh show');
        return forwards.test(fdb) && knows.test(neighbours) ? true : undefined;
      });
    }
    expect(await sh(host, 'ip netns exec swarm-ovl ip -d link show type vxlan')).toMatch(
      /nolearning/,
    );
  });

  it('carries traffic between hosts by address', async () => {
    for (const task of servers)
      expect(await fetchIn(client, `http://${addressOf(task)}/`)).toMatch(/^hello from/);
  });
});

describe('service discovery and balancing', () => {
  it('answers the service name with its virtual address', async () => {
    const vip = (await service('web')).endpoint.virtualIps[0]?.address ?? '';
    expect(await inTask(client, 'nslookup web 127.0.0.11')).toContain(vip);
  });

  it('answers tasks.NAME with every task', async () => {
    const text = await inTask(client, 'nslookup tasks.web 127.0.0.11');
    for (const task of servers) expect(text).toContain(addressOf(task));
  });

  it('balances the virtual address over all tasks', async () => {
    const answers = await inTask(
      client,
      'for i in $(seq 12); do timeout 20 wget -q -O - http://web/; done',
    );
    const names = new Set([...answers.matchAll(/hello from (\S+)/g)].map((match) => match[1]));
    expect(names.size).toBe(3);
    expect(answers.split('\n')).toHaveLength(12);
  });

  it('shows the client of the overlay its own address', async () => {
    expect(await fetchIn(client, 'http://web/')).toContain(`you are ${addressOf(client)}`);
  });

  it('is explained: what every node has for it, should have, and whether it reaches the tasks', async () => {
    const vip = (await service('web')).endpoint.virtualIps[0]?.address ?? '';
    const text = await until('every node to have what it should', async () => {
      const said = await ok('network', 'explain', 'web');
      return said.includes('BAD') ? undefined : said;
    });
    expect(text).toContain(`map vip4: ${vip} : jump vip_${vip.replaceAll('.', '_')}`);
    expect(text).toContain('map ports: tcp . 8080 : jump port_tcp_8080');
    expect(text).toMatch(/ok {4}probe\.1 reaches web\.\d/);
    expect(await ok('network', 'explain', 'net1')).toContain(`type vxlan id ${network.vni}`);
  });

  it('knows nothing of networks the container is not on', async () => {
    await ok('network', 'create', 'net2');
    await ok(
      'service',
      'create',
      '--name',
      'other',
      '--network',
      'net2',
      BUSYBOX,
      'sleep',
      '100000',
    );
    expect(await inTask(client, 'nslookup other 127.0.0.11 || true')).not.toMatch(
      /Address:.*10\.\d+\.\d+\.\d+$/m,
    );
    const [task] = await untilRunning('other', 1);
    if (task === undefined) throw new Error('no task');
    expect(
      await inTask(
        client,
        `ping -c 1 -W 1 ${addressOf(task)} >/dev/null && echo reached || echo blocked`,
      ),
    ).toBe('blocked');
  });
});

describe('networks of other kinds', () => {
  it('host: the node’s own interfaces, by name alone', async () => {
    await ok(
      'service',
      'create',
      '--name',
      'bare',
      '--network',
      'host',
      BUSYBOX,
      'sleep',
      '100000',
    );
    const [task] = await untilRunning('bare', 1);
    if (task === undefined) throw new Error('no task');
    const host = await hostOf(task);
    expect(await inTask(task, 'ip -4 addr show')).toContain(` ${host.place.address}/`);
    const refused = await ctl('m1', 'service', 'update', '--publish-add', '8099:80', 'bare');
    expect(refused.stderr).toContain('containers bind ports of the node itself');
    await remove('bare');
    await ok('network', 'rm', 'host');
  });
});

describe('an encrypted network', () => {
  it('gets tasks where the kernel can encrypt, and says why not where it cannot', async () => {
    await ok('network', 'create', '--opt', 'encrypted', 'safe');
    expect(await ok('network', 'ls')).toMatch(/ safe .* yes$/m);
    await ok(
      'service',
      'create',
      '--detach',
      '--name',
      'vault',
      '--network',
      'safe',
      BUSYBOX,
      'sleep',
      '100000',
    );
    const [node] = JSON.parse(await ok('node', 'inspect', 'm1')) as [Node];
    const lacks = node.description?.encryption?.lacks;
    const keys = await ok('network', 'keys');
    expect(keys).toMatch(/^1 .*sent and received by$/m);
    if (lacks === '') {
      await untilRunning('vault', 1);
    } else {
      await until('it is said why', async () => {
        const why = await ok('explain', 'task', 'vault.1');
        return (
          keys.includes(`cannot: ${lacks}`) &&
          /refused by .*m1/.test(why) &&
          why.includes(`no encryption of networks: ${lacks}`)
        );
      });
    }
    await remove('vault');
    await ok('network', 'rm', 'safe');
  });
});

describe('a published port', () => {
  it('answers on every host, and the server sees the address of the client', async () => {
    for (const host of lab.nodes) {
      const answer = await sh(
        lab.client,
        `curl -sS --max-time 20 http://${host.place.address}:8080/`,
      );
      expect(answer, host.name).toBe(
        answer.replace(/you are .*/, `you are ${lab.client.place.address}`),
      );
      expect(answer).toMatch(/^hello from/);
    }
  });

  it('answers each host about itself too', async () => {
    for (const host of lab.nodes) {
      expect(
        await sh(host, `curl -sS --max-time 20 http://${host.place.address}:8080/`),
        host.name,
      ).toMatch(/^hello from/);
      expect(await sh(host, 'curl -sS --max-time 20 http://127.0.0.1:8080/'), host.name).toMatch(
        /^hello from/,
      );
    }
  });

  it('is refused to a second service, by name of the first', async () => {
    const { code, stderr } = await ctl(
      'm1',
      'service',
      'create',
      '--name',
      'clash',
      '--publish',
      '8080:80',
      NGINX,
    );
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/8080.*web/);
    expect((await ctl('m1', 'service', 'inspect', 'clash')).code).toBe(3);
  });

  it('goes away with the service', async () => {
    await remove('web');
    await until('the port to close', async () => {
      const { code } = await lab.client.exec(
        ['curl', '-sS', '--max-time', '2', `http://${lab.host('w1').place.address}:8080/`],
        { okCodes: [0, 7, 28, 52, 56] },
      );
      return code === 7 ? true : undefined;
    });
  });
});
