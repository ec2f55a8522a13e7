/**
 * Brings who is in Raft and what nodes shall be together: a node that is to be a worker, or that is no
 * longer there, leaves Raft as soon as a quorum stays without it; a manager that Raft does not know any
 * more (a new cluster was forced without it) shall be a worker. The key is the node's id. Managers come
 * in by themselves (`Membership.join`), once they hold a manager's certificate.
 */
import {
  ControlLoop,
  errorCode,
  errorMessage,
  type Clock,
  type Logger,
  type Random,
} from '@swarmd/base';
import { asId, type NodeId } from '@swarmd/model';
import type { Raft, RaftStatus } from '@swarmd/raft';
import type { Store } from '@swarmd/store';

import { ROLE_RETRY_MS } from '../limits.ts';
import { dismissManager } from './dismiss.ts';

export interface RoleLoopOptions {
  readonly store: Store;
  readonly raft: Raft;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export class RoleLoop implements AsyncDisposable {
  readonly #options: RoleLoopOptions;
  readonly #loop: ControlLoop;
  readonly #subscriptions: readonly Disposable[];

  constructor(options: RoleLoopOptions) {
    const { store, raft } = options;
    this.#options = options;
    this.#loop = new ControlLoop({ ...options, name: 'roles' }, (key, signal) =>
      this.#reconcile(asId('node', key), signal),
    );
    this.#subscriptions = [
      store.subscribe(({ changes }) => {
        for (const { table, before, after } of changes) {
          if (table !== 'node') continue;
          if (after === undefined || before?.spec.role !== after.spec.role) {
            this.#loop.enqueue((after ?? before)?.id ?? '');
          }
        }
      }),
      raft.onStatus((status) => this.#enqueueMembers(status)),
    ];
    this.#enqueueMembers(raft.status());
    for (const node of store.view.list('node')) {
      if (node.manager !== undefined) this.#loop.enqueue(node.id);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
    await this.#loop[Symbol.asyncDispose]();
  }

  #enqueueMembers(status: RaftStatus): void {
    for (const member of status.members) this.#loop.enqueue(member.nodeId);
  }

  async #reconcile(
    id: NodeId,
    signal: AbortSignal,
  ): Promise<{ requeueAfterMs: number } | undefined> {
    const { store, raft, logger } = this.#options;
    const node = store.view.get('node', id);
    const isMember = raft.status().members.some((member) => member.nodeId === id);
    const isManager = node?.manager !== undefined;
    if (node?.spec.role === 'manager' ? isMember || !isManager : !isMember && !isManager) {
      return undefined;
    }
    try {
      await dismissManager(this.#options, id, signal);
      logger.info({ nodeId: id }, 'a node that is no manager any more has left Raft');
      return undefined;
    } catch (error) {
      if (signal.aborted || errorCode(error) !== 'failed-precondition') throw error;
      logger.warn({ nodeId: id, error: errorMessage(error) }, 'a manager cannot be dismissed yet');
      return { requeueAfterMs: ROLE_RETRY_MS };
    }
  }
}
