/**
 * What clients asked and were told, and whether that could be the story of a single log: every
 * command is acknowledged at an index above all that was known when it was asked, and every read
 * sees at least that much (linearizability of an append-only list).
 */
import { Violation } from './violation.ts';

interface Asked {
  /** Highest index that any client had been told of. */
  readonly known: number;
}

export class History {
  readonly #asked = new Map<number, Asked>();
  readonly #acknowledged = new Map<string, number>();
  readonly #refused = new Set<string>();
  #known = 0;
  #nextId = 1;
  reads = 0;

  get writes(): number {
    return this.#acknowledged.size;
  }

  ask(): number {
    const id = this.#nextId++;
    this.#asked.set(id, { known: this.#known });
    return id;
  }

  writeDone(id: number, index: number): void {
    const known = this.#asked.get(id)?.known ?? 0;
    if (index <= known) {
      throw new Violation('linearizability', `write ${id} is at ${index}, before ${known}`);
    }
    this.#acknowledged.set(commandOf(id), index);
    this.#known = Math.max(this.#known, index);
  }

  /** It was promised that the command has no effect, ever. */
  writeRefused(id: number): void {
    this.#refused.add(commandOf(id));
  }

  readDone(id: number, applied: number): void {
    const known = this.#asked.get(id)?.known ?? 0;
    if (applied < known) {
      throw new Violation('linearizability', `read ${id} saw ${applied} after ${known} was known`);
    }
    this.reads++;
    this.#known = Math.max(this.#known, applied);
  }

  /** At the end: everything acknowledged is there once, and nothing that was refused. */
  checkFinal(commands: readonly string[]): void {
    const counts = new Map<string, number>();
    for (const command of commands) counts.set(command, (counts.get(command) ?? 0) + 1);
    for (const command of this.#refused) {
      if (counts.has(command)) throw new Violation('refusal', `refused ${command} took effect`);
    }
    for (const command of this.#acknowledged.keys()) {
      const count = counts.get(command) ?? 0;
      if (count !== 1) {
        throw new Violation('durability', `acknowledged ${command} is there ${count} times`);
      }
    }
  }
}

export function commandOf(id: number): string {
  return `w${id}`;
}
