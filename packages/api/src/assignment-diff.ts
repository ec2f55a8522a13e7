/** What has changed between two assignments of a node, and how to follow. Both pure. */
import {
  isTerminal,
  partsOf,
  type AssignmentSet,
  type EncryptedPeer,
  type NetworkEncryption,
  type NetworkState,
  type Task,
  type TaskId,
} from '@swarmd/model';

import type { AssignmentDelta, NetworkDelta } from './assignment-delta.ts';
import { shareLists } from './codec/message.ts';

// Of which `diffShared` makes one for all nodes.
shareLists('NetworkDelta', ['putPeers', 'putEndpoints', 'putVips', 'putPorts', 'putNodes']);

/**
 * The delta that leads from `before` (undefined: nothing known, the delta is full) to `after`, but for
 * what `sameForNode` leaves aside; undefined when they are equal. Parts that are the same object (`===`) cost one comparison, so
 * callers keep unchanged tasks, peers and endpoints as they were.
 */
export function diffAssignments(
  before: AssignmentSet | undefined,
  after: AssignmentSet,
): AssignmentDelta | undefined {
  if (before === after) return undefined;
  // What is taken back as a whole can only be said by starting anew.
  const restart = before === undefined || (before.network !== undefined && !after.network);
  const old = restart ? EMPTY : before;
  const tasks = diffTasks(old.tasks, after.tasks);
  const secrets = diffList(old.secrets, after.secrets, (secret) => secret.id);
  const configs = diffList(old.configs, after.configs, (config) => config.id);
  const network = after.network && diffNetwork(old.network, after.network);
  const unchanged = [tasks, secrets, configs].every((list) => list === UNCHANGED);
  if (!restart && unchanged && network === undefined) return undefined;
  return {
    full: restart,
    putTasks: tasks.put,
    removeTasks: tasks.remove,
    putSecrets: secrets.put,
    removeSecrets: secrets.remove,
    putConfigs: configs.put,
    removeConfigs: configs.remove,
    ...(network === undefined ? {} : { network }),
  };
}

/**
 * The assignment after `delta`. Lists are in no particular order. `set` is what earlier deltas built;
 * it is not read when the delta is full.
 */
export function applyDelta(set: AssignmentSet | undefined, delta: AssignmentDelta): AssignmentSet {
  const old = delta.full || set === undefined ? EMPTY : set;
  const network = applyNetwork(old.network, delta.network);
  return {
    tasks: merge(old.tasks, delta.putTasks, { removed: delta.removeTasks, key: (t) => t.id }),
    secrets: merge(old.secrets, delta.putSecrets, {
      removed: delta.removeSecrets,
      key: (s) => s.id,
    }),
    configs: merge(old.configs, delta.putConfigs, {
      removed: delta.removeConfigs,
      key: (c) => c.id,
    }),
    ...(network === undefined ? {} : { network }),
  };
}

/** One object, so that what is computed for it can be found again. */
const NONE: readonly never[] = [];
const NO_KEYS = { keys: NONE, primary: 0 };
const EMPTY: AssignmentSet = { tasks: [], secrets: [], configs: [] };

type Item<K extends keyof NetworkState> = NetworkState[K] extends readonly (infer T)[] ? T : never;

/** How removals name things; see `NetworkDelta`. */
const KEYS = {
  peer: (peer: Item<'peers'>) => peer.nodeId,
  encryptedPeer: (peer: EncryptedPeer) => peer.nodeId,
  network: (network: Item<'networks'>) => network.id,
  endpoint: (endpoint: Item<'endpoints'>) => `${endpoint.taskId}/${endpoint.networkId}`,
  vip: (vip: Item<'vips'>) => `${vip.serviceId}/${vip.networkId}`,
  node: (address: Item<'nodes'>) => address,
  port: (port: Item<'ports'>) =>
    [
      port.serviceId,
      port.protocol,
      port.publishedPort,
      port.targetPort,
      port.publishMode,
      port.address,
    ].join('/'),
};

function diffNetwork(
  before: NetworkState | undefined,
  after: NetworkState,
): NetworkDelta | undefined {
  if (before === after) return undefined;
  const peers = withoutSelf(diffShared(before?.peers ?? NONE, after.peers, KEYS.peer), after.self);
  const networks = diffList(before?.networks ?? [], after.networks, KEYS.network);
  const endpoints = diffShared(before?.endpoints ?? NONE, after.endpoints, KEYS.endpoint);
  const vips = diffShared(before?.vips ?? NONE, after.vips, KEYS.vip);
  const ports = diffShared(before?.ports ?? NONE, after.ports, KEYS.port);
  const nodes = diffShared(before?.nodes ?? NONE, after.nodes, KEYS.node);
  const sealed = diffEncryption(before?.encryption, after.encryption);
  const self = equal(before?.self, after.self) ? {} : { self: after.self };
  const vxlanPort = before?.vxlanPort === after.vxlanPort ? {} : { vxlanPort: after.vxlanPort };
  const sealsMesh = after.encryptsMesh === true;
  const mesh = (before?.encryptsMesh === true) === sealsMesh ? {} : { encryptsMesh: sealsMesh };
  const unchanged =
    [peers, networks, endpoints, vips, ports, nodes].every((list) => list === UNCHANGED) &&
    sealed === NOTHING_SEALED &&
    !('encryptsMesh' in mesh) &&
    !('self' in self) &&
    !('vxlanPort' in vxlanPort);
  if (unchanged) return undefined;
  return {
    ...self,
    ...vxlanPort,
    putPeers: peers.put,
    removePeers: peers.remove,
    putNetworks: networks.put,
    removeNetworks: networks.remove,
    putEndpoints: endpoints.put,
    removeEndpoints: endpoints.remove,
    putVips: vips.put,
    removeVips: vips.remove,
    putPorts: ports.put,
    removePorts: ports.remove,
    putNodes: nodes.put,
    removeNodes: nodes.remove,
    ...sealed,
    ...mesh,
  };
}

type SealedDelta = Pick<NetworkDelta, 'keys' | 'putEncryptedPeers' | 'removeEncryptedPeers'>;
const NOTHING_SEALED: SealedDelta = { putEncryptedPeers: NONE, removeEncryptedPeers: NONE };

function diffEncryption(
  before: NetworkEncryption | undefined,
  after: NetworkEncryption | undefined,
): SealedDelta {
  if (before === after) return NOTHING_SEALED;
  if (after === undefined) return { ...NOTHING_SEALED, keys: NO_KEYS };
  const { keys, primary } = after;
  const sameKeys = before?.primary === primary && equal(before.keys, keys);
  const peers = diffShared(before?.peers ?? NONE, after.peers, KEYS.encryptedPeer);
  if (sameKeys && peers === UNCHANGED) return NOTHING_SEALED;
  return {
    ...(sameKeys ? {} : { keys: { keys, primary } }),
    putEncryptedPeers: peers.put,
    removeEncryptedPeers: peers.remove,
  };
}

function applyEncryption(
  before: NetworkEncryption | undefined,
  delta: NetworkDelta,
): { encryption?: NetworkEncryption } {
  const ring = delta.keys ?? before;
  if (ring === undefined || ring.keys.length === 0) return {};
  const peers = merge(before?.peers ?? [], delta.putEncryptedPeers, {
    removed: delta.removeEncryptedPeers,
    key: KEYS.encryptedPeer,
  });
  if (before !== undefined && ring === before && peers === before.peers) {
    return { encryption: before };
  }
  return { encryption: { keys: ring.keys, primary: ring.primary, peers } };
}

/** Undefined until the node itself and the port are known, which the first delta says. */
function applyNetwork(
  before: NetworkState | undefined,
  delta: NetworkDelta | undefined,
): NetworkState | undefined {
  if (delta === undefined) return before;
  const self = delta.self ?? before?.self;
  const vxlanPort = delta.vxlanPort ?? before?.vxlanPort;
  if (self === undefined || vxlanPort === undefined) return before;
  return {
    self,
    vxlanPort,
    peers: merge(before?.peers ?? [], delta.putPeers, {
      removed: delta.removePeers,
      key: KEYS.peer,
    }),
    networks: merge(before?.networks ?? [], delta.putNetworks, {
      removed: delta.removeNetworks,
      key: KEYS.network,
    }),
    endpoints: merge(before?.endpoints ?? [], delta.putEndpoints, {
      removed: delta.removeEndpoints,
      key: KEYS.endpoint,
    }),
    vips: merge(before?.vips ?? [], delta.putVips, { removed: delta.removeVips, key: KEYS.vip }),
    ports: merge(before?.ports ?? [], delta.putPorts, {
      removed: delta.removePorts,
      key: KEYS.port,
    }),
    nodes: merge(before?.nodes ?? [], delta.putNodes, {
      removed: delta.removeNodes,
      key: KEYS.node,
    }),
    ...((delta.encryptsMesh ?? before?.encryptsMesh) === true ? { encryptsMesh: true } : {}),
    ...applyEncryption(before?.encryption, delta),
  };
}

interface ListDelta<T, K> {
  readonly put: readonly T[];
  readonly remove: readonly K[];
}
const UNCHANGED: ListDelta<never, never> = { put: [], remove: [] };

const shared = new WeakMap<object, WeakMap<object, ListDelta<unknown, string>>>();

/** Of lists that many nodes are told: what has changed between two of them is found out once. */
function diffShared<T, K extends string>(
  before: readonly T[],
  after: readonly T[],
  key: (item: T) => K,
): ListDelta<T, K> {
  if (before === after) return UNCHANGED;
  const [oldParts, newParts] = [partsOf(before), partsOf(after)];
  if (oldParts !== undefined && newParts !== undefined) return diffParts(oldParts, newParts, key);
  let known = shared.get(before);
  if (known === undefined) shared.set(before, (known = new WeakMap()));
  let delta = known.get(after) as ListDelta<T, K> | undefined;
  if (delta === undefined) known.set(after, (delta = diffList(before, after, key)));
  return delta;
}

/** Of lists of the same parts; most differ in one, which many nodes have. */
function diffParts<T, K extends string>(
  before: ReadonlyMap<string, readonly T[]>,
  after: ReadonlyMap<string, readonly T[]>,
  key: (item: T) => K,
): ListDelta<T, K> {
  const deltas = [...new Set([...before.keys(), ...after.keys()])]
    .map((part) => diffShared(before.get(part) ?? NONE, after.get(part) ?? NONE, key))
    .filter((delta) => delta !== UNCHANGED);
  const [only] = deltas;
  if (only === undefined) return UNCHANGED;
  if (deltas.length === 1) return only;
  return { put: deltas.flatMap(({ put }) => put), remove: deltas.flatMap(({ remove }) => remove) };
}

/** A node is no peer of its own, but the list of peers is one for all. */
function withoutSelf(
  peers: ListDelta<Item<'peers'>, string>,
  self: NetworkState['self'],
): ListDelta<Item<'peers'>, string> {
  const put = peers.put.filter((peer) => peer.nodeId !== self.nodeId);
  if (put.length === peers.put.length) return peers;
  return put.length === 0 && peers.remove.length === 0 ? UNCHANGED : { ...peers, put };
}

function diffTasks(before: readonly Task[], after: readonly Task[]): ListDelta<Task, TaskId> {
  const put: Task[] = [];
  // Most stay where they are in the list.
  let at = 0;
  for (; at < before.length && before[at]?.id === after[at]?.id; at += 1) {
    const [old, task] = [before[at], after[at]];
    if (old !== undefined && task !== undefined && !sameForNode(old, task)) put.push(task);
  }
  const left = new Map(before.slice(at).map((task) => [task.id, task]));
  for (const task of at === 0 ? after : after.slice(at)) {
    const old = left.get(task.id);
    left.delete(task.id);
    if (old === undefined || !sameForNode(old, task)) put.push(task);
  }
  const remove = [...left.keys()];
  return put.length === 0 && remove.length === 0 ? UNCHANGED : { put, remove };
}

function diffList<T, K extends string>(
  before: readonly T[],
  after: readonly T[],
  key: (item: T) => K,
): ListDelta<T, K> {
  if (before === after || (before.length === 0 && after.length === 0)) return UNCHANGED;
  const left = new Map(before.map((item) => [key(item), item]));
  const put = after.filter((item) => {
    const name = key(item);
    const old = left.get(name);
    left.delete(name);
    return old !== item && !equal(old, item);
  });
  const remove = [...left.keys()];
  return put.length === 0 && remove.length === 0 ? UNCHANGED : { put, remove };
}

function merge<T>(
  before: readonly T[],
  put: readonly T[],
  options: { readonly removed: readonly string[]; readonly key: (item: T) => string },
): readonly T[] {
  if (put.length === 0 && options.removed.length === 0) return before;
  const items = new Map(before.map((item) => [options.key(item), item]));
  for (const name of options.removed) items.delete(name);
  for (const item of put) items.set(options.key(item), item);
  return [...items.values()];
}

/**
 * The node itself reports how far a task is, and does not ask why it has it: that it is told only
 * together with something else. With a thousand tasks that start it would hear of each three times.
 * That a task has ended may be the managers' doing.
 */
export function sameForNode(old: Task, task: Task): boolean {
  if (old === task) return true;
  if (isTerminal(old.status.state) !== isTerminal(task.status.state)) return false;
  let name: keyof Task;
  for (name in task) if (!NEWS.has(name) && !equal(old[name], task[name])) return false;
  for (name in old) if (!NEWS.has(name) && !(name in task)) return false;
  return true;
}

/** What is news of a task, but not to its node. */
const NEWS: ReadonlySet<string> = new Set<keyof Task>(['status', 'meta', 'because', 'startedAt']);

/** Deep equality of plain data; bytes are compared as such. */
function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    return a instanceof Uint8Array && b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  }
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const left = Object.entries(a);
  const right = b as Record<string, unknown>;
  return (
    left.length === Object.keys(right).length &&
    left.every(([name, value]) => Object.hasOwn(right, name) && equal(value, right[name]))
  );
}
