/**
 * Which names a container sees: those of its own networks. Pure; the tables of a network are made
 * when its first question comes, as most networks of most states are never asked about.
 */
import type { NetworkId } from '@swarmd/model';

import { ipv4OfReverse, ipv6Of } from '../desired/ipv6.ts';
import type { StateIndex } from '../desired/state-index.ts';
import { DNS_CODE, DNS_TYPE, type Answer, type DnsRecord, type Question } from './message.ts';
import { NetworkNames } from './network-names.ts';

/** A container as DNS sees it: told by the source address of its questions. */
export interface DnsView {
  readonly networks: readonly NetworkId[];
  /** True when it may not ask about the outside. */
  readonly internal: boolean;
  /** Who is asked about the outside; the host's servers unless given. */
  readonly upstreams?: readonly string[];
}

export type Decision =
  { readonly kind: 'answer'; readonly answer: Answer } | { readonly kind: 'forward' };

const REVERSE_SUFFIX = '.in-addr.arpa';
const REVERSE_SUFFIX_6 = '.ip6.arpa';

export class Directory {
  readonly #index: StateIndex;
  readonly #networks = new Map<NetworkId, NetworkNames>();
  #turn = 0;

  constructor(index: StateIndex) {
    this.#index = index;
  }

  /** @param view undefined for askers that are no containers of ours. */
  decide(question: Question, view: DnsView | undefined): Decision {
    if (view === undefined) return says(DNS_CODE.refused);
    const records = this.#records(question, view.networks);
    if (records !== undefined) return says(DNS_CODE.noError, records);
    return view.internal || isClusterName(question.name)
      ? says(DNS_CODE.noSuchName)
      : { kind: 'forward' };
  }

  /** Undefined when no network of the asker knows the name; empty when there is no such record. */
  #records(question: Question, networks: readonly NetworkId[]): DnsRecord[] | undefined {
    for (const id of networks) {
      const known = this.#namesOf(id);
      const subnet6 = this.#index.networks.get(id)?.subnet6 ?? '';
      const reverse =
        question.type === DNS_TYPE.ptr ? addressIn(question.name, subnet6) : undefined;
      if (reverse !== undefined) {
        const name = known.nameOf(reverse);
        if (name !== undefined) return [{ type: 'ptr', name }];
      }
      const addresses = known.addresses(question.name);
      if (addresses !== undefined) {
        return this.#addressRecords(question.type, addresses, subnet6);
      }
    }
    return undefined;
  }

  #addressRecords(type: number, addresses: readonly string[], subnet6: string): DnsRecord[] {
    if (type === DNS_TYPE.a) {
      return this.#rotated(addresses).map((address) => ({ type: 'a', address }));
    }
    if (type !== DNS_TYPE.aaaa || subnet6 === '') return [];
    return this.#rotated(addresses).map((address) => ({
      type: 'aaaa',
      address: ipv6Of(subnet6, address),
    }));
  }

  /** Another first address with each question, as many clients only try the first. */
  #rotated(addresses: readonly string[]): readonly string[] {
    if (addresses.length < 2) return addresses;
    this.#turn = (this.#turn + 1) % 0x7fff_ffff;
    const first = this.#turn % addresses.length;
    return [...addresses.slice(first), ...addresses.slice(0, first)];
  }

  #namesOf(id: NetworkId): NetworkNames {
    const known = this.#networks.get(id) ?? new NetworkNames(this.#index, id);
    this.#networks.set(id, known);
    return known;
  }
}

function says(code: number, records: readonly DnsRecord[] = []): Decision {
  return { kind: 'answer', answer: { code, records } };
}

/** Names that only the cluster could know: asking the outside would take time and tell it things. */
function isClusterName(name: string): boolean {
  return !name.includes('.') || /^tasks\.[^.]+$/.test(name);
}

/** The IPv4 address that a name of the reverse tree stands for. */
function addressIn(name: string, subnet6: string): string | undefined {
  if (subnet6 !== '' && name.endsWith(REVERSE_SUFFIX_6)) return ipv4OfReverse(subnet6, name);
  return name.endsWith(REVERSE_SUFFIX)
    ? name.slice(0, -REVERSE_SUFFIX.length).split('.').reverse().join('.')
    : undefined;
}
