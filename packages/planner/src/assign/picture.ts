/**
 * The part of assignments that is the same for every node: who is where, and who may receive
 * traffic. It follows the view: what did not change since it was asked last costs nothing and keeps
 * its identity, so that comparing two pictures is cheap.
 */
import type {
  EncryptedPeer,
  EndpointSpec,
  NetworkEndpoint,
  NetworkId,
  NetworkPeer,
  Node,
  NodeId,
  PortConfig,
  PublishedPort,
  Service,
  ServiceId,
  ServiceVip,
  Task,
  TaskId,
} from '@swarmd/model';
import { AddressBlocks, asId, hasMeshPort, tunnelAddress, tunnelAddressOf } from '@swarmd/model';

import { isOver, sameSpec } from '../task-view.ts';
import type { AssignView } from '../types.ts';
import { IndexedList } from './indexed-list.ts';
import { keep } from './keep.ts';
import { PeerLists } from './peers.ts';

export interface Picture {
  readonly version: number;
  /** Nodes that can be reached, by index. */
  readonly peers: readonly NetworkPeer[];
  /** Their addresses, as `addressBlocks`. */
  readonly nodes: readonly string[];
  /** Nodes with a task that published ports lead to. */
  readonly mesh: ReadonlySet<NodeId>;
  /** Nodes with encrypted networks, by index. */
  readonly encryptedPeers: readonly EncryptedPeer[];
  readonly peerLists: PeerLists;
  readonly endpoints: ReadonlyMap<NetworkId, readonly NetworkEndpoint[]>;
  readonly vips: ReadonlyMap<NetworkId, readonly ServiceVip[]>;
  /** Ports that every node answers. */
  readonly ingressPorts: readonly PublishedPort[];
}

const books = new WeakMap<AssignView, PictureBook>();

/** The picture of the view as it is now; `view` must be outside of any transaction. */
export function pictureOf(view: AssignView): Picture {
  let book = books.get(view);
  if (book === undefined) books.set(view, (book = new PictureBook()));
  return book.follow(view);
}

/** What a task adds to the picture. */
interface Part {
  readonly task: Task;
  readonly endpoints: readonly NetworkEndpoint[];
  readonly backend: string | undefined;
  /** The same if it has IPv6, too. */
  readonly backend6: string | undefined;
  readonly isMesh: boolean;
}

class PictureBook {
  #mark: number | undefined;
  #picture: Picture = {
    version: -1,
    peers: [],
    nodes: [],
    mesh: new Set(),
    encryptedPeers: [],
    peerLists: new PeerLists(),
    endpoints: new Map(),
    vips: new Map(),
    ingressPorts: [],
  };
  #nodeMark: number | undefined;
  readonly #nodes = new Map<NodeId, Node>();
  readonly #peers = new IndexedList<NetworkPeer>();
  readonly #encryptedPeers = new IndexedList<EncryptedPeer>();
  readonly #addresses = new AddressBlocks();
  /** Of the services as they are known here: see `writesOf`. */
  #serviceWrites: number | undefined;
  #services = new Map<ServiceId, Service>();
  readonly #parts = new Map<TaskId, Part>();
  readonly #endpoints = new Map<NetworkId, Map<TaskId, NetworkEndpoint>>();
  readonly #backends = new Map<ServiceId, Map<TaskId, string>>();
  readonly #backends6 = new Map<ServiceId, Map<TaskId, string>>();
  /** How many tasks of a node published ports lead to. */
  readonly #mesh = new Map<NodeId, number>();
  #meshIsNew = false;
  /** Networks and services whose lists are to be drawn again. */
  readonly #dirtyNetworks = new Set<NetworkId>();
  readonly #dirtyServices = new Set<ServiceId>();

  follow(view: AssignView): Picture {
    if (this.#picture.version === view.version) return this.#picture;
    this.#followNodes(view);
    this.#followTasks(view);
    const services = this.#followServices(view);
    const { endpoints, vips, ingressPorts, nodes, mesh, peerLists } = this.#picture;
    this.#picture = {
      version: view.version,
      peers: this.#peers.list(),
      nodes: keepTexts(nodes, this.#addresses.list()),
      mesh: this.#meshIsNew ? new Set(this.#mesh.keys()) : mesh,
      encryptedPeers: this.#encryptedPeers.list(),
      peerLists,
      endpoints: this.#drawEndpoints(endpoints),
      vips: services ? this.#drawVips(view, vips) : vips,
      ingressPorts:
        services || this.#dirtyServices.size > 0
          ? this.#drawPorts(view, ingressPorts)
          : ingressPorts,
    };
    this.#dirtyNetworks.clear();
    this.#dirtyServices.clear();
    this.#meshIsNew = false;
    return this.#picture;
  }

  #followNodes(view: AssignView): void {
    const written = view.nodesWrittenSince?.(this.#nodeMark);
    this.#nodeMark = written?.mark;
    if (written?.ids !== undefined) {
      for (const id of written.ids) this.#followNode(view, id);
      return;
    }
    for (const id of Array.from(this.#nodes.keys())) this.#followNode(view, id);
    for (const { id } of view.list('node')) this.#followNode(view, id);
  }

  #followNode(view: AssignView, id: NodeId): void {
    const node = view.get('node', id);
    if (node === this.#nodes.get(id)) return;
    if (node === undefined) this.#nodes.delete(id);
    else this.#nodes.set(id, node);
    // A task on a node that is not heard of serves nobody.
    for (const task of view.tasksByNode(id)) this.#put(view, task.id);
    this.#encryptedPeers.put(id, node && encryptedPeer(node));
    const peer = node && peerOf(node);
    const changed = this.#peers.put(id, peer);
    if (changed === undefined) return;
    if (peer !== undefined) for (const one of addressesOf(peer)) this.#addresses.add(one);
    if (changed.before === undefined) return;
    for (const one of addressesOf(changed.before)) this.#addresses.remove(one);
  }

  #followTasks(view: AssignView): void {
    const written = view.tasksWrittenSince?.(this.#mark);
    this.#mark = written?.mark;
    if (written?.ids !== undefined) {
      for (const id of written.ids) this.#put(view, id);
      return;
    }
    for (const id of Array.from(this.#parts.keys())) this.#put(view, id);
    for (const { id } of view.list('task')) this.#put(view, id);
  }

  #put(view: AssignView, id: TaskId): void {
    const before = this.#parts.get(id);
    const after = partOf(view, view.get('task', id));
    if (after === undefined) this.#parts.delete(id);
    else this.#parts.set(id, after);
    this.#putEndpoints(id, before?.endpoints ?? [], after?.endpoints ?? []);
    if (before?.isMesh === true) this.#countMesh(before.task, -1);
    if (after?.isMesh === true) this.#countMesh(after.task, 1);
    if (before?.backend === after?.backend && before?.backend6 === after?.backend6) return;
    const serviceId = (after ?? before)?.task.serviceId;
    if (serviceId === undefined) return;
    setIn(this.#backends, [serviceId, id], after?.backend);
    setIn(this.#backends6, [serviceId, id], after?.backend6);
    this.#dirtyServices.add(serviceId);
  }

  #putEndpoints(
    id: TaskId,
    before: readonly NetworkEndpoint[],
    after: readonly NetworkEndpoint[],
  ): void {
    for (const { networkId } of before) {
      if (after.some((one) => one.networkId === networkId)) continue;
      setIn(this.#endpoints, [networkId, id], undefined);
      this.#dirtyNetworks.add(networkId);
    }
    for (const endpoint of after) {
      const known = this.#endpoints.get(endpoint.networkId)?.get(id);
      if (known !== undefined && sameSpec(known, endpoint)) continue;
      setIn(this.#endpoints, [endpoint.networkId, id], endpoint);
      this.#dirtyNetworks.add(endpoint.networkId);
    }
  }

  #countMesh({ nodeId }: Task, change: 1 | -1): void {
    if (nodeId === undefined) return;
    const count = this.#mesh.get(nodeId) ?? 0;
    if (count + change === 0) this.#mesh.delete(nodeId);
    else this.#mesh.set(nodeId, count + change);
    if (count === 0 || count + change === 0) this.#meshIsNew = true;
  }

  /** @returns whether any service changed. */
  #followServices(view: AssignView): boolean {
    const writes = view.writesOf?.('service');
    if (writes !== undefined && writes === this.#serviceWrites) return false;
    this.#serviceWrites = writes;
    const services = new Map<ServiceId, Service>();
    let isSame = true;
    for (const service of view.list('service')) {
      services.set(service.id, service);
      isSame &&= this.#services.get(service.id) === service;
    }
    isSame &&= services.size === this.#services.size;
    this.#services = services;
    return !isSame;
  }

  #drawEndpoints(before: Picture['endpoints']): Picture['endpoints'] {
    if (this.#dirtyNetworks.size === 0) return before;
    const drawn = new Map(before);
    for (const id of this.#dirtyNetworks) {
      const list = this.#endpoints.get(id);
      if (list === undefined) drawn.delete(id);
      else drawn.set(id, [...list.values()]);
    }
    return drawn;
  }

  #drawVips(view: AssignView, before: Picture['vips']): Picture['vips'] {
    const vips = new Map<NetworkId, ServiceVip[]>();
    for (const service of view.list('service')) {
      for (const vip of vipsOf(service)) {
        const list = vips.get(vip.networkId);
        if (list === undefined) vips.set(vip.networkId, [vip]);
        else list.push(vip);
      }
    }
    const keyOf = (one: ServiceVip): string => one.serviceId;
    return new Map([...vips].map(([id, list]) => [id, keep(before.get(id), list, keyOf)]));
  }

  #drawPorts(view: AssignView, before: readonly PublishedPort[]): readonly PublishedPort[] {
    const ports: PublishedPort[] = [];
    for (const { id, endpoint, spec } of view.list('service')) {
      const ingress = endpoint.ports.filter((port) => port.publishMode === 'ingress');
      if (ingress.length === 0) continue;
      const backends = [...(this.#backends.get(id)?.values() ?? [])].toSorted();
      const backends6 = [...(this.#backends6.get(id)?.values() ?? [])].toSorted();
      const { source, localOnly, affinity, affinityTimeoutMs } = spec.endpoint;
      const rest = { source, localOnly, affinity, affinityTimeoutMs, backends, backends6 };
      for (const port of ingress) ports.push(publishedPort(id, port, rest));
    }
    return keep(
      before,
      ports,
      (one) => `${one.serviceId}/${one.protocol}/${one.publishedPort}/${one.address}`,
    );
  }
}

function setIn<A, B, V>(
  groups: Map<A, Map<B, V>>,
  [group, key]: readonly [A, B],
  value: V | undefined,
): void {
  const known = groups.get(group);
  if (value === undefined) {
    known?.delete(key);
    if (known?.size === 0) groups.delete(group);
  } else if (known === undefined) groups.set(group, new Map([[key, value]]));
  else known.set(key, value);
}

/** Undefined when nothing of the task is or will be on the network. */
function partOf(view: AssignView, task: Task | undefined): Part | undefined {
  if (task?.nodeId === undefined || isOver(task)) return undefined;
  const serving = mayServe(view, task);
  const backend = serving ? task.gatewayAddress : undefined;
  const isMesh = hasMeshPort(task.ports);
  const backend6 = hasIpv6(view, task) ? backend : undefined;
  return { task, endpoints: endpointsOf(task, serving), backend, backend6, isMesh };
}

/** Then it has a way out by IPv6, too, and its ports answer by it. */
export function hasIpv6(view: Pick<AssignView, 'get'>, task: Task): boolean {
  return task.networks.some(({ networkId }) => {
    return (view.get('network', networkId)?.subnet6 ?? '') !== '';
  });
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
  rest: Pick<PublishedPort, 'backends' | 'backends6'> & MeshOptions,
): PublishedPort {
  return { ...port, serviceId, ...rest };
}

type MeshOptions = Pick<EndpointSpec, 'source' | 'localOnly' | 'affinity' | 'affinityTimeoutMs'>;

function endpointsOf(task: Task, serving: boolean): readonly NetworkEndpoint[] {
  const { nodeId } = task;
  if (nodeId === undefined || task.networks.length === 0) return NO_ENDPOINTS;
  const held = task.networks.filter(({ address }) => address !== '');
  return held.map(({ networkId, address, aliases }) => ({
    taskId: task.id,
    networkId,
    nodeId,
    address: address.split('/')[0] ?? address,
    serviceId: task.serviceId,
    serviceName: task.serviceName,
    slot: task.slot,
    aliases,
    serving,
  }));
}

const NO_ENDPOINTS: readonly NetworkEndpoint[] = [];
const vipsBefore = new WeakMap<Service, readonly ServiceVip[]>();

function vipsOf(service: Service): readonly ServiceVip[] {
  const known = vipsBefore.get(service);
  if (known !== undefined) return known;
  const addresses = new Map(service.endpoint.virtualIps.map((vip) => [vip.networkId, vip.address]));
  const { affinity, affinityTimeoutMs } = service.spec.endpoint;
  const vips = service.spec.task.networks.map(({ target, aliases }) => {
    const networkId = asId('network', target);
    return {
      serviceId: service.id,
      serviceName: service.spec.name,
      networkId,
      address: addresses.get(networkId) ?? '',
      aliases,
      affinity,
      affinityTimeoutMs,
    };
  });
  vipsBefore.set(service, vips);
  return vips;
}

const peersBefore = new WeakMap<Node, NetworkPeer>();

/** Undefined until the node has told its address. */
export function peerOf(node: Node): NetworkPeer | undefined {
  const { address } = node.status;
  if (address === '') return undefined;
  const known = peersBefore.get(node);
  if (known !== undefined) return known;
  const { id, index, ingressAddress, gatewaySubnet } = node;
  const down = node.status.state === 'down';
  const dataPathAddress = node.description?.dataPathAddress ?? '';
  const peer: NetworkPeer = {
    nodeId: id,
    index,
    address,
    ingressAddress,
    gatewaySubnet,
    down,
    addresses6: node.description?.addresses6 ?? [],
    ...(dataPathAddress === '' ? {} : { dataPathAddress }),
  };
  peersBefore.set(node, peer);
  return peer;
}

/** None as long as the node's kernel holds no state of encryption. */
function encryptedPeer(node: Node): EncryptedPeer | undefined {
  const { id, index, description } = node;
  const address = tunnelAddressOf(node);
  const incarnation = description?.encryption?.incarnation ?? '';
  if (address === '' || incarnation === '') return undefined;
  return { nodeId: id, index, address, incarnation };
}

function addressesOf(peer: NetworkPeer): string[] {
  return [peer.address, tunnelAddress(peer)];
}

/** The list as it was when it is the same. */
function keepTexts(before: readonly string[], after: readonly string[]): readonly string[] {
  if (before === after) return before;
  const isSame = after.length === before.length && after.every((one, at) => one === before[at]);
  return isSame ? before : after;
}
