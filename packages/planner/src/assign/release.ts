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
  const isReady = (id: NodeId): boolean => view.get('node', id)?.status.state === 'ready';
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
    const balancing = balancers(view, task, usersOf);
    holders.set(
      task,
      [...balancing].filter((id) => appliedBy(id) < task.meta.version && isReady(id)),
    );
  }
  return holders;
}

/** Every node answers ports of the mesh; otherwise those with a task on one of its networks. */
function balancers(
  view: AssignView,
  task: Task,
  usersOf: (networkId: NetworkId) => readonly NodeId[],
): Iterable<NodeId> {
  if (hasMeshPort(task.ports)) return [...view.list('node')].map(({ id }) => id);
  const users = task.networks.flatMap(({ networkId }) => usersOf(networkId));
  return new Set(task.nodeId === undefined ? users : [task.nodeId, ...users]);
}
