/** A network that drops, delays, duplicates and reorders, and whose links can be cut one way. */
import type { Message, RaftId } from '../../core/types.ts';
import type { Chance } from './chance.ts';
import type { EventQueue } from './event-queue.ts';
import type { StoredState } from './sim-disk.ts';

export interface NetworkRates {
  drop: number;
  duplicate: number;
  maxDelayMs: number;
}

/** Snapshots travel with their state. */
export interface Parcel {
  readonly message: Message;
  readonly state?: StoredState;
}

export interface NetworkEvents {
  arrive(parcel: Parcel): void;
  lost(parcel: Parcel): void;
}

export class SimNetwork {
  rates: NetworkRates;
  readonly #cut = new Set<string>();
  readonly #events: EventQueue;
  readonly #chance: Chance;
  readonly #handler: NetworkEvents;

  constructor(
    world: { events: EventQueue; chance: Chance },
    rates: NetworkRates,
    handler: NetworkEvents,
  ) {
    this.#events = world.events;
    this.#chance = world.chance;
    this.rates = rates;
    this.#handler = handler;
  }

  send(parcel: Parcel): void {
    const copies = this.#chance.happens(this.rates.duplicate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const delay = this.#chance.between(1, this.rates.maxDelayMs);
      this.#events.after(delay, () => this.#deliver(parcel));
    }
  }

  #deliver(parcel: Parcel): void {
    const { from, to } = parcel.message;
    if (this.#cut.has(link(from, to)) || this.#chance.happens(this.rates.drop)) {
      this.#handler.lost(parcel);
    } else {
      this.#handler.arrive(parcel);
    }
  }

  /** Nothing passes from `from` to `to` any more; the other way is another link. */
  cut(from: RaftId, to: RaftId): void {
    this.#cut.add(link(from, to));
  }

  heal(): void {
    this.#cut.clear();
  }
}

function link(from: RaftId, to: RaftId): string {
  return `${from}>${to}`;
}
