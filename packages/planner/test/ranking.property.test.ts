/** Nodes are looked at lazily in an order that lives on; it must be the one that looking at all gives. */
import { asId, type NodeId, type ServiceId } from '@swarmd/model';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { NodeOrder } from '../src/place/node-order.ts';
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
        const order = new NodeOrder();
        const nodes = new Map<NodeId, { id: NodeId; index: number }>();
        const tasks = new Map<NodeId, number>();
        const tasksOn = (id: NodeId): number => tasks.get(id) ?? 0;
        let writes = 0;
        for (const { node, tasks: count, isGone } of changes) {
          const id = asId('node', `n${node}`);
          if (isGone ? nodes.delete(id) : !nodes.has(id)) {
            writes += 1;
            if (!isGone) nodes.set(id, { id, index: (node * 7) % 20 });
          }
          tasks.set(id, count);
          order.set(id, count);
          order.follow({ writesOf: () => writes, list: () => nodes.values() } as never, tasksOn);
          const expected = [...nodes.values()]
            .toSorted((a, b) => tasksOn(a.id) - tasksOn(b.id) || a.index - b.index)
            .map((one) => one.id);
          expect([...order.inOrder()]).toEqual(expected);
        }
      }),
    );
  });
});
