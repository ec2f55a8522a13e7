/** Bounds of the store. */

/** Writes of tasks, and of nodes, that are remembered: followers that are further behind read all of them instead. */
export const JOURNAL_WRITES_MAX = 65_536;

/** Transactions that may wait while a batch is being committed; beyond it callers must back off. */
export const WAITING_TRANSACTIONS_MAX = 10_000;

/** How much of those that wait in a lane goes into one batch. */
export interface BatchShare {
  /** No further transaction is taken after so long: the process must answer others in between. */
  readonly runMs: number;
  /**
   * So many transactions, or changes of the whole batch, are taken however long it takes. It is what goes into that
   * time on a machine that has nothing else to do. On one that does time passes while nothing gets done: batches
   * would shrink to one transaction each, of which each costs as much as a full one.
   */
  readonly leastChanges: number;
  readonly leastTransactions: number;
}

/**
 * Who is left out waits for a whole batch more, so those that somebody waits for have longer. Besides them go only
 * some of the others: what these take, to run, to encode, to be written and applied, is waited for as well.
 */
export const BATCH_SHARE = {
  prompt: { runMs: 12, leastChanges: 250, leastTransactions: 16 },
  patient: { runMs: 8, leastChanges: 400, leastTransactions: 8 },
  besides: { runMs: 2, leastChanges: 150, leastTransactions: 8 },
} as const satisfies Record<string, BatchShare>;

/** A batch takes no further transaction once it has so many changes: keeps one commit short. */
export const BATCH_CHANGES_MAX = 4_096;

/** The same for its estimated size: keeps Raft entries small enough to interleave with heartbeats. */
export const BATCH_BYTES_MAX = 1024 * 1024;

/**
 * The steps of batches with so many changes (to run, to apply, to answer: some 10 us a change each) have
 * turns of the event loop of their own. Smaller ones are quicker without.
 */
export const BATCH_RESTS_CHANGES = 100;

/** A single transaction may not be larger than this estimate: it becomes one Raft entry. */
export const TRANSACTION_BYTES_MAX = 8 * 1024 * 1024;

/** A caller repeats a request for a fraction of this; later it must look for itself. */
export const REQUEST_KEPT_MS = 2 * 60_000;

/** About 10 MiB. Requests come slower than so many in the time in which callers repeat them. */
export const REQUESTS_MAX = 65_536;
