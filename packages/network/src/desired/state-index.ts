/** Look-ups in a NetworkState that several of the pure functions need; built once per state. */
import type { Network, NetworkEndpoint, NetworkId, NetworkState, ServiceVip } from '@swarmd/model';

export interface StateIndex {
  readonly state: NetworkState;
  readonly networks: ReadonlyMap<NetworkId, Network>;
  readonly vips: ReadonlyMap<NetworkId, readonly ServiceVip[]>;
  readonly endpoints: ReadonlyMap<NetworkId, readonly NetworkEndpoint[]>;
}

export function indexState(state: NetworkState): StateIndex {
  return {
    state,
    networks: new Map(state.networks.map((network) => [network.id, network])),
    vips: Map.groupBy(state.vips, (vip) => vip.networkId),
    endpoints: Map.groupBy(state.endpoints, (endpoint) => endpoint.networkId),
  };
}

/** Addresses behind a service on a network that may receive traffic, sorted, each once. */
export function servingAddresses(index: StateIndex, vip: ServiceVip): string[] {
  const addresses = (index.endpoints.get(vip.networkId) ?? [])
    .filter((endpoint) => endpoint.serving && endpoint.serviceId === vip.serviceId)
    .map((endpoint) => endpoint.address);
  return [...new Set(addresses)].sort();
}
