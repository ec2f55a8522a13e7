/** Whatever way a host went from state to state, it ends as if it had begun with the last one. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { asId, type PublishedPort } from '@swarmd/model';

import { indexState, type StateIndex } from '../src/desired/state-index.ts';
import { deadBackends, taskPrograms } from '../src/desired/task-program.ts';
import {
  gatewayAddressOf,
  network,
  port,
  stateOf,
  type Cluster,
  type Placed,
} from './lab/cluster.ts';
import { FakeKernel } from './text/fake-kernel.ts';
import { asAgentsKeep, Planner } from './text/planner.ts';

const NETWORKS = [
  network('front', 4097),
  network('back', 4098),
  network('side', 4099, { mtu: 1400, ipv6: true }),
  network('safe', 4100, { encrypted: true }),
];
const SERVICES = ['web', 'db', 'job'];

const RINGS = [
  { ids: [1, 2], primary: 1 },
  { ids: [1, 2, 3], primary: 2 },
  { ids: [7, 8, 9], primary: 8 },
];

/** Ways to publish a port. */
const PORTS: readonly Partial<PublishedPort>[] = [
  {},
  { address: '10.99.0.1', source: 'snat' },
  { protocol: 'sctp', localOnly: true },
  { affinity: 'client-ip' },
  { affinity: 'client-ip', affinityTimeoutMs: 60_000 },
];

const someTask = fc.record({
  node: fc.integer({ min: 1, max: 4 }),
  service: fc.constantFrom(...SERVICES),
  host: fc.integer({ min: 10, max: 16 }),
  networks: fc.subarray(NETWORKS, { minLength: 0 }),
  serving: fc.boolean(),
});

const someCluster: fc.Arbitrary<Cluster> = fc
  .record({
    nodes: fc.integer({ min: 1, max: 4 }),
    tasks: fc.uniqueArray(someTask, { selector: ({ host }) => host, maxLength: 7 }),
    vips: fc.subarray(SERVICES),
    networks: fc.subarray(NETWORKS),
    // Another port makes all tunnels anew, and with them what stands on them.
    vxlanPort: fc.constantFrom(4789, 4790),
    ring: fc.constantFrom(undefined, ...RINGS),
    booted: fc.dictionary(fc.constantFrom('2', '3'), fc.constantFrom('again', 'anew')),
    affinity: fc.dictionary(fc.constantFrom(...SERVICES), fc.constantFrom(0, 60_000, 90_000)),
    published: fc.uniqueArray(fc.integer({ min: 8080, max: 8084 }), { maxLength: 4 }),
  })
  .map(({ nodes, tasks, vips, networks, vxlanPort, ring, booted, affinity, published }) => {
    const placed: Placed[] = tasks.map((one) => ({
      ...one,
      id: `${one.service}${one.host}`,
      slot: one.host,
      node: Math.min(one.node, nodes),
      networks: one.networks.filter((network) => networks.includes(network)),
    }));
    const backends = placed.filter(({ serving }) => serving === true).map(gatewayAddressOf);
    return {
      nodes,
      tasks: placed,
      vips: Object.fromEntries(vips.map((service, i) => [service, i + 2])),
      networks,
      vxlanPort,
      ...(ring === undefined ? {} : { ring }),
      booted,
      affinity,
      ports: published.map((number) =>
        port('web', number, {
          ...PORTS[Math.floor(number / 2) % PORTS.length],
          ...(number < 8084 ? { targetPort: number } : {}),
          backends: backends.slice(number === 8083 ? 1 : 0),
          backends6: backends.slice(number % 4 === 0 ? 1 : 0),
        }),
      ),
    };
  });

function kernelAfter(clusters: readonly Cluster[]): string[] {
  const kernel = new FakeKernel();
  const planner = new Planner({ ipv6: true, canSeal: true });
  for (const cluster of clusters) kernel.run(planner.apply(cluster));
  return kernel.dump();
}

test('states one after the other lead where the last alone leads', () => {
  fc.assert(
    fc.property(fc.array(someCluster, { minLength: 2, maxLength: 4 }), (clusters) => {
      expect(kernelAfter(clusters)).toEqual(kernelAfter(clusters.slice(-1)));
    }),
    { numRuns: 200 },
  );
});

test('a receiver can tell all its states apart, and no key is used twice', () => {
  fc.assert(
    fc.property(someCluster, (cluster) => {
      const states = kernelAfter([cluster]).filter((line) => line.startsWith('host xfrm state'));
      const ids = states.map((line) => /dst (\S+) proto esp spi (\S+)/.exec(line)?.slice(1).join());
      expect(new Set(ids).size).toBe(states.length);
      const keys = states.map((line) => /KEY\(.*?\)/.exec(line)?.[0]);
      expect(new Set(keys).size).toBe(states.length);
    }),
  );
});

test('the same state again changes nothing', () => {
  fc.assert(
    fc.property(someCluster, (cluster) => {
      const planner = new Planner({ ipv6: true, canSeal: true });
      planner.apply(cluster);
      expect(planner.apply(structuredClone(cluster))).toEqual([]);
    }),
  );
});

test('what is shared with the state before is what would be made without it', () => {
  fc.assert(
    fc.property(fc.array(someCluster, { minLength: 2, maxLength: 4 }), (clusters) => {
      const networks = NETWORKS.map(({ id }) => id);
      const programsOf = (index: StateIndex) =>
        taskPrograms({ index, taskId: asId('task', 'asker'), networks, gateway: '100.64.1.1' });
      const nothing = indexState(stateOf({ ...clusters[0]!, tasks: [] }, 1));
      let [shared, alone] = [nothing, nothing];
      for (const cluster of clusters) {
        const state = asAgentsKeep(stateOf(cluster, 1), shared.state);
        const [next, anew] = [indexState(state, shared), indexState(structuredClone(state))];
        expect(programsOf(next)).toEqual(programsOf(anew));
        expect(deadBackends(shared, next, networks)).toEqual(deadBackends(alone, anew, networks));
        [shared, alone] = [next, anew];
      }
    }),
    { numRuns: 200 },
  );
});
