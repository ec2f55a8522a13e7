/**
 * Hands committed entries to the main thread in order, and tells the core once they are applied.
 * Membership changes take effect at that same moment, so that core, member book and state machine
 * always stand at the same index: what a snapshot needs.
 */
import { decodeConfChange } from '../core/conf-change-codec.ts';
import type { ConfChange, Entry } from '../core/types.ts';
import { packBatch } from './apply-batch.ts';
import type { ApplyBatch } from './worker-protocol.ts';

export interface ApplierPorts {
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

  push(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    if (this.#held !== undefined) {
      this.#held.push(entries);
      return;
    }
    const last = entries.at(-1)?.index ?? 0;
    const changes = entries.filter((entry) => entry.kind !== 'normal');
    this.#outstanding.push({ last, changes });
    this.#ports.post(packBatch(entries, this.#ports.takeDone(entries)));
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
