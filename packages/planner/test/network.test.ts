/** What may be had for a network, and what its tasks get of it. */
import { asId, networkSpec, type Network, type NetworkSpec } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { allocateNetwork, changedNetwork } from '../src/index.ts';
import { World } from './world.ts';

type Input = Partial<NetworkSpec>;

function allocate(world: World, fields: Input): unknown {
  const found = allocateNetwork(world.view, networkSpec.parse({ name: 'n', ...fields }));
  return found.kind === 'refused' ? found.message : found.value;
}

function put(world: World, fields: Input & { name: string }): Network {
  const spec = networkSpec.parse(fields);
  const chosen = allocateNetwork(world.view, spec);
  if (chosen.kind === 'refused') throw new Error(chosen.message);
  const meta = { version: 0, createdAt: 0, updatedAt: 0 };
  world.put('network', { id: asId('network', spec.name), meta, spec, ...chosen.value });
  return world.view.get('network', asId('network', spec.name))!;
}

function withHostNetwork(network: string): World {
  const world = new World();
  world.node('n1', {});
  const node = world.view.get('node', asId('node', 'n1'))!;
  world.put('node', { ...node, description: { ...node.description!, networks: [network] } });
  return world;
}

describe('a network', () => {
  it('has the gateway that was asked for, or the first address', () => {
    const world = new World();
    expect(allocate(world, { subnet: '10.1.0.0/24' })).toMatchObject({ gateway: '10.1.0.1' });
    const gateway = '10.1.0.254';
    expect(allocate(world, { subnet: '10.1.0.0/24', gateway })).toMatchObject({ gateway });
  });

  it.each([
    [{ gateway: '10.1.0.1' }, /belong to a subnet/],
    [{ subnet: '10.1.0.0/24', gateway: '10.2.0.1' }, /gateway 10\.2\.0\.1 is not in subnet/],
    [{ subnet: '10.1.0.0/24', gateway: '10.1.0.255' }, /is an end of subnet/],
    [{ subnet: '10.1.0.0/24', ipRange: '10.1.0.0/23' }, /is not a part of subnet/],
    [{ subnet: '10.1.0.0/24', reserved: { box: '10.9.0.1' } }, /box 10\.9\.0\.1 is not in subnet/],
    [{ subnet: '10.1.0.0/24', moreSubnets: ['10.1.0.0/25'] }, /overlaps .* of the same network/],
  ])('is refused with %j', (fields, message) => {
    expect(allocate(new World(), fields)).toMatch(message);
  });

  const wire = { driver: 'macvlan', subnet: '192.168.0.0/24' } as const;

  it.each([
    [{ mtu: 67 }, /IPv4 needs an MTU of at least 68 bytes/],
    [{ ipv6: true, mtu: 1_279 }, /IPv6 needs an MTU of at least 1280 bytes/],
    [{ driver: 'host', subnet: '10.1.0.0/24' }, /driver host has no addresses: leave out subnet/],
    [{ driver: 'host', ipv6: true }, /driver host gives no IPv6/],
    [{ driver: 'none', internal: true }, /leave out internal/],
    [wire, /needs the interface of the nodes .* parent=eth0/],
    [{ driver: 'macvlan', options: { parent: 'eth0' } }, /needs the subnet of the wire/],
    [{ ...wire, options: { parent: 'eth0', mode: 'x' } }, /no option "mode"; it knows parent/],
    [{ ...wire, options: { parent: 'eth0', macvlan_mode: 'x' } }, /"x" is no value/],
    [{ options: { parent: 'eth0' } }, /driver overlay has no option "parent"; it knows encrypted/],
    [{ options: { encrypted: 'perhaps' } }, /"perhaps" is no value of option encrypted/],
    [{ driver: 'bridge', options: { encrypted: '' } }, /driver bridge has no option "encrypted"/],
  ] as const)('is refused with %j by its driver', (fields, message) => {
    expect(allocate(new World(), fields as Input)).toMatch(message);
  });

  it('may be the wire of the nodes with macvlan, and needs no addresses with host and none', () => {
    const world = withHostNetwork('192.168.0.0/24');
    const options = { parent: 'eth0' };
    expect(allocate(world, { ...wire, driver: 'bridge' })).toMatch(/contains the node address/);
    expect(allocate(world, { ...wire, options })).toMatchObject({ subnet: '192.168.0.0/24' });
    expect(allocate(world, { driver: 'host' })).toEqual({
      vni: 0,
      subnet: '',
      gateway: '',
      subnet6: '',
    });
    expect(allocate(world, { ipv6: true })).toMatchObject({
      vni: 4097,
      subnet6: 'fd53:7764:0:1001::/96',
    });
  });

  it.each([
    ['2001:db8::/32', '2001:db8:0:1001::/96'],
    ['fd12:3456:789a::/48', 'fd12:3456:789a:0:1001::/96'],
    ['fd12:3456:789a:1::/64', 'fd12:3456:789a:1:0:1001::/96'],
    ['fd12:3450::/28', 'fd12:3450:0:1001::/96'],
  ])('has IPv6 addresses of the cluster’s pool %s', (overlayPool6, subnet6) => {
    const world = new World({ overlayPool6 });
    expect(allocate(world, { ipv6: true })).toMatchObject({ subnet6 });
  });

  it('is refused where a node has a route to its subnet, and avoids it by itself', () => {
    const world = withHostNetwork('10.0.1.0/24');
    expect(allocate(world, { subnet: '10.0.0.0/16' })).toMatch(
      /overlaps 10\.0\.1\.0\/24, to which node .* has a route/,
    );
    expect(allocate(world, {})).toMatchObject({ subnet: '10.0.2.0/24' });
  });

  it('takes what there is when nodes have routes to the whole pool', () => {
    const world = withHostNetwork('10.0.0.0/8');
    expect(allocate(world, {})).toMatchObject({ subnet: '10.0.1.0/24' });
  });

  it('can get subnets and labels later, and nothing else', () => {
    const world = new World();
    const network = put(world, { name: 'n', subnet: '10.1.0.0/29' });
    put(world, { name: 'other', subnet: '10.3.0.0/24' });
    const change = (fields: object): unknown => {
      const found = changedNetwork(world.view, network, { ...network.spec, ...fields });
      return found.kind === 'refused' ? found.message : found.value.spec;
    };
    const wanted = { labels: { a: '1' }, moreSubnets: ['10.2.0.0/24'] };
    expect(change(wanted)).toMatchObject(wanted);
    expect(change({ internal: true })).toMatch(/only labels can change/);
    expect(change({ moreSubnets: ['10.3.0.0/16'] })).toMatch(/overlaps .* "other"/);
  });

  it('gives out its range without what is reserved, then its further subnets', () => {
    const world = new World();
    world.node('n1', {});
    put(world, {
      name: 'n',
      subnet: '10.1.0.0/24',
      ipRange: '10.1.0.8/30',
      reserved: { box: '10.1.0.9' },
      moreSubnets: ['10.2.0.0/29'],
    });
    world.create({
      name: 'web',
      mode: { kind: 'replicated', replicas: 4 },
      task: { container: { image: 'a' }, networks: [{ target: 'n', aliases: [] }] },
    });
    world.settle();
    const service = world.view.get('service', asId('service', 'web'))!;
    expect(service.endpoint.virtualIps.map((vip) => vip.address)).toEqual(['10.1.0.8']);
    const addresses = [1, 2, 3, 4].map((slot) => world.find(`web.${slot}`).networks[0]?.address);
    expect(addresses).toEqual(['10.1.0.10/24', '10.1.0.11/24', '10.2.0.2/29', '10.2.0.3/29']);
  });
});
