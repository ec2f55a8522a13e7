/** What one node is told: its tasks, the secrets and configs they use, its part of the network. */
import {
  asId,
  isEncrypted,
  joinList,
  rank,
  secretIds,
  type AssignmentSet,
  type ConfigId,
  type FileContent,
  type Network,
  type NetworkId,
  type NetworkState,
  type NodeId,
  type PublishedPort,
  type SecretId,
  type Task,
} from '@swarmd/model';

import { clusterOf } from '../allocate/subnet.ts';
import { isOver } from '../task-view.ts';
import type { AssignView } from '../types.ts';
import { hasIpv6, mayServe, peerOf, pictureOf, publishedPort, type Picture } from './picture.ts';
import { asTold } from './release.ts';

/**
 * The assignment of a node at the view's version. Ended tasks stay in it until they are forgotten:
 * their logs may still be asked for. Parts that did not change since the last call keep their
 * identity; the list of tasks is the caller's.
 */
export function assign(
  view: AssignView,
  nodeId: NodeId,
): AssignmentSet & { readonly tasks: Task[] } {
  const tasks: Task[] = [];
  const alive: Task[] = [];
  for (const task of view.tasksByNode(nodeId)) {
    if (rank(task.status.state) < rank('assigned')) continue;
    tasks.push(task);
    if (!isOver(task)) alive.push(task);
  }
  const network = networkStateOf(view, nodeId, alive);
  return {
    tasks: tasks.map(asTold),
    secrets: secretsOf(view, alive),
    configs: configsOf(view, alive),
    ...(network === undefined ? {} : { network }),
  };
}

function secretsOf(view: AssignView, tasks: readonly Task[]): FileContent<SecretId>[] {
  const ids = new Set<string>();
  for (const { spec } of tasks) for (const id of secretIds(spec.container)) ids.add(id);
  return [...ids].flatMap((id) => {
    const secret = view.get('secret', asId('secret', id));
    if (secret === undefined) return [];
    return [
      {
        id: secret.id,
        version: secret.number,
        data: secret.spec.data,
        templated: secret.spec.templating !== 'none',
      },
    ];
  });
}

function configsOf(view: AssignView, tasks: readonly Task[]): FileContent<ConfigId>[] {
  const ids = new Set<string>();
  for (const { spec } of tasks) for (const { id } of spec.container.configs) ids.add(id);
  return [...ids].flatMap((id) => {
    const config = view.get('config', asId('config', id));
    if (config === undefined) return [];
    return [
      {
        id: config.id,
        version: config.number,
        data: config.spec.data,
        templated: config.spec.templating !== 'none',
      },
    ];
  });
}

function networkStateOf(
  view: AssignView,
  nodeId: NodeId,
  alive: readonly Task[],
): NetworkState | undefined {
  const node = view.get('node', nodeId);
  const self = node === undefined ? undefined : peerOf(node);
  const cluster = clusterOf(view);
  if (self === undefined || cluster === undefined) return undefined;
  const picture = pictureOf(view);
  const used = networksUsedBy(alive);
  const networks = used.map((id) => view.get('network', id)).filter((one) => one !== undefined);
  return {
    self,
    vxlanPort: cluster.spec.vxlanPort,
    // Shared lists, the node itself included: thousands of lists of thousands would cost too much.
    peers: picture.peerLists.of(nodeId, used, picture),
    nodes: picture.nodes,
    networks,
    endpoints: ofNetworks(picture.endpoints, used),
    vips: ofNetworks(picture.vips, used),
    ports: portsOf(view, alive, picture),
    ...encryptionOf(view, networks, picture),
  };
}

/** Sorted. */
function networksUsedBy(tasks: readonly Task[]): readonly NetworkId[] {
  const used = new Set<NetworkId>();
  for (const { networks } of tasks) for (const { networkId } of networks) used.add(networkId);
  return used.size === 0 ? NONE : [...used].toSorted();
}

/** One list for all, of no parts: what is computed for it can be found again. */
const NONE: readonly never[] = joinList<never>(new Map());

/** Only nodes that have something to encrypt get the keys. */
function encryptionOf(
  view: AssignView,
  networks: readonly Network[],
  { encryptedPeers: peers }: Picture,
): Pick<NetworkState, 'encryptsMesh' | 'encryption'> {
  const cluster = clusterOf(view);
  const mesh = cluster?.spec.encryptMesh === true ? { encryptsMesh: true } : undefined;
  const ring = cluster?.overlayKeys;
  const isUsed = mesh !== undefined || networks.some(({ spec }) => isEncrypted(spec));
  if (ring === undefined || !isUsed) return { ...mesh };
  return { ...mesh, encryption: { keys: ring.keys, primary: ring.primary, peers } };
}

/** One network's list as it is; of several, nodes with other networks share the parts. */
function ofNetworks<T>(
  lists: ReadonlyMap<NetworkId, readonly T[]>,
  networks: readonly NetworkId[],
): readonly T[] {
  const [only] = networks;
  if (only === undefined) return NONE;
  if (networks.length === 1) return lists.get(only) ?? NONE;
  return joinList(new Map(networks.map((id) => [id, lists.get(id) ?? []])));
}

function portsOf(
  view: AssignView,
  alive: readonly Task[],
  picture: Picture,
): readonly PublishedPort[] {
  const local: PublishedPort[] = [];
  for (const task of alive) {
    for (const port of task.ports) {
      if (port.publishMode !== 'host') continue;
      const isBackend = mayServe(view, task) && task.gatewayAddress !== undefined;
      const backends = isBackend ? [task.gatewayAddress] : [];
      const backends6 = hasIpv6(view, task) ? backends : [];
      const rest = { ...AS_IT_COMES, backends, backends6 };
      addBackends(local, publishedPort(task.serviceId, port, rest));
    }
  }
  return local.length === 0 ? picture.ingressPorts : [...picture.ingressPorts, ...local];
}

/** Ports of one node take no part in the service's choices for the mesh. */
const AS_IT_COMES = {
  source: 'preserve',
  localOnly: false,
  affinity: 'none',
  affinityTimeoutMs: 0,
} as const;

/** Two tasks of a service may follow each other on a node; its port is one. */
function addBackends(ports: PublishedPort[], added: PublishedPort): void {
  const at = ports.findIndex(
    (port) =>
      port.serviceId === added.serviceId &&
      port.protocol === added.protocol &&
      port.publishedPort === added.publishedPort &&
      port.address === added.address &&
      port.targetPort === added.targetPort,
  );
  const known = ports[at];
  if (known === undefined) ports.push(added);
  else {
    ports[at] = {
      ...known,
      backends: [...known.backends, ...added.backends].toSorted(),
      backends6: [...known.backends6, ...added.backends6].toSorted(),
    };
  }
}
