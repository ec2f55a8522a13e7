/** The promises about where tasks are put and who has to leave, as questions about one task. */
import {
  meetsConstraint,
  parseAffinity,
  parseConstraint,
  type Node,
  type Task,
} from '@swarmd/model';
import type { ReadView } from '@swarmd/store';

import { isOver, isWanted } from './rules.ts';

/** What is wrong with the node that a task was just given. `fresh`: tasks that got theirs at the same moment. */
export function badPlace(
  view: ReadView,
  task: Task,
  { node, fresh }: { node: Node; fresh: ReadonlySet<Task> },
): string | undefined {
  const { placement } = task.spec;
  const refuse = (why: string): string => `task ${task.id} was put on ${node.id}: ${why}`;
  if (node.status.state !== 'ready') return refuse(`it is ${node.status.state}`);
  if (node.status.heldUntil !== undefined) return refuse('it comes and goes');
  if (node.spec.availability !== 'active') return refuse(`it is told to ${node.spec.availability}`);
  for (const text of placement.constraints) {
    const constraint = parseConstraint(text);
    if (typeof constraint === 'string' || meetsConstraint(node, constraint)) continue;
    return refuse(`it does not meet ${text}`);
  }
  const here = [...view.tasksByNode(node.id)].filter((one) => isWanted(one) && !isOver(one));
  const own = here.filter((one) => one.serviceId === task.serviceId).length;
  const most = placement.maxReplicasPerNode;
  if (most > 0 && own > most)
    return refuse(`${own} tasks of its service are there, ${most} may be`);
  for (const other of here) {
    if (other.id === task.id || fresh.has(other)) continue;
    if (keepsAway(task, other) || keepsAway(other, task)) {
      return refuse(`${other.id} of ${other.serviceName} is there, and they are to be apart`);
    }
  }
  return undefined;
}

function keepsAway({ spec }: Task, other: Task): boolean {
  return spec.placement.affinities.some((text) => {
    const affinity = parseAffinity(text);
    if (typeof affinity === 'string' || !affinity.required || affinity.together) return false;
    return affinity.service === other.serviceName;
  });
}

/** Only less important tasks of others leave, for one that may ask for it. */
export function badVictim(victim: Task, winner: Task): string | undefined {
  const { priority, preempts } = winner.spec.placement;
  const isRight =
    preempts && priority > victim.spec.placement.priority && winner.serviceId !== victim.serviceId;
  if (isRight) return undefined;
  return `task ${victim.id} (priority ${victim.spec.placement.priority}) has to leave for ${winner.id} (priority ${priority}, preempts: ${preempts})`;
}

/**
 * Somebody who leaves for a task although there is room without that: neither memory nor processors
 * nor ports nor affinities ask for it. Everybody else who leaves the node is counted as gone, unless
 * that was decided in the same commit (`told`): perhaps later, and others' room was not to be foreseen.
 */
export function needlessVictim(
  view: ReadView,
  task: Task,
  { node, told }: { node: Node; told: ReadonlySet<Task> },
): string | undefined {
  const { nominated } = task;
  const { affinities, maxReplicasPerNode } = task.spec.placement;
  if (nominated === undefined || affinities.length > 0 || maxReplicasPerNode > 0) return undefined;
  const staying = [...view.tasksByNode(node.id)].filter(
    (one) =>
      !isOver(one) &&
      (one.preemptedBy === undefined || (told.has(one) && one.preemptedBy !== task.id)),
  );
  const promised = [...view.list('task')].filter(
    (one) => one.id !== task.id && one.nominated?.nodeId === node.id && isWanted(one),
  );
  for (const id of nominated.victims) {
    const victim = view.get('task', id);
    if (victim === undefined || hasHostPort(victim)) continue;
    if (victim.spec.placement.affinities.length > 0) continue;
    const held = [...staying, ...promised, victim, task].map(({ spec }) => spec.reservations);
    const memory = held.reduce((sum, one) => sum + one.memoryBytes, 0);
    const cpus = held.reduce((sum, one) => sum + one.nanoCpus, 0);
    const { memoryBytes = 0, nanoCpus = 0 } = node.description?.resources ?? {};
    if (memory <= memoryBytes && cpus <= nanoCpus) {
      return `task ${victim.id} leaves ${node.id} for ${task.id}, and there is room for both: ${memory} of ${memoryBytes} bytes, ${cpus} of ${nanoCpus} billionths of a CPU`;
    }
  }
  return undefined;
}

function hasHostPort({ ports }: Task): boolean {
  return ports.some(({ publishMode }) => publishMode === 'host');
}
