/** Whether the addresses that nodes are to get are free on the machine that makes the cluster. */
import { SwarmError } from '@swarmd/base';
import { ipv4NetworksWithin, ipv4Overlap, parseIpv4Network } from '@swarmd/model';

const POOLS = [
  ['gatewayPool', '--gateway-pool', 'what nodes give their containers'],
  ['ingressPool', '--ingress-pool', 'the nodes’ addresses among themselves'],
] as const;

/**
 * Pools stay as a cluster is made with them. What is around a pool is no conflict: the smaller network is
 * found first.
 * @param spec of the cluster, as it was asked for. @param own networks that the machine has.
 * @throws SwarmError `invalid-argument`, `failed-precondition`
 */
export function checkPools(spec: object, own: readonly string[]): void {
  const fields = new Map<string, unknown>(Object.entries(spec));
  const pools = POOLS.map(([field, flag, what]) => {
    const text = String(fields.get(field));
    const network = parseIpv4Network(text);
    if (network !== undefined) return { text, flag, what, network };
    const why =
      'must be an IPv4 network such as 100.64.0.0/10, with the bits behind its prefix zero';
    throw new SwarmError('invalid-argument', `${flag} ${text} ${why}`);
  });
  const [gateways, ingress] = pools;
  if (gateways && ingress && ipv4Overlap(gateways.network, ingress.network)) {
    const message = `${gateways.flag} ${gateways.text} and ${ingress.flag} ${ingress.text} overlap`;
    throw new SwarmError('invalid-argument', message);
  }
  for (const { text, flag, what, network } of pools) {
    const [taken] = ipv4NetworksWithin(own, network);
    if (taken === undefined) continue;
    throw new SwarmError(
      'failed-precondition',
      `${what} would be of ${text}, and this machine has a route to ${taken} in it: ` +
        `give another network with ${flag}, which no machine of the cluster uses`,
    );
  }
}
