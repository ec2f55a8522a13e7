/**
 * The main thread's half of the state machine: applies batches as they come, reads pictures for
 * snapshots frame by frame as the worker has room, and restores.
 */
import type { Restoring, StateMachine } from './types.ts';
import { unpackBatch } from './apply-batch.ts';
import { packChunks, unpackChunks } from './chunk-frames.ts';
import { FRAME_BYTES } from './limits.ts';
import type { FromWorker, ToWorker } from './worker-protocol.ts';

export type FeedMessage = Extract<
  FromWorker,
  {
    kind:
      | 'apply'
      | 'takeSnapshot'
      | 'snapshotCredit'
      | 'dropSnapshot'
      | 'restoreBegin'
      | 'restoreFrame'
      | 'restoreEnd';
  }
>;

export class StateMachineFeed {
  readonly #machine: StateMachine;
  readonly #post: (message: ToWorker) => void;
  readonly #frameBytes: number;
  #applied = 0;
  #picture: Iterator<ArrayBuffer> | undefined;
  #restoring: { readonly index: number; readonly into: Restoring } | undefined;

  constructor(machine: StateMachine, post: (message: ToWorker) => void, frameBytes = FRAME_BYTES) {
    this.#machine = machine;
    this.#post = post;
    this.#frameBytes = frameBytes;
  }

  /** Index of the last entry that the state machine has. */
  get applied(): number {
    return this.#applied;
  }

  /** Whatever the state machine throws comes through: it can then not be trusted any more. */
  handle(message: FeedMessage): void {
    switch (message.kind) {
      case 'apply': {
        const entries = unpackBatch(message.batch);
        this.#machine.apply(entries);
        this.#applied = message.batch.first + entries.length - 1;
        this.#post({ kind: 'applied', index: this.#applied });
        break;
      }
      case 'takeSnapshot':
        this.#picture = packChunks(this.#machine.snapshot(), this.#frameBytes);
        this.#post({ kind: 'snapshotBegin', index: this.#applied });
        break;
      case 'snapshotCredit':
        this.#sendFrame();
        break;
      case 'dropSnapshot':
        this.#picture = undefined;
        break;
      case 'restoreBegin':
        this.#restoring = { index: message.index, into: this.#machine.restore(message.index) };
        break;
      case 'restoreFrame':
        for (const chunk of unpackChunks([message.frame])) this.#restoring?.into.take(chunk);
        this.#post({ kind: 'restoreCredit' });
        break;
      case 'restoreEnd':
        this.#restore();
        break;
    }
  }

  #sendFrame(): void {
    const next = this.#picture?.next();
    if (next === undefined) return;
    if (next.done === true) {
      this.#picture = undefined;
      this.#post({ kind: 'snapshotEnd' });
      return;
    }
    this.#post({ kind: 'snapshotFrame', frame: next.value });
  }

  #restore(): void {
    const restoring = this.#restoring;
    if (restoring === undefined) return;
    this.#restoring = undefined;
    restoring.into.finish();
    this.#applied = restoring.index;
    this.#post({ kind: 'restored' });
  }
}
