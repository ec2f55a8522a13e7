/** Makes a learner a voter once it has caught up with the log. The key is the learner's Raft id. */
import { ControlLoop, type Clock, type Logger, type Random } from '@swarmd/base';
import type { Raft, RaftStatus } from '@swarmd/raft';

import { PROMOTION_MAX_LAG_ENTRIES, PROMOTION_POLL_MS } from '../limits.ts';

export class PromotionLoop implements AsyncDisposable {
  readonly #raft: Raft;
  readonly #logger: Logger;
  readonly #loop: ControlLoop;
  readonly #subscription: Disposable;

  constructor(options: { raft: Raft; clock: Clock; random: Random; logger: Logger }) {
    this.#raft = options.raft;
    this.#logger = options.logger;
    this.#loop = new ControlLoop({ ...options, name: 'promotion' }, (key, signal) =>
      this.#promote(Number(key), signal),
    );
    this.#subscription = this.#raft.onStatus((status) => this.#enqueueLearners(status));
    this.#enqueueLearners(this.#raft.status());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    await this.#loop[Symbol.asyncDispose]();
  }

  #enqueueLearners(status: RaftStatus): void {
    for (const member of status.members) {
      if (member.role === 'learner') this.#loop.enqueue(String(member.raftId));
    }
  }

  async #promote(
    raftId: number,
    signal: AbortSignal,
  ): Promise<{ requeueAfterMs: number } | undefined> {
    const status = this.#raft.status();
    const member = status.members.find((candidate) => candidate.raftId === raftId);
    if (member?.role !== 'learner') return undefined;
    if (!caughtUp(status, raftId)) return { requeueAfterMs: PROMOTION_POLL_MS };
    await this.#raft.changeMembership({ kind: 'promote', raftId }, signal);
    this.#logger.info({ raftId, nodeId: member.nodeId }, 'manager has caught up: now a voter');
    return undefined;
  }
}

function caughtUp(status: RaftStatus, raftId: number): boolean {
  const progress = status.progress.find((one) => one.raftId === raftId);
  return (
    progress?.state === 'replicate' &&
    progress.recentlyActive &&
    progress.match + PROMOTION_MAX_LAG_ENTRIES >= status.commit
  );
}
