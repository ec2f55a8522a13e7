/** Look-ups in a NetworkState that several of the pure functions need; built once per state. */
import type { Network, NetworkEndpoint, NetworkId, NetworkState, ServiceVip } from '@swarmd/model';

export interface StateIndex {
  readonly state: NetworkState;
  readonly networks: ReadonlyMap<NetworkId, Network>;
  readonly vips: ReadonlyMap<NetworkId, readonly ServiceVip[]>;
  readonly endpoints: ReadonlyMap<NetworkId, readonly NetworkEndpoint[]>;
  /** Addresses that may receive traffic, by `servingKey`. */
  readonly serving: ReadonlyMap<string, ReadonlySet<string>>;
}

export function indexState(state: NetworkState): StateIndex {
  const serving = new Map<string, Set<string>>();
  const endpoints = reachable(state);
  for (const endpoint of endpoints) {
    if (!endpoint.serving) continue;
    const key = servingKey(endpoint);
    const addresses = serving.get(key);
    if (addresses === undefined) serving.set(key, new Set([endpoint.address]));
    else addresses.add(endpoint.address);
  }
  return {
    state,
    networks: new Map(state.networks.map((network) => [network.id, network])),
    vips: Map.groupBy(state.vips, (vip) => vip.networkId),
    endpoints: Map.groupBy(endpoints, (endpoint) => endpoint.networkId),
    serving,
  };
}

/** Whether anything here needs the mesh by IPv6: a container's way out, or a port's. */
export function usesIpv6({ state }: StateIndex): boolean {
  return (
    state.networks.some(({ subnet6 }) => subnet6 !== '') ||
    state.ports.some(({ address, backends6 }) => address.includes(':') || backends6.length > 0)
  );
}

/** A network that is a bridge on each node has only the node's own tasks, as seen from there. */
function reachable({ networks, endpoints, self }: NetworkState): readonly NetworkEndpoint[] {
  const bridges = new Set(
    networks.filter(({ spec }) => spec.driver === 'bridge').map(({ id }) => id),
  );
  if (bridges.size === 0) return endpoints;
  return endpoints.filter(
    ({ networkId, nodeId }) => !bridges.has(networkId) || nodeId === self.nodeId,
  );
}

function servingKey({ networkId, serviceId }: Pick<ServiceVip, 'networkId' | 'serviceId'>): string {
  return `${networkId} ${serviceId}`;
}

/** Addresses behind a service on a network that may receive traffic, sorted, each once. */
export function servingAddresses(index: StateIndex, vip: ServiceVip): string[] {
  return [...(index.serving.get(servingKey(vip)) ?? [])].sort();
}
