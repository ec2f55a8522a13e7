/** States and tasks for tests, as managers would make them. */
import {
  addressBlocks,
  tunnelAddress,
  asId,
  isEncrypted,
  type Network,
  type NetworkEndpoint,
  type NetworkPeer,
  type NetworkState,
  type PublishedPort,
  type ServiceVip,
  type Task,
} from '@swarmd/model';

const META = { version: 1, createdAt: 0, updatedAt: 0 };

/** The third node's index does not fit in 8 bits, as in clusters that lived long. */
export function indexOf(node: number): number {
  return node === 3 ? 300 : node;
}

export function peer(node: number): NetworkPeer {
  const index = indexOf(node);
  return {
    nodeId: asId('node', `node${node}`),
    index,
    address: `10.99.0.${node}`,
    ingressAddress: `10.255.${index >> 8}.${index & 255}`,
    gatewaySubnet: `100.${64 + (index >> 8)}.${index & 255}.0/24`,
    down: false,
    addresses6: [`2001:db8:99::${node}`],
  };
}

export function network(
  name: string,
  vni: number,
  options: {
    internal?: boolean;
    mtu?: number;
    driver?: Network['spec']['driver'];
    parent?: string;
    subnet?: string;
    gateway?: string;
    ipv6?: boolean;
    encrypted?: boolean;
  } = {},
): Network {
  const third = vni - 4096;
  return {
    id: asId('network', `net-${name}`),
    meta: META,
    spec: {
      name,
      labels: {},
      driver: options.driver ?? 'overlay',
      internal: options.internal ?? false,
      attachable: false,
      gateway: options.gateway ?? '',
      ipRange: '',
      reserved: {},
      moreSubnets: [],
      ipv6: options.ipv6 ?? false,
      options: {
        ...(options.parent === undefined ? {} : { parent: options.parent }),
        ...(options.encrypted === true ? { encrypted: '' } : {}),
      },
      subnet: '',
      mtu: options.mtu ?? 0,
    },
    vni,
    subnet: options.subnet ?? `10.0.${third}.0/24`,
    gateway: `10.0.${third}.1`,
    subnet6: options.ipv6 === true ? `fd53:7764:0:${vni.toString(16)}::/96` : '',
  };
}

export interface Placed {
  readonly id: string;
  readonly node: number;
  readonly service: string;
  readonly slot: number;
  /** Last parts of its addresses. */
  readonly host: number;
  readonly networks: readonly Network[];
  readonly aliases?: readonly string[];
  readonly serving?: boolean;
}

export function addressOn(network: Network, host: number): string {
  return network.subnet.replace(/\.0\/24$/, `.${host}`);
}

export function gatewayAddressOf({ node, host }: Placed): string {
  return peer(node).gatewaySubnet.replace(/\.0\/24$/, `.${host}`);
}

export function task(placed: Placed): Task {
  const { id, service, slot, networks, host } = placed;
  return {
    id: asId('task', id),
    meta: META,
    serviceId: asId('service', service),
    serviceName: service,
    slot,
    spec: {} as Task['spec'],
    specVersion: 1,
    desiredState: 'running',
    status: { state: 'running', timestamp: 0, message: '', error: '' },
    networks: networks.map((network) => ({
      networkId: network.id,
      address: hasAddresses(network) ? `${addressOn(network, host)}/24` : '',
      aliases: placed.aliases ?? [],
    })),
    gatewayAddress: gatewayAddressOf(placed),
    ports: [],
    because: [],
  };
}

export interface Cluster {
  readonly nodes: number;
  readonly tasks: readonly Placed[];
  /** Service -> last part of its virtual address; 0 for dnsrr. */
  readonly vips: Readonly<Record<string, number>>;
  readonly ports: readonly PublishedPort[];
  /** Nodes that the managers do not hear of. */
  readonly down?: readonly number[];
  /** Service -> how long its clients are remembered in milliseconds; those that have affinity. */
  readonly affinity?: Readonly<Record<string, number>>;
  /** On every node, whether it has tasks or not. */
  readonly networks: readonly Network[];
  readonly vxlanPort?: number;
  /** Nodes send each other containers' packets by IPv6. */
  readonly dataPath6?: boolean;
  /** Of encrypted networks. */
  readonly encryptsMesh?: boolean;
  readonly ring?: { readonly ids: readonly number[]; readonly primary: number };
  /** Node -> what it calls the state of its kernel. */
  readonly booted?: Readonly<Record<string, string>>;
}

export function port(
  service: string,
  publishedPort: number,
  options: Partial<PublishedPort> & { backends: readonly string[] },
): PublishedPort {
  return {
    serviceId: asId('service', service),
    protocol: 'tcp',
    publishedPort,
    targetPort: 80,
    publishMode: 'ingress',
    address: '',
    source: 'preserve',
    localOnly: false,
    affinity: 'none',
    affinityTimeoutMs: 0,
    backends6: [],
    ...options,
  };
}

export function stateOf(cluster: Cluster, node: number): NetworkState {
  const isDown = (i: number): boolean => cluster.down?.includes(i) ?? false;
  const all = Array.from({ length: cluster.nodes }, (_, i) => i + 1);
  const peerOf = (i: number): NetworkPeer => {
    const plain = peer(i);
    const [dataPathAddress = ''] = plain.addresses6;
    return cluster.dataPath6 === true ? { ...plain, dataPathAddress } : plain;
  };
  return {
    self: peerOf(node),
    vxlanPort: cluster.vxlanPort ?? 4789,
    peers: all.filter((i) => i !== node).map((i) => ({ ...peerOf(i), down: isDown(i) })),
    nodes: addressBlocks(all.flatMap((i) => [peer(i).address, tunnelAddress(peerOf(i))])),
    networks: cluster.networks,
    endpoints: cluster.tasks.flatMap((placed) => endpointsOf(placed)),
    vips: cluster.networks.flatMap((network) => vipsOf(cluster, network)),
    ports: cluster.ports,
    ...encryptionOf(cluster, all),
  };
}

function encryptionOf(
  { ring, booted, networks, encryptsMesh = false }: Cluster,
  nodes: readonly number[],
): Pick<NetworkState, 'encryption' | 'encryptsMesh'> {
  const mesh = encryptsMesh ? { encryptsMesh } : {};
  const isUsed = encryptsMesh || networks.some(({ spec }) => isEncrypted(spec));
  if (ring === undefined || !isUsed) return mesh;
  const peers = nodes.map((node) => {
    const { nodeId, index, address } = peer(node);
    return { nodeId, index, address, incarnation: `boot ${booted?.[node] ?? node}` };
  });
  const keys = ring.ids.map((id) => ({ id, secret: new Uint8Array([id]), createdAt: 0 }));
  return { ...mesh, encryption: { keys, primary: ring.primary, peers } };
}

function hasAddresses({ spec }: Network): boolean {
  return spec.driver !== 'host' && spec.driver !== 'none';
}

function endpointsOf(placed: Placed): NetworkEndpoint[] {
  return placed.networks.filter(hasAddresses).map((network) => ({
    taskId: asId('task', placed.id),
    networkId: network.id,
    nodeId: asId('node', `node${placed.node}`),
    address: addressOn(network, placed.host),
    serviceId: asId('service', placed.service),
    serviceName: placed.service,
    slot: placed.slot,
    aliases: placed.aliases ?? [],
    serving: placed.serving ?? true,
  }));
}

function vipsOf(cluster: Cluster, network: Network): ServiceVip[] {
  const services = new Set(
    cluster.tasks
      .filter(({ networks }) => networks.includes(network))
      .map(({ service }) => service),
  );
  return [...services].flatMap((service) => {
    const host = cluster.vips[service];
    if (host === undefined) return [];
    return [
      {
        serviceId: asId('service', service),
        serviceName: service,
        networkId: network.id,
        address: host === 0 ? '' : addressOn(network, host),
        aliases: cluster.tasks.find((one) => one.service === service)?.aliases ?? [],
        affinity: cluster.affinity?.[service] === undefined ? 'none' : 'client-ip',
        affinityTimeoutMs: cluster.affinity?.[service] ?? 0,
      },
    ];
  });
}
