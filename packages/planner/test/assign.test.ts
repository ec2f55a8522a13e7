import { addressesOfBlocks, asId, secretSpec, type NetworkState, type Task } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { assign, holdersOf } from '../src/index.ts';
import { World } from './world.ts';

function networkOf(world: World, node: string): NetworkState {
  const { network } = assign(world.view, asId('node', node));
  if (network === undefined) throw new Error('the node has no network yet');
  return network;
}

/** Two nodes, a service with two replicas on "back", published on 8080. */
function start(): World {
  const world = new World();
  world.node('n1', {});
  world.node('n2', {});
  world.network('back');
  world.create({
    name: 'web',
    mode: { kind: 'replicated', replicas: 2 },
    task: { container: { image: 'a' }, networks: [{ target: 'back', aliases: ['www'] }] },
    endpoint: { ports: [{ targetPort: 80, publishedPort: 8080 }] },
  });
  world.settle();
  return world;
}

const served = (state: NetworkState) =>
  state.endpoints.map((one) => `${one.serviceName}.${one.slot} ${one.address} ${one.serving}`);

describe('assign', () => {
  it('tells a node of its tasks, and of the endpoints of their networks everywhere', () => {
    const world = start();
    const { tasks } = assign(world.view, asId('node', 'n1'));
    expect(tasks.map((task) => task.slot)).toEqual([1]);
    const state = networkOf(world, 'n1');
    expect(state.self).toEqual({
      nodeId: 'n1',
      index: 1,
      address: '192.168.0.1',
      ingressAddress: '10.255.0.1',
      gatewaySubnet: '100.64.2.0/23',
      down: false,
      addresses6: [],
    });
    expect(state.peers.map((peer) => peer.nodeId)).toEqual(['n1', 'n2']);
    expect(state.networks.map((network) => network.id)).toEqual(['back']);
    expect(served(state)).toEqual(['web.1 10.0.1.3 true', 'web.2 10.0.1.4 true']);
    expect(state.vips).toEqual([
      {
        serviceId: 'web',
        serviceName: 'web',
        networkId: 'back',
        address: '10.0.1.2',
        aliases: ['www'],
        affinity: 'none',
        affinityTimeoutMs: 0,
      },
    ]);
    expect(state.ports.map((port) => [port.publishedPort, port.backends])).toEqual([
      [8080, ['100.64.2.2', '100.64.4.2']],
    ]);
  });

  it('says of published ports which tasks have IPv6', () => {
    const world = start();
    expect(networkOf(world, 'n1').ports[0]?.backends6).toEqual([]);
    world.network('six', { ipv6: true });
    world.create({
      name: 'dual',
      mode: { kind: 'replicated', replicas: 1 },
      task: { container: { image: 'a' }, networks: [{ target: 'back' }, { target: 'six' }] },
      endpoint: {
        ports: [
          { targetPort: 80, publishedPort: 8081 },
          { targetPort: 53, publishedPort: 5353, publishMode: 'host' },
        ],
      },
    });
    world.settle();
    const { nodeId } = world.find('dual.1');
    const ports = networkOf(world, nodeId ?? '').ports.filter((port) => port.serviceId === 'dual');
    expect(ports).toHaveLength(2);
    for (const { backends, backends6 } of ports) {
      expect(backends).toHaveLength(1);
      expect(backends6).toEqual(backends);
    }
  });

  it('keeps other networks from a node that has no task on them, but not the published ports', () => {
    const world = start();
    world.node('n3', {});
    const state = networkOf(world, 'n3');
    expect([state.networks, state.endpoints, state.vips]).toEqual([[], [], []]);
    expect(state.ports).toHaveLength(1);
  });

  it.each([
    [
      'told to stop',
      (world: World, task: Task) => void world.put('task', { ...task, desiredState: 'shutdown' }),
    ],
    ['on a node that is down', (world: World) => void world.node('n1', { state: 'down' })],
  ])('does not serve from a task that is %s, and still holds its address', (_, change) => {
    const world = start();
    change(world, world.find('web.1'));
    const state = networkOf(world, 'n2');
    expect(served(state)).toEqual(['web.1 10.0.1.3 false', 'web.2 10.0.1.4 true']);
    expect(state.ports[0]?.backends).toEqual(['100.64.4.2']);
  });

  it('tells a node to stop a task only when it was let go of, or when nobody could reach it', () => {
    const world = start();
    const told = (): string[] =>
      assign(world.view, asId('node', 'n1')).tasks.map((task) => task.desiredState);
    const leaving: Task = { ...world.find('web.1'), desiredState: 'shutdown' };
    world.put('task', leaving);
    expect(told()).toEqual(['running']);
    world.put('task', { ...world.find('web.1'), releasedAt: 1 });
    expect(told()).toEqual(['shutdown']);
    const { releasedAt: _, ...unreleased } = world.find('web.1');
    world.put('task', { ...unreleased, networks: [], ports: [] });
    expect(told()).toEqual(['shutdown']);
  });

  it('waits for the nodes that balance to a task, and for no other', () => {
    const world = start();
    world.node('n3', {});
    const holders = (applied: Record<string, number>): string[] => {
      const task = world.find('web.1');
      return [...(holdersOf(world.view, [task], (id) => applied[id] ?? -1).get(task) ?? [])];
    };
    world.put('task', { ...world.find('web.1'), desiredState: 'shutdown' });
    const { version } = world.find('web.1').meta;
    expect(holders({})).toEqual(['n1', 'n2', 'n3']);
    expect(holders({ n1: version, n2: version - 1, n3: version })).toEqual(['n2']);
    world.node('n2', { state: 'down' });
    expect(holders({ n1: version })).toEqual(['n3']);
    world.put('task', { ...world.find('web.1'), ports: [] });
    expect(holders({})).toEqual(['n1']);
  });

  it('keeps an ended task assigned for its logs, without its network', () => {
    const world = start();
    world.report(world.find('web.1'), 'failed');
    const assigned = assign(world.view, asId('node', 'n1'));
    expect(assigned.tasks.map((task) => task.status.state)).toEqual(['failed']);
    expect(assigned.network?.networks).toEqual([]);
    expect(served(networkOf(world, 'n2'))).toEqual(['web.2 10.0.1.4 true']);
  });

  it('gives secrets only to nodes that run a user of them, and no longer than that', () => {
    const world = start();
    const data = new TextEncoder().encode('hush');
    world.put('secret', {
      id: asId('secret', 's1'),
      meta: { version: 0, createdAt: 0, updatedAt: 0 },
      spec: secretSpec.parse({ name: 's1', data }),
      number: 1,
    });
    world.create({
      name: 'db',
      task: {
        container: { image: 'a', secrets: [{ id: 's1', name: 's1', target: 's1' }] },
        placement: { constraints: ['node.id==n2'] },
      },
    });
    world.settle();
    const secrets = (node: string) => assign(world.view, asId('node', node)).secrets;
    expect(secrets('n1')).toEqual([]);
    expect(secrets('n2').map((secret) => secret.data)).toEqual([data]);
    world.report(world.find('db.1'), 'complete');
    expect(secrets('n2')).toEqual([]);
  });

  it('answers a host-mode port only where a task is', () => {
    const world = start();
    world.create({
      name: 'host',
      task: { container: { image: 'a' }, placement: { constraints: ['node.id==n1'] } },
      endpoint: { ports: [{ targetPort: 53, publishedPort: 5353, publishMode: 'host' }] },
    });
    world.settle();
    const ports = (node: string) => networkOf(world, node).ports.map((port) => port.publishedPort);
    expect(ports('n1')).toEqual([8080, 5353]);
    expect(ports('n2')).toEqual([8080]);
  });

  it('keeps the identity of what did not change', () => {
    const world = start();
    const before = networkOf(world, 'n2');
    world.put('task', { ...world.find('web.1'), because: [] });
    const unchanged = networkOf(world, 'n2');
    expect(unchanged.endpoints).toBe(before.endpoints);
    expect(unchanged.ports).toBe(before.ports);
    expect(unchanged.vips).toBe(before.vips);
    world.report(world.find('web.1'), 'failed');
    const changed = networkOf(world, 'n2');
    expect(changed.endpoints).not.toBe(before.endpoints);
    expect(changed.endpoints[0]).toBe(before.endpoints[1]);
  });

  it('names as peers those that traffic goes to or comes from, and all addresses', () => {
    const world = new World();
    for (const name of ['n1', 'n2', 'n3', 'n4']) world.node(name, {});
    world.network('back');
    const task = { container: { image: 'a' } };
    const on = (node: string) => ({ constraints: [`node.id == ${node}`] });
    const mode = { kind: 'replicated', replicas: 1 } as const;
    for (const node of ['n1', 'n2']) {
      const networks = [{ target: 'back' }];
      world.create({ name: `of-${node}`, mode, task: { ...task, networks, placement: on(node) } });
    }
    world.settle();
    const peersOf = (node: string): string[] =>
      networkOf(world, node).peers.map((peer) => peer.nodeId);
    expect([peersOf('n1'), peersOf('n3'), peersOf('n4')]).toEqual([['n1', 'n2'], [], []]);
    world.create({
      name: 'web',
      mode,
      task: { ...task, placement: on('n3') },
      endpoint: { ports: [{ targetPort: 80, publishedPort: 8080 }] },
    });
    world.settle();
    expect([peersOf('n1'), peersOf('n3'), peersOf('n4')]).toEqual([
      ['n1', 'n2', 'n3'],
      ['n1', 'n2', 'n3', 'n4'],
      ['n3'],
    ]);
    expect(addressesOfBlocks(networkOf(world, 'n4').nodes)).toHaveLength(4);
    world.report(world.find('web.1'), 'failed');
    expect(peersOf('n4')).toEqual([]);
  });

  it('has no network until the node has told its address', () => {
    const world = start();
    const node = world.node('n4', {});
    world.put('node', { ...node, status: { ...node.status, address: '' } });
    expect(assign(world.view, asId('node', 'n4'))).toEqual({ tasks: [], secrets: [], configs: [] });
    expect(networkOf(world, 'n1').peers.map((peer) => peer.nodeId)).toEqual(['n1', 'n2']);
  });
});
