/**
 * What a manager tells a node: its tasks with all they need, and what its network plane must know.
 * Computed on the manager that holds the node's session, from its local replica.
 */
import type { NetworkEncryption } from './encryption.ts';
import type { ConfigId, NetworkId, NodeId, SecretId, ServiceId, TaskId } from './ids.ts';
import type { Network, Node, Task } from './objects.ts';
import type { EndpointSpec, PortConfig } from './spec/service.ts';

/** A secret or config a task of the node uses. */
export interface FileContent<I extends SecretId | ConfigId> {
  readonly id: I;
  readonly version: number;
  readonly data: Uint8Array;
  /** The content is a template, to be expanded for each task. */
  readonly templated: boolean;
}

/** A node as the data plane sees it: where to send VXLAN packets and the mesh's return traffic. */
export interface NetworkPeer {
  readonly nodeId: NodeId;
  readonly index: number;
  readonly address: string;
  readonly ingressAddress: string;
  readonly gatewaySubnet: string;
  /** The managers do not hear of it: its tasks serve nobody. It may be reachable all the same. */
  readonly down: boolean;
  /** Its IPv6 addresses that others may reach it at; it may have none. */
  readonly addresses6: readonly string[];
  /** Where its VXLAN is, of IPv4 or IPv6. Absent or empty: at `address`. */
  readonly dataPathAddress?: string;
}

type Tunnel = Pick<NetworkPeer, 'address'> & { readonly dataPathAddress?: string | undefined };

/** The address that packets between containers are sent to and come from; '' when none is known. */
export function tunnelAddress({ address, dataPathAddress }: Tunnel): string {
  return dataPathAddress || address;
}

/** That of a node as the managers know it. */
export function tunnelAddressOf({ status, description }: Node): string {
  const { dataPathAddress } = description ?? {};
  return tunnelAddress({ address: status.address, dataPathAddress });
}

/** Whether those packets go by IPv6. */
export function tunnelsByIpv6(tunnel: Tunnel): boolean {
  return tunnelAddress(tunnel).includes(':');
}

/** A task that holds an address on an overlay network, wherever it runs. */
export interface NetworkEndpoint {
  readonly taskId: TaskId;
  readonly networkId: NetworkId;
  readonly nodeId: NodeId;
  /** Without prefix length. */
  readonly address: string;
  readonly serviceId: ServiceId;
  readonly serviceName: string;
  readonly slot: number;
  readonly aliases: readonly string[];
  /** True when it may receive traffic: running (and healthy) and not being stopped. */
  readonly serving: boolean;
}

/** A service's virtual address on a network. */
export interface ServiceVip {
  readonly serviceId: ServiceId;
  readonly serviceName: string;
  readonly networkId: NetworkId;
  /** Without prefix length; empty for dnsrr services. */
  readonly address: string;
  readonly aliases: readonly string[];
  readonly affinity: EndpointSpec['affinity'];
  readonly affinityTimeoutMs: number;
}

/** A port that every node answers (ingress), or that this node answers (host mode). */
export interface PublishedPort {
  readonly serviceId: ServiceId;
  readonly protocol: PortConfig['protocol'];
  readonly publishedPort: number;
  readonly targetPort: number;
  readonly publishMode: PortConfig['publishMode'];
  /** Address of a node that it is bound to; empty: all. */
  readonly address: string;
  readonly source: EndpointSpec['source'];
  readonly localOnly: boolean;
  readonly affinity: EndpointSpec['affinity'];
  readonly affinityTimeoutMs: number;
  /** Gateway addresses of the tasks that may receive traffic, sorted. */
  readonly backends: readonly string[];
  /** Those of them that have IPv6, too (ADR 0022): how the port is answered by IPv6. */
  readonly backends6: readonly string[];
}

/** Everything the network plane of one node should have programmed. */
export interface NetworkState {
  readonly self: NetworkPeer;
  readonly vxlanPort: number;
  /**
   * Nodes that traffic of tasks goes to or comes from: those with a task on a network of this node's,
   * those that serve published ports, and every node for one that serves them. Managers list the node
   * itself too; agents are told of the others.
   */
  readonly peers: readonly NetworkPeer[];
  /** Underlay addresses of all nodes of the cluster, this one included, as `addressBlocks` writes them. */
  readonly nodes: readonly string[];
  /** Networks that a task of this node uses. */
  readonly networks: readonly Network[];
  /** Endpoints of those networks on every node. */
  readonly endpoints: readonly NetworkEndpoint[];
  readonly vips: readonly ServiceVip[];
  readonly ports: readonly PublishedPort[];
  /** What goes between nodes on behalf of published ports must be encrypted: kept on disk, as a boot forgets keys. */
  readonly encryptsMesh?: boolean;
  /** Of a node that has something to encrypt, once the cluster has keys. */
  readonly encryption?: NetworkEncryption;
}

/** The complete assignment of a node. Deltas are a matter of the wire (`api`), not of this type. */
export interface AssignmentSet {
  readonly tasks: readonly Task[];
  readonly secrets: readonly FileContent<SecretId>[];
  readonly configs: readonly FileContent<ConfigId>[];
  /** Undefined until the node has an address and an index. */
  readonly network?: NetworkState;
}
