/**
 * Addresses of one or more ranges, on top of what tasks hold already. The next one is the one after the
 * newest that was given out, so that an address that has just become free rests before it is used
 * again; addresses of ended tasks that are still remembered are used only when there is no other.
 */
import { formatIpv4, parseIpv4 } from '@swarmd/model';

import type { AddressBook } from '../place/held-index.ts';
import type { AddressRange } from './subnet.ts';

export class AddressPool {
  readonly #ranges: readonly AddressRange[];
  readonly #book: AddressBook | undefined;
  readonly #taken = new Set<string>();
  readonly #freed = new Set<string>();
  #newest: string | undefined;

  /** A range is used when those before it are full. */
  constructor(ranges: readonly AddressRange[], book?: AddressBook) {
    this.#ranges = ranges;
    this.#book = book;
    this.#newest = book?.newest?.address;
  }

  /** An address that is not for tasks. */
  reserve(address: string): void {
    this.#taken.add(address);
  }

  /** An address that its task no longer holds; it rests. */
  free(address: string): void {
    this.#freed.add(address);
  }

  /** Gives out an address; undefined when none is free. */
  take(): string | undefined {
    const address = this.#find((one) => this.#isRested(one)) ?? this.#find(() => true);
    if (address === undefined) return undefined;
    this.#taken.add(address);
    this.#newest = address;
    return address;
  }

  /** Takes back an address that was just given out and is not used after all. */
  giveBack(address: string): void {
    this.#taken.delete(address);
  }

  hasFree(): boolean {
    return this.#find(() => true) !== undefined;
  }

  #isHeld(address: string): boolean {
    if (this.#taken.has(address)) return true;
    return (this.#book?.held.has(address) ?? false) && !this.#freed.has(address);
  }

  #isRested(address: string): boolean {
    return !this.#freed.has(address) && !(this.#book?.resting.has(address) ?? false);
  }

  #find(suits: (address: string) => boolean): string | undefined {
    for (const range of this.#ranges) {
      const address = this.#findIn(range, suits);
      if (address !== undefined) return address;
    }
    return undefined;
  }

  #findIn({ first, last }: AddressRange, suits: (address: string) => boolean): string | undefined {
    const hosts = last - first + 1;
    if (hosts <= 0) return undefined;
    const newest = this.#newest === undefined ? undefined : parseIpv4(this.#newest);
    const isHere = newest !== undefined && newest >= first && newest <= last;
    const start = isHere ? (newest - first + 1) % hosts : 0;
    // Every step but the last meets an address with a past, so the walk ends within their number.
    const used = (this.#book?.held.size ?? 0) + (this.#book?.resting.size ?? 0) + this.#taken.size;
    const steps = Math.min(hosts, used + this.#freed.size + 1);
    for (let step = 0; step < steps; step += 1) {
      const address = formatIpv4(first + ((start + step) % hosts));
      if (!this.#isHeld(address) && suits(address)) return address;
    }
    return undefined;
  }
}
