/** Names that are worked out one by one are those of a table of all of them. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { indexState, type StateIndex } from '../src/desired/state-index.ts';
import { NetworkNames } from '../src/dns/network-names.ts';
import { network, stateOf, type Cluster, type Placed } from './lab/cluster.ts';
import { asAgentsKeep } from './text/planner.ts';

const front = network('front', 4097);
const SERVICES = ['web', 'Db', 'job'];

const someTask = fc.record({
  service: fc.constantFrom(...SERVICES),
  slot: fc.integer({ min: 1, max: 3 }),
  host: fc.integer({ min: 10, max: 20 }),
  aliases: fc.subarray(['www', 'Old', 'web']),
  serving: fc.boolean(),
});

const someCluster: fc.Arbitrary<Cluster> = fc
  .record({
    tasks: fc.uniqueArray(someTask, { selector: ({ host }) => host, maxLength: 8 }),
    // 0: by the names of its tasks only.
    vips: fc.dictionary(fc.constantFrom(...SERVICES), fc.constantFrom(0, 2, 3)),
  })
  .map(({ tasks, vips }) => {
    const placed = tasks.map((one): Placed => {
      return { ...one, id: `t${one.host}`, node: 1, networks: [front] };
    });
    return { nodes: 1, tasks: placed, vips, networks: [front], ports: [] };
  });

/** All names of the network at once, as they are promised. */
function tableOf({ state }: StateIndex): Map<string, Set<string>> {
  const table = new Map<string, Set<string>>();
  const add = (name: string, addresses: readonly string[]): void => {
    const known = table.get(name.toLowerCase()) ?? new Set();
    table.set(name.toLowerCase(), new Set([...known, ...addresses]));
  };
  const served = (serviceId: string): string[] =>
    state.endpoints
      .filter((one) => one.serviceId === serviceId && one.serving)
      .map(({ address }) => address);
  for (const { serviceId, serviceName, aliases, address } of state.vips) {
    const behind = address === '' ? served(serviceId) : [address];
    for (const name of [serviceName, ...aliases]) add(name, behind);
  }
  const balanced = new Set(state.vips.map(({ serviceId }) => serviceId));
  for (const {
    serviceId,
    serviceName,
    slot,
    taskId,
    aliases,
    address,
    serving,
  } of state.endpoints) {
    const own = [`tasks.${serviceName}`, `${slot}.${serviceName}`];
    const whole = balanced.has(serviceId) ? [] : [serviceName, ...aliases];
    for (const name of [...own, `${serviceName}.${slot}.${taskId}`, ...whole])
      add(name, serving ? [address] : []);
  }
  return table;
}

const sorted = (addresses: Iterable<string>): string[] => [...addresses].sort();

test('each name has the addresses that it has in the table of all', () => {
  fc.assert(
    fc.property(fc.array(someCluster, { minLength: 1, maxLength: 4 }), (clusters) => {
      let index: StateIndex | undefined;
      for (const cluster of clusters) {
        index = indexState(asAgentsKeep(stateOf(cluster, 1), index?.state), index);
        const names = new NetworkNames(index, front.id);
        const table = tableOf(index);
        for (const [name, addresses] of table) {
          expect([name, sorted(names.addresses(name) ?? ['none'])]).toEqual([
            name,
            sorted(addresses),
          ]);
        }
        for (const name of ['nobody', 'tasks.nobody', '9.web', 'web.1.t99', 'a.b.c.d', 'tasks']) {
          expect(names.addresses(name)).toEqual(undefined);
        }
        for (const { address, serviceName, slot, taskId } of index.state.endpoints) {
          expect(names.nameOf(address)).toBe(`${serviceName}.${slot}.${taskId}`);
        }
      }
    }),
    { numRuns: 300 },
  );
});
