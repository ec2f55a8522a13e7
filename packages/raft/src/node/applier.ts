/**
 * Hands committed entries to the main thread in order, and tells the core once they are applied.
 * Membership changes take effect at that same moment, so that core, member book and state machine
 * always stand at the same index: what a snapshot needs.
 *
 * What a follower is told to be committed together with new entries may wait a moment for what those commit:
 * one hand-over to the main thread does for several writes, and none is in the way of the answer that the
 * leader waits for. When writes end, a commit notice brings the last ones, and nothing waits.
 */
import type { Clock, Timer } from '@swarmd/base';

import { decodeConfChange } from '../core/conf-change-codec.ts';
import type { ConfChange, Entry } from '../core/types.ts';
import { packBatch } from './apply-batch.ts';
import { APPLY_WAIT_BYTES, APPLY_WAIT_MS } from './limits.ts';
import type { ApplyBatch } from './worker-protocol.ts';

export interface ApplierPorts {
  readonly clock: Clock;
  post(batch: ApplyBatch): void;
  /** Own proposals among these entries. */
  takeDone(entries: readonly Entry[]): ApplyBatch['done'];
  /** Before `applied` of the batch it is in. */
  onConfChange(change: ConfChange, index: number): void;
  onApplied(index: number): void;
}

interface Outstanding {
  readonly last: number;
  readonly changes: readonly Entry[];
}

export class Applier {
  readonly #ports: ApplierPorts;
  /** With the main thread, oldest first. Bounded by the core's `maxCommittedBytes`. */
  #outstanding: Outstanding[] = [];
  #held: (readonly Entry[])[] | undefined;
  /** Not yet with the main thread, because more may come. No membership change is among them. */
  #waiting: Entry[] = [];
  #waitingBytes = 0;
  #timer: Timer | undefined;
  /** Somebody reads what is committed up to here. */
  #wanted = 0;
  /** Changes up to here are contained in a snapshot that was installed. */
  #supersededTo = 0;
  #applied: number;

  constructor(applied: number, ports: ApplierPorts) {
    this.#applied = applied;
    this.#ports = ports;
  }

  get applied(): number {
    return this.#applied;
  }

  /** A snapshot is being restored: nothing else may reach the main thread. */
  get restoring(): boolean {
    return this.#held !== undefined;
  }

  /** `mayWait`: as far as this member can tell, nobody waits for them here, and more are on their way. */
  push(entries: readonly Entry[], mayWait = false): void {
    const [first] = entries;
    if (first === undefined) return;
    if (this.#held !== undefined) {
      this.#held.push(entries);
      return;
    }
    for (const entry of entries) {
      this.#waiting.push(entry);
      this.#waitingBytes += entry.data.length;
    }
    const isUrgent =
      !mayWait ||
      first.index <= this.#wanted ||
      this.#waitingBytes >= APPLY_WAIT_BYTES ||
      entries.some((entry) => entry.kind !== 'normal');
    if (isUrgent) this.flush();
    else this.#timer ??= this.#ports.clock.after(APPLY_WAIT_MS, () => this.flush());
  }

  /** Nothing waits any longer. */
  flush(): void {
    const entries = this.#takeWaiting();
    if (entries.length === 0) return;
    const last = entries.at(-1)?.index ?? 0;
    const changes = entries.filter((entry) => entry.kind !== 'normal');
    this.#outstanding.push({ last, changes });
    this.#ports.post(packBatch(entries, this.#ports.takeDone(entries)));
  }

  /** Somebody reads: nothing up to `index` waits, neither now nor when it comes. */
  want(index: number): void {
    this.#wanted = Math.max(this.#wanted, index);
    this.flush();
  }

  /** Nobody is there to apply anything any more. */
  stop(): void {
    this.#takeWaiting();
  }

  #takeWaiting(): Entry[] {
    const entries = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#timer?.cancel();
    this.#timer = undefined;
    return entries;
  }

  /** The main thread has applied everything up to `index`. */
  acknowledged(index: number): void {
    while (this.#outstanding[0] !== undefined && this.#outstanding[0].last <= index) {
      const batch = this.#outstanding.shift();
      for (const entry of batch?.changes ?? []) {
        if (entry.index <= this.#supersededTo) continue;
        this.#ports.onConfChange(decodeConfChange(entry), entry.index);
      }
    }
    if (index <= this.#applied) return;
    this.#applied = index;
    this.#ports.onApplied(index);
  }

  /** A snapshot as of `index` was taken over by the core: its membership is the newer one. */
  supersede(index: number): void {
    this.#supersededTo = Math.max(this.#supersededTo, index);
    // They were committed, so the snapshot has them.
    this.#takeWaiting();
    this.#held ??= [];
  }

  /** The main thread stands at the snapshot. */
  restored(index: number): void {
    this.#outstanding = [];
    this.#applied = Math.max(this.#applied, index);
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const entries of held) this.push(entries.filter((entry) => entry.index > index));
  }
}
