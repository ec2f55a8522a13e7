/**
 * The part of assignments that is the same for every node: who is where, and who may receive
 * traffic. Drawn once for each version of the view; what did not change keeps its identity, so that
 * comparing two pictures is cheap.
 */
import type {
  Network,
  NetworkEndpoint,
  NetworkId,
  NetworkPeer,
  Node,
  PortConfig,
  PublishedPort,
  Service,
  ServiceId,
  ServiceVip,
  Task,
} from '@swarmd/model';
import { asId } from '@swarmd/model';

import { isOver, sameSpec } from '../task-view.ts';
import type { AssignView } from '../types.ts';

export interface Picture {
  readonly version: number;
  /** Nodes that can be reached, by index. */
  readonly peers: readonly NetworkPeer[];
  readonly endpoints: ReadonlyMap<NetworkId, readonly NetworkEndpoint[]>;
  readonly vips: ReadonlyMap<NetworkId, readonly ServiceVip[]>;
  /** Ports that every node answers. */
  readonly ingressPorts: readonly PublishedPort[];
}

const pictures = new WeakMap<AssignView, Picture>();

/** The picture of the view as it is now; `view` must be outside of any transaction. */
export function pictureOf(view: AssignView): Picture {
  const before = pictures.get(view);
  if (before?.version === view.version) return before;
  const picture = draw(view, before);
  pictures.set(view, picture);
  return picture;
}

function draw(view: AssignView, before: Picture | undefined): Picture {
  const endpoints = new Map<NetworkId, NetworkEndpoint[]>();
  const backends = new Map<ServiceId, string[]>();
  for (const task of view.list('task')) {
    if (isOver(task) || task.nodeId === undefined) continue;
    const serving = mayServe(view, task);
    for (const endpoint of endpointsOf(task, serving)) {
      push(endpoints, endpoint.networkId, endpoint);
    }
    if (serving && task.gatewayAddress !== undefined) {
      push(backends, task.serviceId, task.gatewayAddress);
    }
  }
  const vips = new Map<NetworkId, ServiceVip[]>();
  const ports: PublishedPort[] = [];
  for (const service of view.list('service')) {
    for (const vip of vipsOf(service)) push(vips, vip.networkId, vip);
    const addresses = (backends.get(service.id) ?? []).toSorted();
    for (const port of service.endpoint.ports) {
      if (port.publishMode === 'ingress') ports.push(publishedPort(service.id, port, addresses));
    }
  }
  return {
    version: view.version,
    peers: keep(before?.peers, peersOf(view), (one) => one.nodeId),
    endpoints: keepAll(before?.endpoints, endpoints, (one) => `${one.taskId}/${one.networkId}`),
    vips: keepAll(before?.vips, vips, (one) => `${one.serviceId}/${one.networkId}`),
    ingressPorts: keep(
      before?.ingressPorts,
      ports,
      (one) => `${one.serviceId}/${one.protocol}/${one.publishedPort}`,
    ),
  };
}

function push<K, V>(groups: Map<K, V[]>, key: K, value: V): void {
  const group = groups.get(key);
  if (group === undefined) groups.set(key, [value]);
  else group.push(value);
}

/** Running, not being stopped, and on a node that is heard of. */
export function mayServe(view: AssignView, task: Task): boolean {
  if (task.status.state !== 'running' || task.desiredState !== 'running') return false;
  const node = task.nodeId === undefined ? undefined : view.get('node', task.nodeId);
  return node !== undefined && node.status.state !== 'down';
}

export function publishedPort(
  serviceId: ServiceId,
  port: PortConfig,
  backends: readonly string[],
): PublishedPort {
  const { protocol, publishedPort, targetPort, publishMode } = port;
  return { serviceId, protocol, publishedPort, targetPort, publishMode, backends };
}

const serving = new WeakMap<Task, readonly NetworkEndpoint[]>();
const silent = new WeakMap<Task, readonly NetworkEndpoint[]>();

function endpointsOf(task: Task, isServing: boolean): readonly NetworkEndpoint[] {
  const cache = isServing ? serving : silent;
  const known = cache.get(task);
  if (known !== undefined) return known;
  const { nodeId } = task;
  if (nodeId === undefined) return [];
  const endpoints = task.networks.map(({ networkId, address, aliases }) => ({
    taskId: task.id,
    networkId,
    nodeId,
    address: address.split('/')[0] ?? address,
    serviceId: task.serviceId,
    serviceName: task.serviceName,
    slot: task.slot,
    aliases,
    serving: isServing,
  }));
  cache.set(task, endpoints);
  return endpoints;
}

const vipsBefore = new WeakMap<Service, readonly ServiceVip[]>();

function vipsOf(service: Service): readonly ServiceVip[] {
  const known = vipsBefore.get(service);
  if (known !== undefined) return known;
  const addresses = new Map(service.endpoint.virtualIps.map((vip) => [vip.networkId, vip.address]));
  const vips = service.spec.task.networks.map(({ target, aliases }) => {
    const networkId = asId('network', target);
    return {
      serviceId: service.id,
      serviceName: service.spec.name,
      networkId,
      address: addresses.get(networkId) ?? '',
      aliases,
    };
  });
  vipsBefore.set(service, vips);
  return vips;
}

const peersBefore = new WeakMap<Node, NetworkPeer>();

function peersOf(view: AssignView): NetworkPeer[] {
  return [...view.list('node')]
    .map((node) => peerOf(node))
    .filter((peer) => peer !== undefined)
    .toSorted((a, b) => a.index - b.index);
}

/** Undefined until the node has told its address. */
export function peerOf(node: Node): NetworkPeer | undefined {
  const { address } = node.status;
  if (address === '') return undefined;
  const known = peersBefore.get(node);
  if (known !== undefined) return known;
  const { id, index, ingressAddress, gatewaySubnet } = node;
  const peer: NetworkPeer = { nodeId: id, index, address, ingressAddress, gatewaySubnet };
  peersBefore.set(node, peer);
  return peer;
}

function keepAll<T extends object>(
  before: ReadonlyMap<NetworkId, readonly T[]> | undefined,
  after: ReadonlyMap<Network['id'], readonly T[]>,
  keyOf: (item: T) => string,
): ReadonlyMap<NetworkId, readonly T[]> {
  return new Map([...after].map(([id, list]) => [id, keep(before?.get(id), list, keyOf)]));
}

/** The items of `after`, each as it was in `before` where equal; the list itself where all are. */
function keep<T extends object>(
  before: readonly T[] | undefined,
  after: readonly T[],
  keyOf: (item: T) => string,
): readonly T[] {
  if (before === undefined) return after;
  let old: Map<string, T> | undefined;
  const list = after.map((item, index) => {
    const same = before[index];
    if (same === item) return item;
    if (same !== undefined && sameSpec(same, item)) return same;
    old ??= new Map(before.map((one) => [keyOf(one), one]));
    const known = old.get(keyOf(item));
    return known !== undefined && sameSpec(known, item) ? known : item;
  });
  const unchanged = list.length === before.length && list.every((item, at) => item === before[at]);
  return unchanged ? before : list;
}
