/**
 * Addresses of one subnet, on top of what tasks hold already. The next one is the one after the
 * newest that was given out, so that an address that has just become free rests before it is used
 * again; addresses of ended tasks that are still remembered are used only when there is no other.
 */
import { formatIpv4, parseIpv4, parseIpv4Network, type Ipv4Network } from '@swarmd/model';

import type { AddressBook } from '../place/held-index.ts';

/** Network address and first host address (the gateway) in front, broadcast address behind. */
const FIRST_OFFSET = 2;
const RESERVED_BEHIND = 1;

export class AddressPool {
  readonly #subnet: Ipv4Network | undefined;
  readonly #book: AddressBook | undefined;
  readonly #taken = new Set<string>();
  readonly #freed = new Set<string>();
  #newest: string | undefined;

  constructor(subnet: string, book?: AddressBook) {
    this.#subnet = parseIpv4Network(subnet);
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
    const subnet = this.#subnet;
    if (subnet === undefined) return undefined;
    const hosts = subnet.size - FIRST_OFFSET - RESERVED_BEHIND;
    if (hosts <= 0) return undefined;
    const first = subnet.base + FIRST_OFFSET;
    const newest = this.#newest === undefined ? undefined : parseIpv4(this.#newest);
    const start = newest === undefined ? 0 : (((newest - first + 1) % hosts) + hosts) % hosts;
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
