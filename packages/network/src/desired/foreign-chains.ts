/**
 * Other people's chains of nftables that stop what we let pass: an "accept" of our table does not overrule a
 * "drop" of another's (nftables(8), base chains), so our packets need rules where that drop is. iptables' own
 * chains, which are seen by nft, too, are `apply/firewall.ts`'s.
 */
import { GATEWAY_LINK_PREFIX, INGRESS_LINK, NFT_TABLE } from './names.ts';

export interface ForeignChain {
  /** "inet", "ip" or "ip6". */
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook: 'forward' | 'input';
}

export interface FirewallNeeds {
  readonly gateway: string;
  readonly vxlanPort: number;
  /** Whether containers use IPv6 here. */
  readonly ipv6: boolean;
  /** Whether VXLAN packets come by IPv6. */
  readonly tunnelsByIpv6: boolean;
  /** Of encrypted networks; undefined on a node that cannot encrypt. */
  readonly sealedPort: number | undefined;
}

const COMMENT = 'comment "swarmd"';
const OF_IPTABLES = /^ip6? filter (FORWARD|INPUT)$/;

/** @param listing as `nft list chains` prints it: the chains of all tables, without their rules. */
export function foreignChains(listing: string): ForeignChain[] {
  const chains: ForeignChain[] = [];
  let [family, table, name] = ['', '', ''];
  for (const line of listing.split('\n')) {
    [, family = family, table = table] = /^table (\S+) (\S+) \{/.exec(line) ?? [];
    [, name = name] = /^\s+chain (\S+) \{/.exec(line) ?? [];
    const [, hook] = /^\s+type filter hook (forward|input) /.exec(line) ?? [];
    if (hook !== 'forward' && hook !== 'input') continue;
    if (!['inet', 'ip', 'ip6'].includes(family) || table === NFT_TABLE) continue;
    if (OF_IPTABLES.test(`${family} ${table} ${name}`)) continue;
    chains.push({ family, table, name, hook });
  }
  return chains;
}

/**
 * What makes a chain let our packets pass, and nothing of ours stay in one that stops nobody; '' when all is well.
 * @param listing of the chain, as `nft -a list chain` prints it.
 */
export function passChain(chain: ForeignChain, listing: string, needs: FirewallNeeds): string {
  const { rules, isClosed } = look(listing);
  const ours = rules.filter((rule) => rule.includes(COMMENT));
  const wanted = isClosed ? rulesFor(chain, needs) : [];
  if (ours.length === wanted.length) return '';
  const place = `${chain.family} ${chain.table} ${chain.name}`;
  return [
    ...removals(chain, listing),
    ...wanted.toReversed().map((rule) => `insert rule ${place} ${rule} accept ${COMMENT}`),
    '',
  ].join('\n');
}

/** Statements that take our rules out of a chain again. */
export function removals({ family, table, name }: ForeignChain, listing: string): string[] {
  return look(listing)
    .rules.filter((rule) => rule.includes(COMMENT))
    .flatMap((rule) => /# handle (\d+)$/.exec(rule)?.[1] ?? [])
    .map((handle) => `delete rule ${family} ${table} ${name} handle ${handle}`);
}

/** Closed: what no rule lets pass is dropped, by the chain's policy or, as firewalld does it, by its last rule. */
function look(listing: string): { rules: string[]; isClosed: boolean } {
  const lines = listing.split('\n').map((line) => line.trim());
  const head = lines.findIndex((line) => line.startsWith('type filter hook '));
  const rules = lines.slice(head + 1).filter((line) => line !== '' && line !== '}');
  const last = rules.at(-1)?.replace(/ # handle \d+$/, '') ?? '';
  const isClosed =
    lines[head]?.includes('policy drop') === true || /^(drop|reject( with .*)?)$/.test(last);
  return { rules, isClosed };
}

/** The same as iptables' chains get. */
function rulesFor({ family, hook }: ForeignChain, needs: FirewallNeeds): string[] {
  const { gateway, vxlanPort, sealedPort, ipv6, tunnelsByIpv6 } = needs;
  if (family === 'ip6' && !ipv6) return [];
  if (hook === 'forward') {
    return [`${GATEWAY_LINK_PREFIX}*`, INGRESS_LINK].flatMap((link) => [
      `iifname "${link}"`,
      `oifname "${link}"`,
    ]);
  }
  const tunnel = `udp dport ${vxlanPort}`;
  if (family === 'ip6') return tunnelsByIpv6 ? [tunnel] : [];
  const toDns = `iifname "${GATEWAY_LINK_PREFIX}*" ip daddr ${gateway}`;
  return [
    `${toDns} udp dport 53`,
    `${toDns} tcp dport 53`,
    tunnel,
    ...(sealedPort === undefined ? [] : ['meta l4proto esp', `udp dport ${sealedPort}`]),
  ];
}
