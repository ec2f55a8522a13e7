/** A state machine that lists commands, and a digest of everything that led to where it stands. */
import { crc32 } from 'node:zlib';

import type { AppliedEntry, Restoring, StateMachine } from '../../node/types.ts';

export interface MachineObserver {
  applied(entry: AppliedEntry, digest: number): void;
  restored(index: number, digest: number): void;
}

export class CommandMachine implements StateMachine {
  readonly #observer: MachineObserver;
  #commands: string[] = [];
  #digest = 0;
  #index = 0;

  constructor(observer: MachineObserver) {
    this.#observer = observer;
  }

  get commands(): readonly string[] {
    return this.#commands;
  }

  get index(): number {
    return this.#index;
  }

  apply(entries: readonly AppliedEntry[]): void {
    for (const entry of entries) {
      const { index, term, data } = entry;
      if (index !== this.#index + 1) throw new Error(`entry ${index} after ${this.#index}`);
      this.#index = index;
      this.#digest = crc32(data, crc32(`${index}/${term}`, this.#digest));
      if (data.length > 0) this.#commands.push(Buffer.from(data).toString());
      this.#observer.applied(entry, this.#digest);
    }
  }

  snapshot(): Iterable<Uint8Array> {
    const commands = [...this.#commands];
    return [Buffer.from(String(this.#digest)), ...commands.map((one) => Buffer.from(one))];
  }

  restore(index: number): Restoring {
    const texts: string[] = [];
    return {
      take: (chunk) => void texts.push(Buffer.from(chunk).toString()),
      finish: () => {
        const [digest = '', ...commands] = texts;
        this.#commands = commands;
        this.#digest = Number(digest);
        this.#index = index;
        this.#observer.restored(index, this.#digest);
      },
    };
  }
}
