/**
 * Tells the leader how far the networks of the nodes connected here have come, while tasks wait to be
 * let go of. Nothing is said when no task waits. What a failed report should have told is told by
 * the next one; a new leader is told everything.
 */
import type { AppliedNetwork } from '@swarmd/api';
import { errorMessage, type Clock, type Logger } from '@swarmd/base';
import type { NodeId } from '@swarmd/model';
import type { Store } from '@swarmd/store';

import { APPLIED_REPORT_MAX_NODES, FORWARD_RETRY_MS } from '../limits.ts';
import { LeavingTasks } from '../leadership/leaving-tasks.ts';
import { Wakeup } from '../wakeup.ts';
import type { SessionDispatcher } from './dispatcher.ts';

export interface ReleaseReporterOptions {
  readonly store: Store;
  readonly dispatcher: Pick<SessionDispatcher, 'applied' | 'onApplied'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Calls when somebody else may lead. */
  readonly onLeaderChange: (listener: () => void) => Disposable;
  readonly report: (nodes: readonly AppliedNetwork[], signal: AbortSignal) => Promise<void>;
}

export class ReleaseReporter {
  readonly #options: ReleaseReporterOptions;
  readonly #told = new Map<NodeId, number>();
  /** Nodes to look at: those that have come further. Undefined: all, as what is waited for has changed. */
  #moved: Set<NodeId> | undefined;

  constructor(options: ReleaseReporterOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { store, dispatcher, clock, logger, onLeaderChange } = this.#options;
    const wakeup = new Wakeup();
    const lookAtAll = (): void => {
      this.#moved = undefined;
      wakeup.wake();
    };
    using leaving = new LeavingTasks(store, lookAtAll);
    using _applied = dispatcher.onApplied((nodeId) => {
      if (leaving.size === 0) return;
      this.#moved?.add(nodeId);
      wakeup.wake();
    });
    using _leader = onLeaderChange(() => {
      this.#told.clear();
      lookAtAll();
    });
    let again = false;
    while (!signal.aborted) {
      await wakeup.wait(signal, again ? { clock, ms: FORWARD_RETRY_MS } : undefined);
      again = false;
      if (leaving.size === 0) this.#told.clear();
      try {
        await this.#report(leaving, signal);
      } catch (error) {
        if (signal.aborted) return;
        again = true;
        this.#moved = undefined;
        logger.debug({ error: errorMessage(error) }, 'applied networks could not be reported');
      }
    }
  }

  async #report(leaving: LeavingTasks, signal: AbortSignal): Promise<void> {
    const news: AppliedNetwork[] = [];
    const versions = leaving.versions();
    const moved = this.#moved;
    this.#moved = new Set();
    for (const node of this.#options.dispatcher.applied(moved)) {
      const told = this.#told.get(node.nodeId) ?? -1;
      if (versions.some((version) => told < version && version <= node.version)) news.push(node);
    }
    for (let at = 0; at < news.length; at += APPLIED_REPORT_MAX_NODES) {
      const part = news.slice(at, at + APPLIED_REPORT_MAX_NODES);
      await this.#options.report(part, signal);
      for (const { nodeId, version } of part) this.#told.set(nodeId, version);
    }
  }
}
