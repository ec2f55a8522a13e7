/** The doctor's look at networks of the machine which a network of ours hides, or the other way round. */
import {
  ipv4NetworksWithin,
  parseIpv4Network,
  type Network,
  type NetworkFinding,
  type NetworkPeer,
} from '@swarmd/model';

interface Used {
  readonly networks: readonly {
    readonly subnet: string;
    readonly spec: Pick<Network['spec'], 'name' | 'driver' | 'moreSubnets'>;
  }[];
  readonly peers: readonly (Pick<NetworkPeer, 'gatewaySubnet'> & { readonly nodeId: string })[];
}

/**
 * Managers refuse such subnets, and clusters such pools, when they are made; the machine may have got its
 * route later. What is around one of ours is no conflict: the smaller network is found first.
 * @param own as `hostNetworks` gives them.
 */
export function overlapFindings(state: Used, own: readonly string[]): NetworkFinding[] {
  const inside = (subnet: string): string[] => {
    const ours = parseIpv4Network(subnet);
    return ours === undefined ? [] : ipv4NetworksWithin(own, ours);
  };
  const details = [
    ...state.networks
      // Its containers are meant to be on the machine's wire.
      .filter(({ spec }) => spec.driver !== 'macvlan')
      .flatMap(({ subnet, spec }) =>
        [subnet, ...spec.moreSubnets].flatMap((ours) =>
          inside(ours).map(
            (one) =>
              `${one} is a part of ${ours} of network "${spec.name}": containers on it do not reach it`,
          ),
        ),
      ),
    ...state.peers.flatMap(({ nodeId, gatewaySubnet }) =>
      inside(gatewaySubnet).map(
        (one) =>
          `${one} is a part of ${gatewaySubnet} of node ${nodeId}: published ports here do not lead there`,
      ),
    ),
  ];
  if (details.length === 0) return [];
  const advice =
    'give the network another --subnet, or that of this machine; what nodes have is of the pool that ' +
    'the cluster was made with (swarm init --gateway-pool)';
  return [{ subject: 'networks of this machine', details: [...details, advice], wanted: [] }];
}
