/**
 * Moves tasks to where there is more room, as nodes have come or returned: one of the fullest place at
 * a time, its successor prepared on the emptiest node before it stops. Only where the service says so,
 * only while all is well, never more at a time than its budget and the update's parallelism, and only
 * moves that bring two places closer together, so that it ends.
 */
import { nodeAttribute, type Node, type NodeId, type Service, type Task } from '@swarmd/model';

import type { Draft } from '../draft.ts';
import { NODE_FAILURES_WINDOW_MS } from '../limits.ts';
import { Placement } from '../place/place.ts';
import {
  byAge,
  endedByItself,
  isCurrent,
  isOver,
  isWanted,
  statusTime,
  taskName,
} from '../task-view.ts';
import { addTask } from './new-task.ts';
import { rebalanceOf } from './rebalance-policy.ts';
import { isUpdating } from './update-state.ts';

export function rebalance(draft: Draft, service: Service): void {
  const { mode, update, task: spec } = service.spec;
  const policy = rebalanceOf(draft.view, service);
  if (mode.kind !== 'replicated' || policy.budget === 0) return;
  if (spec.placement.strategy === 'binpack' || isUpdating(service)) return;
  const limit = Math.min(policy.budget, update.parallelism === 0 ? Infinity : update.parallelism);
  const settled: Task[] = [];
  let moving = 0;
  for (const tasks of draft.slots().values()) {
    const wanted = tasks.filter(isWanted);
    const [only] = wanted;
    const isWell =
      wanted.length === 1 &&
      only?.status.state === 'running' &&
      isCurrent(only, service, draft.nodes);
    if (!isWell) moving += Number(wanted.length > 0);
    else if (tasks.some((task) => isStopping(draft, task))) moving += 1;
    else settled.push(only);
  }
  if (moving >= limit || isTooEarly(draft, service, policy.intervalMs)) return;
  const move = bestMove(draft, settled);
  if (move !== undefined) start(draft, service, move);
}

/** It may still serve, and holds what it reserved; one that nobody hears of is not waited for. */
function isStopping(draft: Draft, task: Task): boolean {
  return !isWanted(task) && !isOver(task) && !draft.nodes.isUnreachable(task);
}

/** Soon after the last move, or not long after one that failed. */
function isTooEarly(draft: Draft, service: Service, intervalMs: number): boolean {
  let dueAt = 0;
  for (const task of draft.tasks()) {
    if (task.because[0]?.code !== 'rebalanced') continue;
    dueAt = Math.max(dueAt, task.meta.createdAt + intervalMs);
    if (isOver(task) && endedByItself(task)) {
      dueAt = Math.max(dueAt, statusTime(task) + NODE_FAILURES_WINDOW_MS);
    }
  }
  if (dueAt <= draft.now) return false;
  const message = `time passes between two moves of ${service.spec.name}, and longer after one that failed`;
  draft.waitUntil(dueAt, { code: 'rebalance-interval', message });
  return true;
}

interface Move {
  readonly task: Task;
  readonly to: Node;
  readonly placement: Placement;
}

/** The move that closes the widest gap, of the highest level of the spread preferences first. */
function bestMove(draft: Draft, settled: readonly Task[]): Move | undefined {
  const [sample] = settled;
  if (sample === undefined) return undefined;
  const placement = new Placement(draft, sample);
  const targets = placement.bestOfEachBranch();
  const counts = countPlaces(draft, settled, sample);
  let best: { task: Task; to: Node; level: number; gap: number } | undefined;
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
  return best === undefined ? undefined : { task: best.task, to: best.to, placement };
}

/** The places a node belongs to, the widest first: its zone, its rack in the zone, itself. */
function placesOf(node: Node, sample: Task): string[] {
  const places: string[] = [];
  for (const { spread } of sample.spec.placement.preferences) {
    places.push(`${places.at(-1) ?? ''}/${nodeAttribute(node, spread) ?? ''}`);
  }
  return [...places, `node ${node.id}`];
}

function countPlaces(draft: Draft, settled: readonly Task[], sample: Task): Map<string, number> {
  const counts = new Map<string, number>();
  const places = new Map<NodeId, string[]>();
  for (const task of settled) {
    const node = draft.nodes.of(task);
    if (node === undefined) continue;
    const own = places.get(node.id) ?? placesOf(node, sample);
    places.set(node.id, own);
    for (const place of own) counts.set(place, (counts.get(place) ?? 0) + 1);
  }
  return counts;
}

function start(draft: Draft, service: Service, { task, to, placement }: Move): void {
  const name = to.description?.hostname ?? to.id;
  const because = draft.reason(
    'rebalanced',
    `replaces ${taskName(task)}: node ${name} has more room`,
  );
  const successor = addTask(draft, service, {
    slot: task.slot,
    because,
    ...(service.spec.update.order === 'start-first' ? {} : { startNotBefore: draft.now }),
  });
  if (!placement.put(successor, to)) draft.dropIfNew(successor);
}
