/** Look-ups in a NetworkState that several of the pure functions need; built once per state. */
import {
  tunnelsByIpv6,
  type Network,
  type NetworkEndpoint,
  type NetworkId,
  type NetworkState,
  type ServiceId,
  type ServiceVip,
} from '@swarmd/model';

export interface StateIndex {
  readonly state: NetworkState;
  readonly networks: ReadonlyMap<NetworkId, Network>;
  readonly vips: ReadonlyMap<NetworkId, readonly ServiceVip[]>;
  readonly endpoints: ReadonlyMap<NetworkId, readonly NetworkEndpoint[]>;
  readonly services: ReadonlyMap<NetworkId, ReadonlyMap<ServiceId, ServiceTasks>>;
  /** Addresses that a task of the network has, whether it serves or not. */
  readonly taken: (network: NetworkId) => ReadonlySet<string>;
}

/**
 * The tasks of a service on a network. The same object as in the index before as long as they are the
 * same: with thousands of tasks, what is worked out for one service must not be worked out for all.
 */
export interface ServiceTasks {
  readonly endpoints: readonly NetworkEndpoint[];
  /** Addresses that may receive traffic, sorted, each once. */
  readonly serving: readonly string[];
}

/** @param before an earlier index, to be shared where nothing has changed. */
export function indexState(state: NetworkState, before?: StateIndex): StateIndex {
  const endpoints = Map.groupBy(reachable(state), (endpoint) => endpoint.networkId);
  const taken = new Map<NetworkId, ReadonlySet<string>>();
  return {
    state,
    networks: new Map(state.networks.map((network) => [network.id, network])),
    vips: Map.groupBy(state.vips, (vip) => vip.networkId),
    endpoints,
    services: new Map(
      [...endpoints].map(([id, list]) => [id, servicesOf(list, before?.services.get(id))]),
    ),
    taken: (network) => {
      const known = taken.get(network) ?? addressesOf(endpoints.get(network));
      taken.set(network, known);
      return known;
    },
  };
}

function addressesOf(endpoints: readonly NetworkEndpoint[] = []): ReadonlySet<string> {
  return new Set(endpoints.map(({ address }) => address));
}

function servicesOf(
  all: readonly NetworkEndpoint[],
  before: ReadonlyMap<ServiceId, ServiceTasks> | undefined,
): ReadonlyMap<ServiceId, ServiceTasks> {
  const groups = Map.groupBy(all, (endpoint) => endpoint.serviceId);
  return new Map(
    [...groups].map(([id, endpoints]) => {
      const known = before?.get(id);
      return [
        id,
        known !== undefined && isSame(known.endpoints, endpoints) ? known : tasksOf(endpoints),
      ];
    }),
  );
}

function tasksOf(endpoints: readonly NetworkEndpoint[]): ServiceTasks {
  const serving = endpoints.filter((one) => one.serving).map(({ address }) => address);
  return { endpoints, serving: [...new Set(serving)].sort() };
}

function isSame(some: readonly NetworkEndpoint[], others: readonly NetworkEndpoint[]): boolean {
  return some.length === others.length && some.every((one, at) => one === others[at]);
}

/** Whether anything here needs the mesh by IPv6: a container's way out, or a port's. */
export function usesIpv6({ state }: StateIndex): boolean {
  return (
    // Its table says who may send VXLAN by IPv6.
    tunnelsByIpv6(state.self) ||
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

const NO_TASKS: ServiceTasks = { endpoints: [], serving: [] };

/** The tasks behind a virtual address. */
export function tasksBehind(
  index: StateIndex,
  { networkId, serviceId }: Pick<ServiceVip, 'networkId' | 'serviceId'>,
): ServiceTasks {
  return index.services.get(networkId)?.get(serviceId) ?? NO_TASKS;
}
