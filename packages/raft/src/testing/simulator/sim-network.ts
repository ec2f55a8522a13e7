/** A network that drops, delays, duplicates and reorders, and whose links can be cut one way. */
import type { Message, RaftId } from '../../core/types.ts';
import type { Dice } from '@swarmd/base/testing';
import type { EventQueue } from './event-queue.ts';

export interface NetworkRates {
  drop: number;
  duplicate: number;
  /** 1 unless said otherwise. */
  minDelayMs?: number;
  maxDelayMs: number;
}

export interface NetworkEvents {
  arrive(message: Message): void;
  lost(message: Message): void;
}

export class SimNetwork {
  rates: NetworkRates;
  readonly #cut = new Set<string>();
  readonly #events: EventQueue;
  readonly #chance: Dice;
  readonly #handler: NetworkEvents;

  constructor(
    world: { events: EventQueue; chance: Dice },
    rates: NetworkRates,
    handler: NetworkEvents,
  ) {
    this.#events = world.events;
    this.#chance = world.chance;
    this.rates = rates;
    this.#handler = handler;
  }

  send(message: Message): void {
    const copies = this.#chance.happens(this.rates.duplicate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      this.carry(message, {
        pass: () => this.#handler.arrive(message),
        lost: () => this.#handler.lost(message),
      });
    }
  }

  carry(
    { from, to }: { from: RaftId; to: RaftId },
    outcome: { pass: () => void; lost: () => void },
  ): void {
    this.#events.after(
      this.#chance.between(this.rates.minDelayMs ?? 1, this.rates.maxDelayMs),
      () => {
        const dropped = this.#cut.has(link(from, to)) || this.#chance.happens(this.rates.drop);
        if (dropped) outcome.lost();
        else outcome.pass();
      },
    );
  }

  /** Nothing passes from `from` to `to` any more; the other way is another link. */
  cut(from: RaftId, to: RaftId): void {
    this.#cut.add(link(from, to));
  }

  /** Both ways. */
  cutBetween(a: RaftId, b: RaftId): void {
    this.cut(a, b);
    this.cut(b, a);
  }

  heal(): void {
    this.#cut.clear();
  }
}

function link(from: RaftId, to: RaftId): string {
  return `${from}>${to}`;
}
