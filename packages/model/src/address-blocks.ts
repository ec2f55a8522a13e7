/**
 * A set of IPv4 addresses as short text, one string for each /24 that has any: `10.0.3.1-17,20`. It says
 * exactly the addresses of the set, and one that comes or goes changes one string. Thousands of hosts of
 * a few subnets take some hundred bytes instead of 15 bytes each.
 */
import { formatIpv4, parseIpv4 } from './ipv4.ts';

/** Sorted; what is no IPv4 address stays as it is. */
export function addressBlocks(addresses: Iterable<string>): readonly string[] {
  const blocks = new AddressBlocks();
  for (const address of addresses) blocks.add(address);
  return blocks.list();
}

/** The same while addresses come and go: of thousands only the /24 of one that does is written again. */
export class AddressBlocks {
  /** How often each was added. */
  readonly #counts = new Map<number | string, number>();
  readonly #hosts = new Map<number, Set<number>>();
  readonly #others = new Set<string>();
  readonly #texts = new Map<number, string>();
  #list: readonly string[] | undefined;

  /** It is there until it has been removed as often. */
  add(text: string): void {
    const address = parseIpv4(text) ?? text;
    const count = this.#counts.get(address) ?? 0;
    this.#counts.set(address, count + 1);
    if (count > 0) return;
    this.#list = undefined;
    if (typeof address === 'string') this.#others.add(address);
    else this.#hostsLike(address).add(address & 255);
  }

  remove(text: string): void {
    const address = parseIpv4(text) ?? text;
    const count = this.#counts.get(address) ?? 0;
    if (count > 1) this.#counts.set(address, count - 1);
    if (count !== 1) return;
    this.#counts.delete(address);
    this.#list = undefined;
    if (typeof address === 'string') this.#others.delete(address);
    else {
      const hosts = this.#hostsLike(address);
      hosts.delete(address & 255);
      if (hosts.size === 0) this.#hosts.delete(address >>> 8);
    }
  }

  /** As `addressBlocks` writes them. */
  list(): readonly string[] {
    return (this.#list ??= [
      ...[...this.#hosts.keys()].toSorted((a, b) => a - b).map((block) => this.#textOf(block)),
      ...[...this.#others].toSorted(),
    ]);
  }

  /** Those of its /24, which will be written again. */
  #hostsLike(address: number): Set<number> {
    const block = address >>> 8;
    this.#texts.delete(block);
    let hosts = this.#hosts.get(block);
    if (hosts === undefined) this.#hosts.set(block, (hosts = new Set()));
    return hosts;
  }

  #textOf(block: number): string {
    let text = this.#texts.get(block);
    if (text === undefined) {
      text = `${prefixOf(block)}${runs([...(this.#hosts.get(block) ?? [])])}`;
      this.#texts.set(block, text);
    }
    return text;
  }
}

/** The addresses that `addressBlocks` was given, each once. */
export function addressesOfBlocks(blocks: Iterable<string>): string[] {
  return [...blocks].flatMap(addressesOfBlock);
}

function addressesOfBlock(block: string): string[] {
  const parts = /^(\d+\.\d+\.\d+\.)([\d,-]+)$/.exec(block);
  if (parts === null) return [block];
  const [, prefix = '', hosts = ''] = parts;
  return hosts.split(',').flatMap((run) => {
    const [first = '', last = first] = run.split('-');
    const count = Math.min(Number(last), 255) - Number(first) + 1;
    return Array.from({ length: count }, (_, at) => `${prefix}${Number(first) + at}`);
  });
}

/** `10.0.3.` */
function prefixOf(block: number): string {
  return formatIpv4(block * 256).slice(0, -1);
}

function runs(hosts: number[]): string {
  const texts: string[] = [];
  let first: number | undefined;
  let last = -1;
  const close = (): void => {
    if (first !== undefined) texts.push(first === last ? `${first}` : `${first}-${last}`);
  };
  for (const host of hosts.sort((a, b) => a - b)) {
    if (host !== last + 1 || first === undefined) {
      close();
      first = host;
    }
    last = host;
  }
  close();
  return texts.join(',');
}
