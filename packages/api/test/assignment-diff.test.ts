import { isTerminal, joinList, type AssignmentSet } from '@swarmd/model';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { applyDelta, diffAssignments } from '../src/index.ts';
import { assignmentSets } from './support/assignments.ts';

/** Lists in an order of their own, because deltas promise none. */
function sorted(value: unknown): unknown {
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    return value.map((item) => JSON.stringify(sorted(item))).toSorted((a, b) => (a < b ? -1 : 1));
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, sorted(item)]));
}

/** `after`, but with some of the parts of `before`, as a manager would leave them. */
function mixed(before: AssignmentSet, after: AssignmentSet): AssignmentSet {
  const kept = before.tasks.filter((_, index) => index % 2 === 0);
  const others = after.tasks.filter((task) => kept.every(({ id }) => id !== task.id));
  return { ...after, tasks: [...kept, ...others], configs: before.configs };
}

/** As the agent should know it: managers list the node among its peers. */
function told(set: AssignmentSet, self = set.network?.self.nodeId): AssignmentSet {
  if (set.network === undefined) return set;
  const peers = set.network.peers.filter((peer) => peer.nodeId !== self);
  return { ...set, network: { ...set.network, peers } };
}

/** What the node knows better than the managers is not told with every step. */
function withoutNews(set: AssignmentSet): object {
  const tasks = set.tasks.map(
    ({ status, meta: _meta, because: _because, startedAt: _startedAt, ...rest }) => ({
      ...rest,
      hasEnded: isTerminal(status.state),
    }),
  );
  return { ...set, tasks };
}

/** Endpoints and virtual addresses as managers list them for nodes with several networks. */
function joined(set: AssignmentSet): AssignmentSet {
  if (set.network === undefined) return set;
  const byNetwork = <T extends { readonly networkId: string }>(list: readonly T[]): readonly T[] =>
    joinList(Map.groupBy(list, ({ networkId }) => networkId));
  const { endpoints, vips } = set.network;
  return {
    ...set,
    network: { ...set.network, endpoints: byNetwork(endpoints), vips: byNetwork(vips) },
  };
}

it('of lists that are joined leads to the same', () => {
  fc.assert(
    fc.property(assignmentSets, assignmentSets, (before, after) => {
      const start = applyDelta(undefined, diffAssignments(undefined, joined(before))!);
      const delta = diffAssignments(joined(before), joined(after));
      const end = delta === undefined ? start : applyDelta(start, delta);
      const plain = diffAssignments(before, after);
      const wanted = plain === undefined ? start : applyDelta(start, plain);
      expect(sorted(end.network)).toEqual(sorted(wanted.network));
    }),
    { numRuns: 50 },
  );
});

describe('a delta', () => {
  const pairs = fc
    .tuple(assignmentSets, assignmentSets)
    .map(([before, after]) => [before, mixed(before, after)] as const);

  it('leads from one assignment to the other', () => {
    fc.assert(
      fc.property(pairs, ([before, after]) => {
        const delta = diffAssignments(before, after);
        const applied = delta === undefined ? before : applyDelta(before, delta);
        const self = after.network?.self.nodeId;
        const expected = sorted(withoutNews(told(after)));
        expect(sorted(withoutNews(told(applied, self)))).toEqual(expected);
        expect(diffAssignments(applied, after)).toBeUndefined();
      }),
      { numRuns: 100 },
    );
  });

  it('is full for a node of which nothing is known, and then needs nothing', () => {
    fc.assert(
      fc.property(pairs, ([before, after]) => {
        const delta = diffAssignments(undefined, after)!;
        expect(delta.full).toBe(true);
        expect(sorted(applyDelta(undefined, delta))).toEqual(sorted(told(after)));
        expect(sorted(applyDelta(before, delta))).toEqual(sorted(told(after)));
      }),
      { numRuns: 50 },
    );
  });

  it('is nothing between equals, and names only what changed otherwise', () => {
    fc.assert(
      fc.property(
        assignmentSets.filter(({ tasks }) => tasks.length > 0),
        (set) => {
          expect(diffAssignments(set, set)).toBeUndefined();
          expect(diffAssignments(set, structuredClone(set))).toBeUndefined();
          const [first, ...rest] = structuredClone(set.tasks);
          const renamed = { ...first!, serviceName: `${first!.serviceName}!` };
          const delta = diffAssignments(set, { ...set, tasks: [...rest, renamed] })!;
          expect(delta).toEqual({
            full: false,
            putTasks: [renamed],
            removeTasks: [],
            putSecrets: [],
            removeSecrets: [],
            putConfigs: [],
            removeConfigs: [],
          });
          expect(diffAssignments(set, { ...set, tasks: rest })!.removeTasks).toEqual([first!.id]);
          const because = [{ code: 'x', message: 'y', at: 1 }];
          expect(diffAssignments(set, { ...set, tasks: [{ ...first!, because }, ...rest] })).toBe(
            undefined,
          );
        },
      ),
      { numRuns: 50 },
    );
  });
});
