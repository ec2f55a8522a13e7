/**
 * Transactions that leave together: each runs against the newest state and what those before it have
 * written, and all of it is taken back out of the tables once the batch is complete.
 */
import { assert, type Clock } from '@swarmd/base';
import type { Change } from '@swarmd/model';

import type { AppliedRequest } from './applied-requests.ts';
import { BATCH_BYTES_MAX, BATCH_CHANGES_MAX } from './limits.ts';
import type { Tables } from './tables.ts';
import { OpenTransaction, RunAgain, Stamps, WrittenRows } from './transaction.ts';

export interface Waiting {
  /** Once it was sent on its way: told when its caller gives up. */
  onAbandoned: ((signal: AbortSignal) => void) | undefined;
  readonly run: (tx: OpenTransaction) => unknown;
  readonly requestId: string | undefined;
  readonly signal: AbortSignal;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

type Outcome =
  | { readonly kind: 'returned'; readonly value: unknown }
  | { readonly kind: 'threw'; readonly error: unknown };

export interface Ran {
  readonly waiting: Waiting;
  readonly wrote: boolean;
  readonly outcome: Outcome;
}

export class Batch {
  /** Those that are to be told once the batch is committed. */
  readonly ran: Ran[] = [];
  readonly changes: Change[] = [];
  /** Of the state that they saw. */
  readonly version: number;
  readonly #tables: Tables;
  readonly #stamps: Stamps;
  readonly #requests = new Map<string, AppliedRequest>();
  readonly #written = new WrittenRows();
  readonly #undo: OpenTransaction[] = [];
  #bytes = 0;

  constructor(options: { tables: Tables; clock: Clock }) {
    this.#tables = options.tables;
    this.version = options.tables.version;
    // Strictly later than the batch before, also after a change to a leader whose clock is behind:
    // who is older than whom is what planning goes by.
    this.#stamps = new Stamps(Math.max(options.clock.now(), options.tables.lastStamp + 1));
  }

  get isFull(): boolean {
    return this.changes.length >= BATCH_CHANGES_MAX || this.#bytes >= BATCH_BYTES_MAX;
  }

  get requests(): AppliedRequest[] {
    return [...this.#requests.values()];
  }

  /** @returns whether it has had its run; else it is for the next batch. */
  run(waiting: Waiting): boolean {
    const { requestId } = waiting;
    const applied = requestId === undefined ? undefined : this.#tables.requests.get(requestId);
    if (applied !== undefined) {
      waiting.resolve(applied.answer);
      return true;
    }
    if (requestId !== undefined && this.#requests.has(requestId)) return false;
    const tx = new OpenTransaction(this.#tables, { written: this.#written, stamps: this.#stamps });
    const result = runOne(waiting, tx);
    if (result === undefined || result.outcome.kind === 'threw') tx.undo();
    if (result === undefined) return false;
    this.#note(tx, result);
    const { outcome, writes } = result;
    const wrote = writes.length > 0;
    if (wrote && requestId !== undefined && outcome.kind === 'returned') {
      const answer = String(outcome.value);
      this.#requests.set(requestId, { id: requestId, answer, at: this.#stamps.now });
    }
    const one: Ran = { waiting, wrote, outcome };
    // What ran before any write of the batch saw only committed state: no need to wait.
    if (this.changes.length === 0) settle(one);
    else this.ran.push(one);
    return true;
  }

  /** Leaves the tables as they were. */
  undo(): void {
    for (const tx of this.#undo.toReversed()) tx.undo();
  }

  #note(tx: OpenTransaction, { writes, bytes }: Result): void {
    if (writes.length === 0) return;
    this.#bytes += bytes;
    this.#undo.push(tx);
    for (const change of writes) {
      this.changes.push(change);
      this.#written.add(change.table, change.kind === 'put' ? change.object.id : change.id);
    }
  }
}

export function settle({ waiting, outcome }: Ran): void {
  if (outcome.kind === 'returned') waiting.resolve(outcome.value);
  else waiting.reject(outcome.error);
}

interface Result {
  readonly outcome: Outcome;
  readonly writes: readonly Change[];
  readonly bytes: number;
}

/** Undefined when the transaction touched what the batch wrote before and must run again. */
function runOne(waiting: Waiting, tx: OpenTransaction): Result | undefined {
  try {
    const value = waiting.run(tx);
    assert(!isThenable(value), 'the callback of a transaction is synchronous');
    const closed = tx.close();
    return tx.mustRunAgain ? undefined : { outcome: { kind: 'returned', value }, ...closed };
  } catch (error) {
    if (error instanceof RunAgain || tx.mustRunAgain) return undefined;
    return { outcome: { kind: 'threw', error }, writes: [], bytes: 0 };
  }
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value;
}
