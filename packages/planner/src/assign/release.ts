/**
 * Letting go of a task that is to stop: it goes on running, outside of every answer and balance,
 * until the nodes that send traffic to it have confirmed that they do not any more.
 */
import { hasMeshPort, type NetworkId, type NodeId, type Task } from '@swarmd/model';

import type { AssignView } from '../types.ts';
import { pictureOf } from './picture.ts';

/** It is to stop, runs, can be reached by others, and has not been let go of yet. */
export function isLeaving(task: Task): boolean {
  return (
    (task.desiredState === 'shutdown' || task.desiredState === 'remove') &&
    task.status.state === 'running' &&
    task.releasedAt === undefined &&
    (task.networks.some(({ address }) => address !== '') || task.ports.length > 0)
  );
}

const asRunning = new WeakMap<Task, Task>();

/** The task as its own node is told of it: to be stopped only when it was let go of. */
export function asTold(task: Task): Task {
  if (!isLeaving(task)) return task;
  let told = asRunning.get(task);
  if (told === undefined) {
    told = { ...task, desiredState: 'running' };
    asRunning.set(task, told);
  }
  return told;
}

/**
 * For each leaving task the nodes that may still send to it: those that balance to it, are not known
 * to be down, and have not confirmed the version it left at. `appliedBy` says how far a node has come.
 */
export function holdersOf(
  view: AssignView,
  tasks: readonly Task[],
  appliedBy: (nodeId: NodeId) => number,
): ReadonlyMap<Task, readonly NodeId[]> {
  const ready = new Set<NodeId>();
  for (const node of view.list('node')) if (node.status.state === 'ready') ready.add(node.id);
  const users = new Map<NetworkId, readonly NodeId[]>();
  const usersOf = (networkId: NetworkId): readonly NodeId[] => {
    let nodes = users.get(networkId);
    if (nodes === undefined) {
      const endpoints = pictureOf(view).endpoints.get(networkId) ?? [];
      nodes = [...new Set(endpoints.map((endpoint) => endpoint.nodeId))];
      users.set(networkId, nodes);
    }
    return nodes;
  };
  const holders = new Map<Task, readonly NodeId[]>();
  for (const task of tasks) {
    const balancing = balancers(task, { ready, usersOf });
    holders.set(
      task,
      [...balancing].filter((id) => ready.has(id) && appliedBy(id) < task.meta.version),
    );
  }
  return holders;
}

/** Every node answers ports of the mesh; otherwise those with a task on one of its networks. */
function balancers(
  task: Task,
  nodes: { ready: ReadonlySet<NodeId>; usersOf: (networkId: NetworkId) => readonly NodeId[] },
): Iterable<NodeId> {
  if (hasMeshPort(task.ports)) return nodes.ready;
  const users = task.networks.flatMap(({ networkId }) => nodes.usersOf(networkId));
  return new Set(task.nodeId === undefined ? users : [task.nodeId, ...users]);
}
