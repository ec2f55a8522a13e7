/** Nodes are looked at lazily in an order that lives on; it must be the one that looking at all gives. */
import { asId, type NodeId, type ServiceId } from '@swarmd/model';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { emptiestFirst, NodeOrder, type Place } from '../src/place/node-order.ts';
import { World } from './world.ts';

interface Step {
  readonly service: string;
  readonly replicas: number;
  readonly perNode: number;
  readonly label: string;
  readonly fails: boolean;
}

/** On a label that no node has: one branch with all nodes in it, which are all looked at. */
const EAGER = { preferences: [{ spread: 'node.labels.nobody' }] };

function placed(steps: readonly Step[], placement: object): string[] {
  const world = new World();
  for (let at = 1; at <= 7; at += 1) {
    world.node(`n${at}`, { labels: { zone: at % 2 === 0 ? 'a' : 'b' }, memoryBytes: 2e9 });
  }
  const lines: string[] = [];
  for (const { service, replicas, perNode, label, fails } of steps) {
    const id: ServiceId = asId('service', service);
    const spec = {
      name: service,
      mode: { kind: 'replicated', replicas } as const,
      task: {
        container: { image: 'a' },
        reservations: { memoryBytes: 300e6 },
        restart: { condition: 'any', delayMs: 0 } as const,
        placement: {
          ...placement,
          maxReplicasPerNode: perNode,
          constraints: label === '' ? [] : [`node.labels.zone == ${label}`],
        },
      },
    };
    if (world.serviceNamed(service) === undefined) world.create(spec);
    else world.update(spec);
    for (const key of world.serviceIds()) world.plan(key);
    world.agents();
    if (fails) {
      const running = world.tasks().find((task) => task.status.state === 'running');
      if (running !== undefined) world.report(running, 'failed');
    }
    world.plan(id);
    lines.push(
      world
        .tasks()
        .map((task) => `${task.serviceName}.${task.slot} ${task.nodeId ?? '-'}`)
        .join(),
    );
  }
  return lines;
}

describe('which node comes first', () => {
  it('is the same whether all nodes are looked at or those whose turn it is', () => {
    const step = fc.record({
      service: fc.constantFrom('x', 'y', 'z'),
      replicas: fc.integer({ min: 0, max: 12 }),
      perNode: fc.constantFrom(0, 0, 2),
      label: fc.constantFrom('', '', 'a'),
      fails: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (steps) => {
        expect(placed(steps, {})).toEqual(placed(steps, EAGER));
      }),
      { numRuns: 60 },
    );
  });

  it('follows nodes that come and go, and what they have, from one plan to the next', () => {
    const change = fc.record({ node: fc.nat(19), tasks: fc.nat(5), isGone: fc.boolean() });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
        const order = new NodeOrder(emptiestFirst);
        const places = new Map<NodeId, Place>();
        for (const { node, tasks, isGone } of changes) {
          const nodeId = asId('node', `n${node}`);
          const known = places.get(nodeId);
          if (known === undefined) {
            const place = { nodeId, index: (node * 7) % 20, tasks, fullness: 0, at: 0 };
            places.set(nodeId, place);
            order.add(place);
          } else if (isGone) {
            places.delete(nodeId);
            order.remove(known);
          } else order.change(known, { tasks, fullness: 0 });
          const expected = [...places.values()]
            .toSorted((a, b) => (emptiestFirst(a, b) ? -1 : 1))
            .map((one) => one.nodeId);
          expect([...order.inOrder()]).toEqual(expected);
        }
      }),
    );
  });
});
