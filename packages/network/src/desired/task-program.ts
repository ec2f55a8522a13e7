/**
 * A container's nft table: virtual addresses become a serving task's address (any protocol, the
 * client's own address is kept), and DNS at 127.0.0.11 becomes DNS at the host's gateway address.
 */
import type { NetworkId, NodeId, ServiceVip, TaskId } from '@swarmd/model';

import { CONTAINER_GATEWAY_LINK, CONTAINER_NAMESERVER } from './names.ts';
import { balancing, firstFor, type BalancingParts } from './balance.ts';
import { ipv6Of } from './ipv6.ts';
import type { NftFamily, NftProgram } from './nft-program.ts';
import { tasksBehind, type ServiceTasks, type StateIndex } from './state-index.ts';

export interface TaskProgramInput {
  readonly index: StateIndex;
  readonly taskId: TaskId;
  readonly networks: readonly NetworkId[];
  /** The host's gateway address, where its DNS server listens. */
  readonly gateway: string;
}

/** A table of IPv4 and, when one of its networks has IPv6, one of that. */
export function taskPrograms(input: TaskProgramInput): NftProgram[] {
  const { index, networks } = input;
  const hasIpv6 = networks.some((id) => (index.networks.get(id)?.subnet6 ?? '') !== '');
  return hasIpv6 ? [programOf('ip', input), programOf('ip6', input)] : [programOf('ip', input)];
}

function programOf(family: NftFamily, input: TaskProgramInput): NftProgram {
  const { index, taskId, networks, gateway } = input;
  const services = networks.flatMap((id) => {
    const subnet6 = index.networks.get(id)?.subnet6 ?? '';
    const translate = addressesIn(family, index, id);
    if (translate === undefined) return [];
    return (index.vips.get(id) ?? [])
      .filter((vip) => vip.address !== '')
      .map((vip) => {
        const chain = `vip_${vip.address.replaceAll('.', '_')}`;
        const asked = { family, chain, vip, subnet6, first: firstFor(taskId, chain) };
        return {
          address: translate(vip.address),
          chain,
          parts: partsFor(tasksBehind(index, vip), asked, translate),
        };
      });
  });
  return {
    family,
    fixed: fixedPart(family, gateway),
    chains: new Map(services.flatMap(({ parts }) => parts.chains)),
    sets: new Map(services.flatMap(({ parts }) => parts.sets)),
    elements: new Map([
      [
        family === 'ip' ? 'vip4' : 'vip6',
        new Map(services.map(({ address, chain }) => [address, `jump ${chain}`])),
      ],
      ['vips', new Map(services.map(({ address }) => [address, '']))],
    ]),
  };
}

/** Of what all tasks of this node ask for: most of it is the same from state to state and from task to task. */
const knownParts = new WeakMap<ServiceTasks, Map<string, BalancingParts>>();

function partsFor(
  tasks: ServiceTasks,
  asked: { family: NftFamily; chain: string; vip: ServiceVip; subnet6: string; first: number },
  translate: (address: string) => string,
): BalancingParts {
  const { family, chain, subnet6 } = asked;
  const { affinity, affinityTimeoutMs } = asked.vip;
  const { serving } = tasks;
  if (serving.length === 0) return { chains: [[chain, []]], sets: [] };
  const first = asked.first % serving.length;
  const key = [family, chain, subnet6, first, affinity, affinityTimeoutMs].join(' ');
  const known = knownParts.get(tasks) ?? new Map<string, BalancingParts>();
  knownParts.set(tasks, known);
  const parts =
    known.get(key) ??
    balancing({
      family,
      chain,
      first,
      backends: serving.map(translate),
      affinity,
      affinityTimeoutMs,
    });
  known.set(key, parts);
  return parts;
}

/** From the IPv4 addresses of a network to those of the family; undefined: it has none. */
function addressesIn(
  family: NftFamily,
  index: StateIndex,
  networkId: NetworkId,
): ((address: string) => string) | undefined {
  if (family === 'ip') return (address) => address;
  const subnet6 = index.networks.get(networkId)?.subnet6 ?? '';
  return subnet6 === '' ? undefined : (address) => ipv6Of(subnet6, address);
}

/**
 * The rule on `ct state` keeps conntrack registered when no other rule needs it, as connections that
 * are already translated depend on it. It spares their packets the look at the set, too. At the filter's priority
 * a connection's first packet that still has a virtual address found no backend; so did one that conntrack forgot.
 */
function fixedPart(family: NftFamily, gateway: string): string {
  const [map, type] = family === 'ip' ? ['vip4', 'ipv4_addr'] : ['vip6', 'ipv6_addr'];
  const names = family === 'ip' ? nameServerChains(gateway) : { output: '', rest: '' };
  return `  map ${map} { type ${type} : verdict; }
  set vips { type ${type}; }
  chain nat_out {
    type nat hook output priority -100; policy accept;
    ${family} daddr vmap @${map}
${names.output}  }
${names.rest}  chain flt_out {
    type filter hook output priority 0; policy accept;
    ct state invalid,established,related accept
    ${family} daddr @vips meta l4proto tcp reject with tcp reset
    ${family} daddr @vips reject
  }`;
}

/** Names are asked for by IPv4, addresses of both families are answered. */
function nameServerChains(gateway: string): { output: string; rest: string } {
  return {
    output: `    ip daddr ${CONTAINER_NAMESERVER} udp dport 53 dnat to ${gateway}:53
    ip daddr ${CONTAINER_NAMESERVER} tcp dport 53 dnat to ${gateway}:53
`,
    rest: `  chain nat_post {
    type nat hook postrouting priority 100; policy accept;
    ip saddr 127.0.0.0/8 oifname "${CONTAINER_GATEWAY_LINK}" masquerade
  }
`,
  };
}

/** A connection to be forgotten: from virtual address to a backend that left. */
export interface DeadBackend {
  readonly networkId: NetworkId;
  readonly virtualAddress: string;
  readonly address: string;
  /** False while the task is being stopped: its TCP connections may end in peace. */
  readonly gone: boolean;
}

/**
 * Backends that `before` had and `next` has not, for containers on `networks`. UDP clients that keep
 * their port would stay with a backend that left for as long as they send.
 */
export function deadBackends(
  before: StateIndex,
  next: StateIndex,
  networks: readonly NetworkId[],
): DeadBackend[] {
  return networks.flatMap((networkId) => {
    const vips = (before.vips.get(networkId) ?? []).filter((vip) => vip.address !== '');
    return vips.flatMap((vip) => {
      const [tasks, now] = [tasksBehind(before, vip), tasksBehind(next, vip)];
      if (tasks === now) return [];
      const serving = new Set(now.serving);
      return tasks.endpoints
        .filter(({ address }) => !serving.has(address))
        .map((one) => ({ ...one, gone: !next.taken(networkId).has(one.address) }))
        .filter((one) => one.serving || one.gone)
        .map(({ address, gone }) => ({ networkId, virtualAddress: vip.address, address, gone }));
    });
  });
}

/** The arguments of `conntrack` that make a container forget its connections to tasks of a node. */
export function connectionsTo(
  nodeId: NodeId,
  index: StateIndex,
  networks: readonly NetworkId[],
): string[] {
  const dead = networks.flatMap((networkId) => {
    const vips = (index.vips.get(networkId) ?? []).filter((vip) => vip.address !== '');
    return vips.flatMap((vip) =>
      tasksBehind(index, vip)
        .endpoints.filter((one) => one.nodeId === nodeId)
        .map(({ address }) => ({ networkId, virtualAddress: vip.address, address, gone: true })),
    );
  });
  return forgetLines(dead, index);
}

/** The arguments of `conntrack` that make a container forget these connections, in both families. */
export function forgetLines(dead: readonly DeadBackend[], index: StateIndex): string[] {
  return dead.flatMap(({ networkId, virtualAddress, address, gone }) =>
    (['ip', 'ip6'] as const).flatMap((family) => {
      const translate = addressesIn(family, index, networkId);
      if (translate === undefined) return [];
      const what = `-D${family === 'ip' ? '' : ' -f ipv6'}${gone ? '' : ' -p udp'}`;
      return [`${what} --orig-dst ${translate(virtualAddress)} --reply-src ${translate(address)}`];
    }),
  );
}
