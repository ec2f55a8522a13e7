/**
 * Turns transactions into proposals. One proposal is in flight; transactions that arrive meanwhile
 * wait, then run one after the other against the newest state and leave together as one proposal.
 *
 * A transaction that ran in a batch learns its outcome with the batch, even if it wrote nothing or
 * threw: what it saw may include writes of the batch that are not committed yet.
 *
 * A request that is known to be applied is answered without running; one that comes twice in a batch
 * waits for the next one, which knows.
 */
import { abortReason, assert, SwarmError, type Clock } from '@swarmd/base';
import type { Change } from '@swarmd/model';

import {
  BATCH_BYTES_MAX,
  BATCH_RUN_MS,
  BATCH_CHANGES_MAX,
  WAITING_TRANSACTIONS_MAX,
} from './limits.ts';
import type { AppliedRequest } from './applied-requests.ts';
import type { Tables } from './tables.ts';
import { OpenTransaction, RunAgain } from './transaction.ts';
import type { Proposer } from './types.ts';

type Outcome =
  | { readonly kind: 'returned'; readonly value: unknown }
  | { readonly kind: 'threw'; readonly error: unknown };

interface Waiting {
  /** Once it was sent on its way: told when its caller gives up. */
  onAbandoned: ((signal: AbortSignal) => void) | undefined;
  readonly run: (tx: OpenTransaction) => unknown;
  readonly requestId: string | undefined;
  readonly signal: AbortSignal;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface Ran {
  readonly waiting: Waiting;
  readonly wrote: boolean;
  readonly outcome: Outcome;
}

interface Batch {
  readonly ran: Ran[];
  readonly requests: AppliedRequest[];
  readonly changes: Change[];
}

/**
 * Runs `collect` a moment later, so that what comes in the same turn leaves together. How long a turn is
 * is the caller's to say; until the end of the running microtask unless said otherwise.
 */
export type Gather = (collect: () => void) => void;

export class GroupCommit {
  readonly #tables: Tables;
  readonly #proposer: Proposer;
  readonly #clock: Clock;
  readonly #gather: Gather | undefined;
  #queue: Waiting[] = [];
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
    requestId?: string,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(abortReason(signal));
        return;
      }
      if (this.#queue.length >= WAITING_TRANSACTIONS_MAX) {
        reject(
          new SwarmError(
            'resource-exhausted',
            `${WAITING_TRANSACTIONS_MAX} changes of the cluster wait to be committed already; try again later`,
          ),
        );
        return;
      }
      this.#enqueue({ run, requestId, signal, resolve, reject, onAbandoned: undefined });
    });
  }

  #enqueue(request: Waiting): void {
    const { signal } = request;
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
      const at = this.#queue.indexOf(entry);
      if (at >= 0) this.#queue.splice(at, 1);
      request.reject(at >= 0 ? abortReason(signal) : unknownOutcome(signal));
      entry.onAbandoned?.(signal);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#queue.push(entry);
    if (this.#busy) return;
    this.#busy = true;
    const drain = (): void => void this.#drain();
    if (this.#gather === undefined) queueMicrotask(drain);
    else this.#gather(drain);
  }

  /**
   * Never rejects: every failure goes to the transactions it concerns. Answers take time, so those of a
   * batch are given while the next one is on its way already.
   */
  async #drain(): Promise<void> {
    let answer = (): void => undefined;
    while (this.#queue.length > 0) {
      const batch = this.#collect();
      const committing = batch.changes.length > 0 ? this.#commit(batch) : () => settleAll(batch);
      answer();
      answer = await committing;
    }
    answer();
    this.#busy = false;
  }

  /** Runs what waits, as far as one batch goes, and leaves the tables as they were. */
  #collect(): Batch {
    const ran: Ran[] = [];
    const writes = new Map<string, Change>();
    const written = new Set<string>();
    const undo: OpenTransaction[] = [];
    const again: Waiting[] = [];
    const requests = new Map<string, AppliedRequest>();
    // Strictly later than the batch before, also after a change to a leader whose clock is behind:
    // who is older than whom is what planning goes by.
    const now = Math.max(this.#clock.now(), this.#tables.lastStamp + 1);
    let bytes = 0;
    let taken = 0;
    const startedAt = this.#clock.monotonic();
    for (const waiting of this.#queue) {
      const ranMs = this.#clock.monotonic() - startedAt;
      const isFull = writes.size >= BATCH_CHANGES_MAX || bytes >= BATCH_BYTES_MAX;
      if (isFull || ranMs >= BATCH_RUN_MS) break;
      taken += 1;
      const { requestId } = waiting;
      const applied = requestId === undefined ? undefined : this.#tables.requests.get(requestId);
      if (applied !== undefined) {
        waiting.resolve(applied.answer);
        continue;
      }
      if (requestId !== undefined && requests.has(requestId)) {
        again.push(waiting);
        continue;
      }
      const tx = new OpenTransaction(this.#tables, { written, now });
      const result = runOne(waiting, tx);
      if (result === undefined) {
        tx.undo();
        again.push(waiting);
        continue;
      }
      if (result.outcome.kind === 'threw') tx.undo();
      else {
        bytes += result.bytes;
        undo.push(tx);
        for (const [key, change] of tx.writes) {
          writes.set(key, change);
          written.add(key);
        }
      }
      const wrote = result.outcome.kind === 'returned' && tx.writes.size > 0;
      if (wrote && requestId !== undefined && result.outcome.kind === 'returned') {
        const answer = String(result.outcome.value);
        requests.set(requestId, { id: requestId, answer, at: now });
      }
      const one: Ran = { waiting, wrote, outcome: result.outcome };
      // What ran before any write of the batch saw only committed state: no need to wait.
      if (writes.size === 0) settle(one);
      else ran.push(one);
    }
    for (const tx of undo.toReversed()) tx.undo();
    this.#queue = [...again, ...this.#queue.slice(taken)];
    return { ran, changes: [...writes.values()], requests: [...requests.values()] };
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
      this.#queue.unshift(...batch.ran.filter((one) => !one.wrote).map((one) => one.waiting));
      return () => undefined;
    }
    return () => settleAll(batch);
  }
}

/** Undefined when the transaction touched what the batch wrote before and must run again. */
function runOne(
  waiting: Waiting,
  tx: OpenTransaction,
): { outcome: Outcome; bytes: number } | undefined {
  try {
    const value = waiting.run(tx);
    assert(!isThenable(value), 'the callback of a transaction is synchronous');
    const bytes = tx.close();
    return tx.mustRunAgain ? undefined : { outcome: { kind: 'returned', value }, bytes };
  } catch (error) {
    if (error instanceof RunAgain || tx.mustRunAgain) return undefined;
    return { outcome: { kind: 'threw', error }, bytes: 0 };
  }
}

function settleAll(batch: Batch): void {
  for (const one of batch.ran) settle(one);
}

function settle({ waiting, outcome }: Ran): void {
  if (outcome.kind === 'returned') waiting.resolve(outcome.value);
  else waiting.reject(outcome.error);
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value;
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
  for (const writer of writers) {
    writer.onAbandoned = (signal) => {
      left -= 1;
      if (left === 0) controller.abort(abortReason(signal));
    };
  }
  return controller.signal;
}
