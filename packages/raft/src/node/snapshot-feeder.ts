/** Feeds a snapshot file to the main thread's state machine, a few frames ahead of it. */
import type { SnapshotRecord } from '../wal/header.ts';
import type { SnapshotFolder } from '../wal/snapshot-folder.ts';
import { FRAME_WINDOW } from './limits.ts';
import { ownBuffer } from './worker-protocol.ts';

export interface SnapshotFeederPorts {
  readonly folder: SnapshotFolder;
  begin(index: number): void;
  frame(frame: ArrayBuffer): void;
  end(): void;
}

export class SnapshotFeeder {
  readonly #ports: SnapshotFeederPorts;
  #credits = 0;
  #more: () => void = () => undefined;
  #restored: () => void = () => undefined;
  #stopped = false;

  constructor(ports: SnapshotFeederPorts) {
    this.#ports = ports;
  }

  /**
   * Resolves once the state machine stands at the snapshot. It takes the chunks as they come, and changes
   * when it has the end: by then the whole file is checked.
   * @throws SwarmError `data-loss` when the file is damaged.
   */
  async feed(record: SnapshotRecord): Promise<void> {
    const restored = new Promise<void>((resolve) => (this.#restored = resolve));
    this.#credits = FRAME_WINDOW;
    this.#ports.begin(record.descriptor.index);
    let first = true;
    for await (const frame of this.#ports.folder.frames(record)) {
      if (first) {
        first = false;
        continue;
      }
      while (this.#credits === 0 && !this.#stopped) {
        await new Promise<void>((resolve) => (this.#more = resolve));
      }
      if (this.#stopped) return;
      this.#credits -= 1;
      this.#ports.frame(ownBuffer(frame));
    }
    this.#ports.end();
    await restored;
  }

  credit(): void {
    this.#credits += 1;
    this.#more();
  }

  restored(): void {
    this.#restored();
  }

  stop(): void {
    this.#stopped = true;
    this.#more();
    this.#restored();
  }
}
