/**
 * A context in which writes are carried out on the leader's state and taken back: the control API runs
 * in it unchanged, so a preview passes and fails where the write would.
 */
import type { Call } from '@swarmd/api';
import { assert } from '@swarmd/base';
import type { NodeId, ObjectOf, TableName } from '@swarmd/model';
import type { Rehearsal, Transaction } from '@swarmd/store';

import { checkDismissal } from '../membership/dismiss.ts';
import { ControlContext, type ControlOptions } from './context.ts';

/** Leader only; for one write. */
export class RehearsalContext<R> extends ControlContext {
  readonly #own: ControlOptions;
  readonly #afterwards: (tx: Rehearsal) => R;
  readonly #signal: AbortSignal;
  #outcome: { readonly value: R } | undefined;

  /** `afterwards` sees what the write has done, before it is taken back. */
  constructor(options: ControlOptions, afterwards: (tx: Rehearsal) => R, signal: AbortSignal) {
    super(options);
    this.#own = options;
    this.#afterwards = afterwards;
    this.#signal = signal;
  }

  /** What `afterwards` answered. */
  get outcome(): R {
    assert(this.#outcome !== undefined, 'a write of the control API runs a transaction');
    return this.#outcome.value;
  }

  override onLeader<T>(_call: Call, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return work(this.#signal);
  }

  override isFinished(): boolean {
    return false;
  }

  override async finish(_call: Call, fn: (tx: Transaction) => void): Promise<void> {
    await this.#rehearse(fn);
  }

  override writeObject<T extends TableName>(
    _options: unknown,
    fn: (tx: Transaction) => ObjectOf[T],
  ): Promise<ObjectOf[T]> {
    return this.#rehearse(fn);
  }

  override dismissManager(nodeId: NodeId, signal: AbortSignal): Promise<void> {
    return this.prepareDismissal(nodeId, signal);
  }

  /** Without handing leadership over. */
  override async prepareDismissal(nodeId: NodeId, signal: AbortSignal): Promise<void> {
    await checkDismissal(this.#own, nodeId, signal);
  }

  override whenDismissed(): Promise<void> {
    return Promise.resolve();
  }

  async #rehearse<T>(fn: (tx: Transaction) => T): Promise<T> {
    const run = (tx: Rehearsal): { result: T; value: R } => {
      const result = fn(tx);
      return { result, value: this.#afterwards(tx) };
    };
    const { result, value } = await this.#own.store.rehearse<{ result: T; value: R }>(
      run,
      this.#signal,
    );
    this.#outcome = { value };
    return result;
  }
}
