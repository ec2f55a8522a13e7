/**
 * Snapshots from the leader on their way in: fetched, accepted by the core, written, and fed to the
 * main thread's state machine, one after the other.
 */
import { assert, errorMessage, type Logger } from '@swarmd/base';

import type { SnapshotMeta } from '../core/types.ts';
import type { SnapshotDescriptor, SnapshotRecord } from '../wal/header.ts';

export interface InstallerPorts {
  readonly logger: Logger;
  /** What the log refers to. */
  kept(): readonly SnapshotRecord[];
  /** Brings the state machine to where the snapshot is. */
  feed(record: SnapshotRecord): Promise<void>;
  /** The state machine stands at `index`, and nothing newer is on its way. */
  onRestored(index: number): void;
  onFailure(error: unknown): void;
}

export class Installer {
  readonly #ports: InstallerPorts;
  /** Fetched and not installed yet, by index. */
  readonly #fetched = new Map<number, SnapshotRecord>();
  #work: Promise<void> = Promise.resolve();
  #left = 0;
  #stopped = false;

  constructor(ports: InstallerPorts) {
    this.#ports = ports;
  }

  fetched(index: number, record: SnapshotRecord): void {
    this.#fetched.set(index, record);
  }

  /** The core had no use for it. */
  forget(index: number): void {
    this.#fetched.delete(index);
  }

  /** The file behind a snapshot message that was stepped. */
  recordOf(meta: SnapshotMeta): SnapshotRecord {
    const record = this.#fetched.get(meta.index);
    assert(record !== undefined, `snapshot ${meta.index} was fetched before it is installed`);
    return record;
  }

  /** Their files must stay. */
  waiting(): readonly SnapshotRecord[] {
    return [...this.#fetched.values()];
  }

  /** The core has switched to its membership; `installed` follows. */
  accepted(meta: SnapshotMeta): SnapshotDescriptor {
    this.#left += 1;
    return this.recordOf(meta).descriptor;
  }

  /** It is durable. False: a newer one was in the same write. */
  installed({ index }: SnapshotMeta): boolean {
    this.#fetched.delete(index);
    const record = this.#ports.kept().find((kept) => kept.descriptor.index === index);
    if (record === undefined) {
      this.#left -= 1;
      return false;
    }
    this.#ports.logger.info({ index }, 'installing a snapshot');
    this.#work = this.#work
      .then(() => this.#ports.feed(record))
      .then(() => {
        this.#left -= 1;
        if (this.#left === 0 && !this.#stopped) this.#ports.onRestored(index);
      })
      .catch((error: unknown) => {
        this.#ports.logger.error({ index, error: errorMessage(error) }, 'a snapshot is unusable');
        this.#ports.onFailure(error);
      });
    return true;
  }

  stop(): void {
    this.#stopped = true;
  }
}
