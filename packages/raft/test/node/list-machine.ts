import { createHash } from 'node:crypto';

import type { AppliedEntry, Restoring, StateMachine } from '../../src/node/types.ts';

/** Keeps every proposal in order. */
export class ListMachine implements StateMachine {
  #items: string[] = [];
  restoredAt = 0;
  applied = 0;

  apply(entries: readonly AppliedEntry[]): void {
    for (const { index, data } of entries) {
      if (index !== this.applied + 1) throw new Error(`${index} after ${this.applied}`);
      this.applied = index;
      if (data.length > 0) this.#items.push(Buffer.from(data).toString());
    }
  }

  snapshot(): Iterable<Uint8Array> {
    const items = [...this.#items];
    return items.map((item) => Buffer.from(item));
  }

  restore(index: number): Restoring {
    const items: string[] = [];
    return {
      take: (chunk) => void items.push(Buffer.from(chunk).toString()),
      finish: () => {
        this.#items = items;
        this.restoredAt = index;
        this.applied = index;
      },
    };
  }

  get items(): readonly string[] {
    return this.#items;
  }

  get digest(): string {
    return createHash('sha256').update(this.#items.join('\n')).digest('hex');
  }
}
