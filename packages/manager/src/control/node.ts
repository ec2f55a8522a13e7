/** Control of nodes: role, availability, labels, removal. */
import type { Control } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';
import {
  isTerminal,
  nodeSpec,
  type Node,
  type NodeId,
  type NodeSpec,
  type Task,
} from '@swarmd/model';
import type { ReadView, Transaction } from '@swarmd/store';

import type { ControlContext } from './context.ts';
import { REMOVED_MANAGERS_MAX } from '../limits.ts';
import { theCluster } from '../replication/the-cluster.ts';
import { matches } from './filter.ts';
import { notFound, parseSpec } from './validate.ts';

type NodeControl = Pick<Control, 'getNode' | 'listNodes' | 'updateNode' | 'removeNode'>;

export function nodeControl(context: ControlContext): NodeControl {
  return {
    getNode: async ({ id }, call) => required(await context.read(call), id),
    listNodes: async ({ filter }, call) =>
      [...(await context.read(call)).list('node')].filter((node) =>
        matches(filter, {
          id: node.id,
          name: node.description?.hostname ?? '',
          labels: node.spec.labels,
        }),
      ),
    updateNode: (request, call) => {
      const { id, version } = request;
      const spec = parseSpec('node', nodeSpec, request.spec);
      return context.onLeader(
        call,
        async (signal) => {
          if (context.isFinished(call)) return required(context.view, id);
          const demoted = isDemotion(current(context.view, id, version), spec);
          if (demoted) await context.prepareDismissal(id, signal);
          const write = (tx: Transaction): void =>
            tx.put('node', { ...current(tx, id, version), spec });
          await context.finish(call, write, signal);
          // It is committed what it shall be; the leader goes on until it is so.
          if (demoted) await context.whenDismissed(id, signal);
          return required(context.view, id);
        },
        (leader, on) => leader.updateNode(request, on),
      );
    },
    removeNode: ({ id, force }, call) =>
      context.onLeader(
        call,
        async (signal) => {
          if (context.isFinished(call)) return;
          const node = required(context.view, id);
          refuseInUse(node, force);
          if (node.manager !== undefined) await context.dismissManager(id, signal);
          const remove = (tx: Transaction): void => {
            refuseInUse(required(tx, id), force);
            removeNode(tx, id, context.clock.now());
          };
          await context.finish(call, remove, signal);
        },
        (leader, on) => leader.removeNode({ id, force }, on),
      ),
  };
}

function required(view: ReadView, id: NodeId): Node {
  const node = view.get('node', id);
  if (node === undefined) throw notFound('node', id);
  return node;
}

/** @throws SwarmError `not-found`, `out-of-date` */
function current(view: ReadView, id: NodeId, version: number): Node {
  const stored = required(view, id);
  if (stored.meta.version !== version) throw outOfDate(stored, version);
  return stored;
}

function label(node: Node): string {
  return node.description === undefined ? node.id : `${node.description.hostname} (${node.id})`;
}

function outOfDate(stored: Node, version: number): SwarmError {
  return new SwarmError(
    'out-of-date',
    `node ${label(stored)} was changed meanwhile: version ${version} was read, ` +
      `${stored.meta.version} is stored; read it again and repeat the change`,
  );
}

function isDemotion(stored: Node, wanted: NodeSpec): boolean {
  return stored.spec.role === 'manager' && wanted.role === 'worker';
}

/** A lost manager can be removed by force, as long as the others are a quorum without it. */
function refuseInUse(node: Node, force: boolean): void {
  if (force) return;
  if (node.manager !== undefined) {
    throw new SwarmError(
      'failed-precondition',
      `node ${label(node)} is a manager; make it a worker first (swarmctl node demote ${node.id}), ` +
        `or use --force if it is lost`,
    );
  }
  if (node.status.state === 'ready') {
    throw new SwarmError(
      'failed-precondition',
      `node ${label(node)} is ready; stop its daemon or let it leave first, or use force`,
    );
  }
}

/** What still ran there is orphaned in the same transaction, so that no task is left without node. */
function removeNode(tx: Transaction, id: NodeId, now: number): void {
  for (const task of tx.tasksByNode(id)) {
    if (!isTerminal(task.status.state)) tx.put('task', orphaned(task, now));
  }
  refuseCertificate(tx, id);
  tx.delete('node', id);
}

/** Its certificate outlives it, and would still be one of a manager. */
function refuseCertificate(tx: Transaction, id: NodeId): void {
  const node = tx.get('node', id);
  const cluster = theCluster(tx);
  if (node?.everManager !== true && node?.manager === undefined) return;
  const removedManagers = [...cluster.removedManagers, id].slice(-REMOVED_MANAGERS_MAX);
  tx.put('cluster', { ...cluster, removedManagers });
}

function orphaned(task: Task, now: number): Task {
  return {
    ...task,
    status: {
      ...task.status,
      state: 'orphaned',
      timestamp: now,
      appliedAt: now,
      message: 'its node was removed from the cluster',
    },
  };
}
