/** The state of a node in a cluster of hundreds, on a network with thousands of tasks. */
import { addressBlocks, asId, type NetworkEndpoint, type NetworkState } from '@swarmd/model';

import { front } from '../../../packages/network/test/lab/scenario.ts';
import { peer, stateOf, type Cluster } from '../../../packages/network/test/lab/cluster.ts';

const TASKS_PER_SERVICE = 20;

/** What the first of `nodes` nodes is told, when the network `front` has so many more endpoints. */
export function largeState(
  cluster: Cluster,
  { nodes, endpoints }: { nodes: number; endpoints: number },
): NetworkState {
  const state = stateOf(cluster, 1);
  // The second one is really there.
  const others = Array.from({ length: nodes - 2 }, (_, i) => ({
    ...peer(i + 3),
    index: i + 1_000,
    address: `10.98.${i >> 8}.${i & 255}`,
    ingressAddress: `10.254.${i >> 8}.${i & 255}`,
    gatewaySubnet: `100.${80 + (i >> 8)}.${i & 255}.0/24`,
    addresses6: [],
  }));
  const peers = [...state.peers, ...others];
  const services = Math.ceil(endpoints / TASKS_PER_SERVICE);
  return {
    ...state,
    peers,
    nodes: addressBlocks([state.self, ...peers].map(({ address }) => address)),
    endpoints: [
      ...state.endpoints,
      ...Array.from({ length: endpoints }, (_, i) => endpointOf(i, others)),
    ],
    vips: [
      ...state.vips,
      ...Array.from({ length: services }, (_, i) => ({
        serviceId: asId('service', `large${i}`),
        serviceName: `large${i}`,
        networkId: front.id,
        address: `10.129.${i >> 8}.${i & 255}`,
        aliases: [],
        affinity: 'none' as const,
        affinityTimeoutMs: 0,
      })),
    ],
  };
}

function endpointOf(i: number, peers: NetworkState['peers']): NetworkEndpoint {
  const service = `large${Math.floor(i / TASKS_PER_SERVICE)}`;
  const nodeId = peers[i % peers.length]?.nodeId ?? asId('node', 'node2');
  return {
    taskId: asId('task', `large${i}`),
    networkId: front.id,
    nodeId,
    address: `10.128.${i >> 8}.${i & 255}`,
    serviceId: asId('service', service),
    serviceName: service,
    slot: i,
    aliases: [],
    serving: true,
  };
}
