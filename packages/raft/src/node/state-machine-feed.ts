/**
 * The main thread's half of the state machine: applies batches as they come, reads pictures for
 * snapshots frame by frame as the worker has room, and restores.
 *
 * Batches are applied at once: somebody waits for them. Frames, to or from a snapshot, have turns of the
 * event loop of their own, each with as many as take some milliseconds: what arrives on a port while it is
 * being emptied is delivered in the same turn, so frames that are answered at once would follow each other
 * until the whole snapshot is through.
 */
import type { Clock } from '@swarmd/base';

import type { Restoring, StateMachine } from './types.ts';
import { unpackBatch } from './apply-batch.ts';
import { packChunks, unpackChunks } from './chunk-frames.ts';
import { FRAME_BYTES, FRAMES_TURN_MS } from './limits.ts';
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

export interface FeedPorts {
  readonly post: (message: ToWorker) => void;
  /** Runs a step in a turn of its own, after what is waiting now. What it throws is as from `handle`. */
  readonly nextTurn: (step: () => void) => void;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly frameBytes?: number;
}

type Picture = Iterator<ArrayBuffer>;

export class StateMachineFeed {
  readonly #machine: StateMachine;
  readonly #ports: FeedPorts;
  /** Oldest first. Bounded by the worker's window of frames. */
  readonly #steps: (() => void)[] = [];
  #applied = 0;
  #picture: Picture | undefined;
  #restoring: { readonly index: number; readonly into: Restoring } | undefined;

  constructor(machine: StateMachine, ports: FeedPorts) {
    this.#machine = machine;
    this.#ports = ports;
  }

  /** Index of the last entry that the state machine has. */
  get applied(): number {
    return this.#applied;
  }

  /** Whatever the state machine throws comes through: it can then not be trusted any more. */
  handle(message: FeedMessage): void {
    const { post, frameBytes = FRAME_BYTES } = this.#ports;
    switch (message.kind) {
      case 'apply': {
        const entries = unpackBatch(message.batch);
        this.#machine.apply(entries);
        this.#applied = message.batch.first + entries.length - 1;
        post({ kind: 'applied', index: this.#applied });
        break;
      }
      case 'takeSnapshot':
        this.#picture = packChunks(this.#machine.snapshot(), frameBytes);
        post({ kind: 'snapshotBegin', index: this.#applied });
        break;
      case 'snapshotCredit': {
        const picture = this.#picture;
        this.#later(() => this.#sendFrame(picture));
        break;
      }
      case 'dropSnapshot':
        this.#picture = undefined;
        break;
      case 'restoreBegin':
        this.#restoring = { index: message.index, into: this.#machine.restore(message.index) };
        break;
      case 'restoreFrame':
        this.#later(() => this.#takeFrame(message.frame));
        break;
      case 'restoreEnd':
        this.#later(() => this.#restore());
        break;
    }
  }

  #later(step: () => void): void {
    this.#steps.push(step);
    if (this.#steps.length === 1) this.#ports.nextTurn(() => this.#turn());
  }

  #turn(): void {
    const { clock, nextTurn } = this.#ports;
    const until = clock.monotonic() + FRAMES_TURN_MS;
    do {
      this.#steps[0]?.();
      this.#steps.shift();
    } while (this.#steps.length > 0 && clock.monotonic() < until);
    if (this.#steps.length > 0) nextTurn(() => this.#turn());
  }

  /** Nothing, when the picture was read to its end or dropped meanwhile. */
  #sendFrame(picture: Picture | undefined): void {
    if (picture === undefined || picture !== this.#picture) return;
    const next = picture.next();
    if (next.done === true) {
      this.#picture = undefined;
      this.#ports.post({ kind: 'snapshotEnd' });
      return;
    }
    this.#ports.post({ kind: 'snapshotFrame', frame: next.value });
  }

  #takeFrame(frame: ArrayBuffer): void {
    for (const chunk of unpackChunks([frame])) this.#restoring?.into.take(chunk);
    this.#ports.post({ kind: 'restoreCredit' });
  }

  #restore(): void {
    const restoring = this.#restoring;
    if (restoring === undefined) return;
    this.#restoring = undefined;
    restoring.into.finish();
    this.#applied = restoring.index;
    this.#ports.post({ kind: 'restored' });
  }
}
