/** Which task moves first, and where to: what rebalancing would do next, were nothing in its way. */
import { nodeAttribute, type Node, type NodeId, type Task } from '@swarmd/model';

import type { Draft } from '../draft.ts';
import { byAge } from '../task-view.ts';

/** Of each slot its newest task that is to run. */
export interface Standing {
  /** Those that may move. */
  readonly settled: readonly Task[];
  /** Those that move already, or are not as they should be, which counts as much. */
  readonly underWay: readonly Task[];
}

export interface Move {
  readonly task: Task;
  readonly to: Node;
}

/**
 * The move that closes the widest gap, of the highest level of the spread preferences first.
 * @param targets Nodes that would take one more.
 */
export function bestMove(
  draft: Draft,
  { settled, underWay }: Standing,
  targets: readonly Node[],
): Move | undefined {
  const [sample] = settled;
  if (sample === undefined) return undefined;
  const counts = countPlaces(draft, [...settled, ...underWay], sample);
  let best: (Move & { level: number; gap: number }) | undefined;
  for (const to of targets) {
    const there = placesOf(to, sample);
    for (const task of settled.toSorted(byAge).toReversed()) {
      const node = draft.nodes.of(task);
      if (node === undefined || node.id === to.id) continue;
      const here = placesOf(node, sample);
      const level = here.findIndex((place, at) => place !== there[at]);
      const gap = (counts.get(here[level] ?? '') ?? 0) - (counts.get(there[level] ?? '') ?? 0);
      if (gap < 2) continue;
      const isBetter =
        best === undefined || level < best.level || (level === best.level && gap > best.gap);
      if (isBetter) best = { task, to, level, gap };
    }
  }
  return best;
}

/** The places a node belongs to, the widest first: its zone, its rack in the zone, itself. */
function placesOf(node: Node, sample: Task): string[] {
  const places: string[] = [];
  for (const { spread } of sample.spec.placement.preferences) {
    places.push(`${places.at(-1) ?? ''}/${nodeAttribute(node, spread) ?? ''}`);
  }
  return [...places, `node ${node.id}`];
}

function countPlaces(draft: Draft, tasks: readonly Task[], sample: Task): Map<string, number> {
  const counts = new Map<string, number>();
  const places = new Map<NodeId, string[]>();
  for (const task of tasks) {
    const node = draft.nodes.of(task);
    if (node === undefined) continue;
    const own = places.get(node.id) ?? placesOf(node, sample);
    places.set(node.id, own);
    for (const place of own) counts.set(place, (counts.get(place) ?? 0) + 1);
  }
  return counts;
}
