/**
 * Addresses of one subnet. The next one is the one after the newest that was given out, so that an
 * address that has just become free rests before it is used again; addresses that ended tasks had
 * and that are still remembered are used only when there is no other.
 */
import { formatIpv4, parseIpv4, parseIpv4Network, type Ipv4Network } from '@swarmd/model';

/** Network address and first host address (the gateway) in front, broadcast address behind. */
const FIRST_OFFSET = 2;
const RESERVED_BEHIND = 1;

export class AddressPool {
  readonly #subnet: Ipv4Network | undefined;
  readonly #held = new Set<string>();
  readonly #resting = new Set<string>();
  #newest: { address: string; at: number } | undefined;

  constructor(subnet: string) {
    this.#subnet = parseIpv4Network(subnet);
  }

  /** An address somebody has, or (`held` false) had; `at`: when it was given out. */
  note(address: string, use: { held: boolean; at: number }): void {
    (use.held ? this.#held : this.#resting).add(address);
    if (this.#newest === undefined || use.at > this.#newest.at) {
      this.#newest = { address, at: use.at };
    } else if (use.at === this.#newest.at && number(address) > number(this.#newest.address)) {
      this.#newest = { address, at: use.at };
    }
  }

  /** Gives out an address; undefined when none is free. */
  take(at: number): string | undefined {
    const address = this.#find(false) ?? this.#find(true);
    if (address === undefined) return undefined;
    this.#resting.delete(address);
    this.#held.add(address);
    this.#newest = { address, at };
    return address;
  }

  /** Takes back an address that was just given out and is not used after all. */
  giveBack(address: string): void {
    this.#held.delete(address);
  }

  hasFree(): boolean {
    return this.#find(true) !== undefined;
  }

  #find(evenResting: boolean): string | undefined {
    const subnet = this.#subnet;
    if (subnet === undefined) return undefined;
    const hosts = subnet.size - FIRST_OFFSET - RESERVED_BEHIND;
    if (hosts <= 0) return undefined;
    const first = subnet.base + FIRST_OFFSET;
    const after = this.#newest === undefined ? 0 : number(this.#newest.address) - first + 1;
    const start = ((after % hosts) + hosts) % hosts;
    // Every step but the last meets a used address, so the walk ends within their number.
    const steps = Math.min(hosts, this.#held.size + this.#resting.size + 1);
    for (let step = 0; step < steps; step += 1) {
      const address = formatIpv4(first + ((start + step) % hosts));
      if (this.#held.has(address)) continue;
      if (evenResting || !this.#resting.has(address)) return address;
    }
    return undefined;
  }
}

function number(address: string): number {
  return parseIpv4(address) ?? 0;
}
