/**
 * Follows Raft's role. While this member leads, one scope of leader duties is open: opened after
 * everything committed before the election is applied here, disposed when the role or the term
 * changes. A duty that fails closes the scope and hands leadership over.
 *
 * Invariant: at most one scope is open, and it belongs to exactly one term.
 */
import {
  abortReason,
  errorMessage,
  Scope,
  sleep,
  SwarmError,
  withDeadline,
  type Clock,
  type Logger,
} from '@swarmd/base';
import type { Raft } from '@swarmd/raft';

import { LEADERSHIP_OPEN_MS } from '../limits.ts';
import { Wakeup } from '../wakeup.ts';

const REOPEN_PAUSE_MS = 200; // a lone voter cannot hand over: it tries its duties again

/** What leader-only code gets. The signal aborts when the reign ends. */
export interface Reign<Duties> {
  readonly term: number;
  readonly signal: AbortSignal;
  readonly duties: Duties;
}

export interface LeadershipOptions<Duties> {
  readonly raft: Raft;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Starts the duties in `scope`; when it resolves the leader answers requests. */
  readonly open: (scope: Scope, signal: AbortSignal) => Promise<Duties>;
}

export class Leadership<Duties> implements AsyncDisposable {
  readonly #options: LeadershipOptions<Duties>;
  readonly #scope: Scope;
  readonly #wakeup = new Wakeup();
  readonly #listeners = new Set<() => void>();
  #reign: Reign<Duties> | undefined;
  #caughtUpTerm: number | undefined;

  constructor(options: LeadershipOptions<Duties>) {
    this.#options = options;
    this.#scope = new Scope((name, error) =>
      options.logger.error({ name, error: errorMessage(error) }, 'leadership stopped'),
    );
    this.#scope.own(
      options.raft.onStatus(() => {
        this.#wakeup.wake();
        this.#notify();
      }),
    );
    this.#scope.spawn('leadership', (signal) => this.#follow(signal));
  }

  /** The present reign, or undefined when this member does not lead or is not ready to. */
  get reign(): Reign<Duties> | undefined {
    const status = this.#options.raft.status();
    const reign = this.#reign;
    if (reign === undefined || status.role !== 'leader' || status.term !== reign.term) {
      return undefined;
    }
    return reign;
  }

  /**
   * The term in which this member leads and has applied everything committed before: what it decides
   * now may be proposed in this term, and in no other. Undefined when it may not decide.
   */
  get decidingTerm(): number | undefined {
    const term = this.#caughtUpTerm;
    return term !== undefined && term === this.#leadingTerm() ? term : undefined;
  }

  /** Called when somebody else may be leader, or when this member's reign begins or ends. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope[Symbol.asyncDispose]();
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }

  #leadingTerm(): number | undefined {
    const status = this.#options.raft.status();
    return status.role === 'leader' ? status.term : undefined;
  }

  async #follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const term = this.#leadingTerm();
      if (term === undefined) {
        await this.#wakeup.wait(signal).catch(ignoreAbort(signal));
        continue;
      }
      const failure = await this.#rule(term, signal);
      if (failure !== undefined) await this.#handOver(failure, signal);
    }
  }

  /** Holds the duties of `term` until it ends. Answers the failure that ended it, if one did. */
  async #rule(term: number, signal: AbortSignal): Promise<unknown> {
    const { logger, open, raft, clock } = this.#options;
    const failures: unknown[] = [];
    const scope = new Scope((name, error) => {
      failures.push(
        new SwarmError('internal', `${name}: ${errorMessage(error)}`, { cause: error }),
      );
      this.#wakeup.wake();
    });
    try {
      const duties = await withDeadline(
        { clock, timeoutMs: LEADERSHIP_OPEN_MS, what: 'taking up leadership', signal },
        async (opening) => {
          await raft.readBarrier(opening);
          this.#caughtUpTerm = term;
          return open(scope, opening);
        },
      );
      this.#reign = { term, signal: scope.signal, duties };
      logger.info({ term }, 'this manager leads');
      this.#notify();
      while (failures.length === 0 && this.#leadingTerm() === term) {
        await this.#wakeup.wait(signal);
      }
    } catch (error) {
      if (!signal.aborted && this.#leadingTerm() === term) failures.push(error);
    } finally {
      this.#reign = undefined;
      this.#caughtUpTerm = undefined;
      this.#notify();
      await scope[Symbol.asyncDispose]();
    }
    logger.info({ term }, 'this manager leads no more');
    return failures[0];
  }

  async #handOver(failure: unknown, signal: AbortSignal): Promise<void> {
    const { raft, logger, clock } = this.#options;
    logger.error({ error: errorMessage(failure) }, 'a leader duty failed: handing leadership over');
    try {
      await withDeadline(
        { clock, timeoutMs: LEADERSHIP_OPEN_MS, what: 'handing leadership over', signal },
        (waiting) => raft.transferLeadership(undefined, waiting),
      );
    } catch (error) {
      logger.warn({ error: errorMessage(error) }, 'leadership could not be handed over');
      await sleep(clock, REOPEN_PAUSE_MS, signal).catch(ignoreAbort(signal));
    }
  }
}

function ignoreAbort(signal: AbortSignal): (error: unknown) => void {
  return (error) => {
    if (!signal.aborted) throw error instanceof Error ? error : abortReason(signal);
  };
}
