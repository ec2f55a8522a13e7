/**
 * Turns transactions into proposals. One proposal is in flight; transactions that arrive meanwhile
 * wait, then run one after the other against the newest state and leave together as one proposal.
 * There are two lanes: what somebody waits for (prompt) is not to wait behind thousands of steps of
 * what goes on by itself (patient). Every batch has some of both.
 *
 * A transaction that ran in a batch learns its outcome with the batch, even if it wrote nothing or
 * threw: what it saw may include writes of the batch that are not committed yet.
 *
 * A request that is known to be applied is answered without running; one that comes twice in a batch
 * waits for the next one, which knows.
 */
import { abortReason, assert, SwarmError, type Clock } from '@swarmd/base';

import { Batch, settle, type Ran, type Waiting } from './batch.ts';
import {
  BATCH_RESTS_CHANGES,
  BATCH_SHARE,
  WAITING_TRANSACTIONS_MAX,
  type BatchShare,
} from './limits.ts';
import type { Tables } from './tables.ts';
import type { OpenTransaction } from './transaction.ts';
import type { Proposer } from './types.ts';

/**
 * Runs `next` a moment later: so that what comes in the same turn leaves together, and so that others
 * have their turn between the steps of a large batch. How long a turn is is the caller's to say; until
 * the end of the running microtask unless said otherwise.
 */
export type Gather = (next: () => void) => void;

type Lane = 'prompt' | 'patient';

export class GroupCommit {
  readonly #tables: Tables;
  readonly #proposer: Proposer;
  readonly #clock: Clock;
  readonly #gather: Gather | undefined;
  readonly #lanes: { readonly [L in Lane]: Waiting[] } = { prompt: [], patient: [] };
  #busy = false;

  constructor(options: {
    tables: Tables;
    proposer: Proposer;
    clock: Clock;
    gather?: Gather | undefined;
  }) {
    this.#gather = options.gather;
    this.#tables = options.tables;
    this.#proposer = options.proposer;
    this.#clock = options.clock;
  }

  /** @throws `resource-exhausted` when too many wait; the signal's reason; what `run` throws. */
  submit(
    run: (tx: OpenTransaction) => unknown,
    signal: AbortSignal,
    { requestId, isPatient = false }: { requestId?: string; isPatient?: boolean } = {},
  ): Promise<unknown> {
    const lane: Lane = isPatient ? 'patient' : 'prompt';
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(abortReason(signal));
        return;
      }
      if (this.#lanes[lane].length >= WAITING_TRANSACTIONS_MAX) {
        reject(
          new SwarmError(
            'resource-exhausted',
            `${WAITING_TRANSACTIONS_MAX} changes of the cluster wait to be committed already; try again later`,
          ),
        );
        return;
      }
      this.#enqueue(lane, { run, requestId, signal, resolve, reject, onAbandoned: undefined });
    });
  }

  #enqueue(lane: Lane, request: Waiting): void {
    const { signal } = request;
    const queue = this.#lanes[lane];
    const settled = (): void => signal.removeEventListener('abort', onAbort);
    const entry: Waiting = {
      ...request,
      resolve: (value) => {
        settled();
        request.resolve(value);
      },
      reject: (error) => {
        settled();
        request.reject(error);
      },
    };
    const onAbort = (): void => {
      const at = queue.indexOf(entry);
      if (at >= 0) queue.splice(at, 1);
      request.reject(at >= 0 ? abortReason(signal) : unknownOutcome(signal));
      entry.onAbandoned?.(signal);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    queue.push(entry);
    if (this.#busy) return;
    this.#busy = true;
    const drain = (): void => void this.#drain();
    if (this.#gather === undefined) queueMicrotask(drain);
    else this.#gather(drain);
  }

  /**
   * Never rejects: every failure goes to the transactions it concerns. Answers take time, so those of a
   * batch are given while the next one is on its way already; but not while others have their turn first.
   */
  async #drain(): Promise<void> {
    const nothing = (): void => undefined;
    let answer = nothing;
    let size = 0;
    while (this.#lanes.prompt.length + this.#lanes.patient.length > 0) {
      if (size >= BATCH_RESTS_CHANGES) {
        // It was applied in this turn, and whoever follows commits had much to do.
        answer();
        answer = nothing;
        await this.#rest();
      }
      const batch = this.#collect();
      if (batch.changes.length >= BATCH_RESTS_CHANGES) {
        await this.#rest();
        // A new leader's, or this one's in a later term, which does not know what it was decided on.
        if (batch.version !== this.#tables.version) {
          this.#again(batch.ran);
          continue;
        }
      }
      const committing = batch.changes.length > 0 ? this.#commit(batch) : () => settleAll(batch);
      if (size + batch.changes.length >= BATCH_RESTS_CHANGES) await this.#rest();
      answer();
      answer = await committing;
      size = batch.changes.length;
    }
    answer();
    this.#busy = false;
  }

  /** What they saw is not, or no more, what is there. They come first, whatever lane they were in. */
  #again(ran: readonly Ran[]): void {
    const left = ran.map((one) => one.waiting).filter(({ signal }) => !signal.aborted);
    this.#lanes.prompt.unshift(...left);
  }

  /** Lets others have their turn. */
  #rest(): Promise<void> {
    return this.#gather === undefined ? Promise.resolve() : new Promise(this.#gather);
  }

  /** Runs what waits, as far as one batch goes, and leaves the tables as they were. */
  #collect(): Batch {
    const batch = new Batch({ tables: this.#tables, clock: this.#clock });
    this.#runLane('prompt', batch, BATCH_SHARE.prompt);
    const isWaitedFor = batch.changes.length > 0;
    this.#runLane('patient', batch, isWaitedFor ? BATCH_SHARE.besides : BATCH_SHARE.patient);
    batch.undo();
    return batch;
  }

  /**
   * At least some of those that wait in the lane, unless the batch is full: none waits for ever. Prompt ones
   * leave less room for the patient: how long a batch takes is what everybody waits for.
   */
  #runLane(lane: Lane, batch: Batch, { runMs, leastChanges, leastTransactions }: BatchShare): void {
    const queue = this.#lanes[lane];
    const again: Waiting[] = [];
    const until = this.#clock.monotonic() + runMs;
    let taken = 0;
    for (const waiting of queue) {
      const hasLeast =
        taken >= leastTransactions || (taken > 0 && batch.changes.length >= leastChanges);
      if (batch.isFull || (hasLeast && this.#clock.monotonic() >= until)) break;
      taken += 1;
      if (!batch.run(waiting)) again.push(waiting);
    }
    queue.splice(0, taken, ...again);
  }

  /** @returns how to answer those that ran, once it is committed. */
  async #commit(batch: Batch): Promise<() => void> {
    const writers = batch.ran.filter((one) => one.wrote);
    const abandoned = whenAllGaveUp(writers.map((one) => one.waiting));
    try {
      const version = await this.#proposer.propose(batch.changes, abandoned, batch.requests);
      assert(
        this.#tables.version >= version,
        `a proposal is applied (${this.#tables.version}) before it is reported (${version})`,
      );
    } catch (error) {
      for (const one of writers) one.waiting.reject(error);
      // Those that wrote nothing may have seen writes that are not there: they look again.
      this.#again(batch.ran.filter((one) => !one.wrote));
      return () => undefined;
    }
    return () => settleAll(batch);
  }
}

function settleAll(batch: Batch): void {
  for (const one of batch.ran) settle(one);
}

function unknownOutcome(signal: AbortSignal): SwarmError {
  const cause = abortReason(signal);
  return new SwarmError(
    'unknown-outcome',
    `stopped waiting for a commit (${cause.message}); it may or may not take effect`,
    { cause },
  );
}

/** Aborts when all of them have given up: a proposal that nobody waits for need not go on. */
function whenAllGaveUp(writers: readonly Waiting[]): AbortSignal {
  const controller = new AbortController();
  let left = writers.length;
  const gaveUp = (signal: AbortSignal): void => {
    left -= 1;
    if (left === 0) controller.abort(abortReason(signal));
  };
  for (const writer of writers) {
    // While others had their turn, between its run and now.
    if (writer.signal.aborted) gaveUp(writer.signal);
    else writer.onAbandoned = gaveUp;
  }
  return controller.signal;
}
