/**
 * Which commits can change what a node is assigned (pure). Saying yes too often costs a computation,
 * saying no wrongly costs correctness: what is not known to be harmless counts.
 */
import { sameForNode } from '@swarmd/api';
import {
  hasMeshPort,
  isEncrypted,
  rank,
  secretIds,
  type AssignmentSet,
  type Node,
  type NodeId,
  type Task,
  tunnelAddressOf,
} from '@swarmd/model';
import { asTold } from '@swarmd/planner';
import type { ChangedObject, Commit, ReadView } from '@swarmd/store';

import { sameValue } from '../same-value.ts';

/** What a node's last assignment depends on. */
export interface Interests {
  readonly nodeId: NodeId;
  readonly networks: ReadonlySet<string>;
  readonly secrets: ReadonlySet<string>;
  readonly configs: ReadonlySet<string>;
  /** Published ports lead to it: every node is its peer. */
  readonly mesh: boolean;
  /** It has something to encrypt, and is told of all nodes that have one. */
  readonly encrypted: boolean;
}

/** What is asked of the store: the ports of a service, what is on a node. */
export type AudienceView = Pick<ReadView, 'get' | 'tasksByNode'>;

/** By what the tasks name, also what is not there (yet). */
export function interestsOf(nodeId: NodeId, { tasks, network }: AssignmentSet): Interests {
  return {
    nodeId,
    ...named(tasks),
    mesh: tasks.some(({ ports }) => hasMeshPort(ports)),
    encrypted:
      network?.encryptsMesh === true ||
      (network?.networks.some(({ spec }) => isEncrypted(spec)) ?? false),
  };
}

function named(tasks: readonly Task[]): Pick<Interests, 'networks' | 'secrets' | 'configs'> {
  const networks = new Set<string>();
  const secrets = new Set<string>();
  const configs = new Set<string>();
  for (const task of tasks) {
    for (const { networkId } of task.networks) networks.add(networkId);
    for (const id of secretIds(task.spec.container)) secrets.add(id);
    for (const { id } of task.spec.container.configs) configs.add(id);
  }
  return { networks, secrets, configs };
}

/** Whom a commit concerns. Found once, however many sessions there are. */
export interface Audience {
  readonly everyone: boolean;
  readonly nodes: ReadonlySet<string>;
  /** Those who know one of these. */
  readonly networks: ReadonlySet<string>;
  readonly secrets: ReadonlySet<string>;
  readonly configs: ReadonlySet<string>;
  /** Those that published ports lead to. */
  readonly mesh: boolean;
  /** Those that have an encrypted network. */
  readonly encrypted: boolean;
  /** The list of all nodes' addresses differs: everybody's concern, but one that can wait. */
  readonly addresses: boolean;
  /** Tasks, before and now, that differ in nothing that their nodes would be told. */
  readonly progress: readonly (readonly [before: Task, now: Task])[];
}

class Listed implements Audience {
  everyone = false;
  mesh = false;
  encrypted = false;
  addresses = false;
  readonly nodes = new Set<string>();
  readonly networks = new Set<string>();
  readonly secrets = new Set<string>();
  readonly configs = new Set<string>();
  readonly progress: [before: Task, now: Task][] = [];
}

/** `view` is as of the commit. */
export function audienceOf(commit: Commit, view: AudienceView): Audience {
  const audience = new Listed();
  for (const change of commit.changes) add(audience, change, view);
  return audience;
}

function add(audience: Listed, change: Commit['changes'][number], view: AudienceView): void {
  const id = (change.after ?? change.before)?.id ?? '';
  switch (change.table) {
    case 'task':
      addTask(audience, change, view);
      break;
    case 'service':
      addService(audience, change);
      break;
    case 'node':
      audience.nodes.add(id);
      audience.encrypted ||= sealKey(change.before) !== sealKey(change.after);
      if (peerKey(change.before) !== peerKey(change.after)) addPeer(audience, change, view);
      break;
    case 'network':
      audience.networks.add(id);
      break;
    case 'secret':
      audience.secrets.add(id);
      break;
    case 'config':
      audience.configs.add(id);
      break;
    case 'cluster':
      audience.everyone ||= !sameValue(change.before?.spec, change.after?.spec);
      audience.encrypted ||= change.before?.overlayKeys !== change.after?.overlayKeys;
      break;
    default:
      audience.everyone = true;
  }
}

/** Those whose tasks have to do with tasks of the node. */
function addPeer(
  audience: Listed,
  { before, after }: ChangedObject<'node'>,
  view: AudienceView,
): void {
  audience.mesh = true;
  audience.addresses ||=
    before?.status.address !== after?.status.address ||
    before?.description?.dataPathAddress !== after?.description?.dataPathAddress;
  const id = (after ?? before)?.id;
  if (id === undefined) return;
  for (const task of view.tasksByNode(id)) {
    audience.everyone ||= hasMeshPort(task.ports) || publishes(view, task);
    for (const { networkId } of task.networks) audience.networks.add(networkId);
  }
}

function addTask(
  audience: Listed,
  { before, after }: ChangedObject<'task'>,
  view: AudienceView,
): void {
  const isSameTraffic = sameTraffic(before, after);
  const progress = isSameTraffic ? onlyProgress(before, after) : undefined;
  if (progress !== undefined) {
    audience.progress.push(progress);
    return;
  }
  for (const task of [before, after]) {
    if (task?.nodeId !== undefined) audience.nodes.add(task.nodeId);
  }
  if (isSameTraffic) return;
  for (const task of [before, after]) {
    if (task === undefined) continue;
    audience.everyone ||= hasMeshPort(task.ports) || publishes(view, task);
    for (const { networkId } of task.networks) audience.networks.add(networkId);
  }
}

/**
 * The task as its own node was told of it and as it would be now, if that is nothing new: most commits of a cluster
 * that starts tasks.
 */
function onlyProgress(
  before: Task | undefined,
  after: Task | undefined,
): [before: Task, now: Task] | undefined {
  if (before === undefined || after === undefined) return undefined;
  if (rank(before.status.state) < rank('assigned')) return undefined;
  const [told, now] = [asTold(before), asTold(after)];
  return sameForNode(told, now) ? [told, now] : undefined;
}

/** Every node answers the ports of its service, and sends what comes to the task. Those of hosts only theirs do. */
function publishes(view: AudienceView, task: Task): boolean {
  return hasMeshPort(view.get('service', task.serviceId)?.endpoint.ports ?? []);
}

/** True when the task is reached in the same way before and after, so other nodes see no change. */
function sameTraffic(before: Task | undefined, after: Task | undefined): boolean {
  if (before === undefined || after === undefined) {
    return (before ?? after)?.nodeId === undefined;
  }
  if (!isReachable(before) && !isReachable(after)) return true;
  return (
    before.nodeId === after.nodeId &&
    sameValue(before.networks, after.networks) &&
    sameValue(before.ports, after.ports) &&
    before.gatewayAddress === after.gatewayAddress &&
    before.status.state === after.status.state &&
    (before.desiredState === 'running') === (after.desiredState === 'running')
  );
}

function isReachable({ networks, ports }: Task): boolean {
  return networks.length > 0 || ports.length > 0;
}

/** Published ports concern every node, virtual addresses those on the network. */
function addService(audience: Listed, { before, after }: ChangedObject<'service'>): void {
  if (sameValue(before?.endpoint, after?.endpoint) && sameValue(before?.spec, after?.spec)) return;
  for (const service of [before, after]) {
    if (service === undefined) continue;
    audience.everyone ||= hasMeshPort(service.endpoint.ports);
    for (const { networkId } of service.endpoint.virtualIps) audience.networks.add(networkId);
    for (const { target } of service.spec.task.networks) audience.networks.add(target);
  }
}

function peerKey(node: Node | undefined): string {
  if (node === undefined) return '';
  const { index, status, ingressAddress, gatewaySubnet, description } = node;
  const { addresses6 = [], dataPathAddress = '' } = description ?? {};
  const state = [index, status.address, status.state, ingressAddress, gatewaySubnet];
  return [...state, dataPathAddress, ...addresses6].join(' ');
}

/** What nodes with encrypted networks are told of each other. */
function sealKey(node: Node | undefined): string {
  const incarnation = node?.description?.encryption?.incarnation ?? '';
  if (node === undefined || incarnation === '') return '';
  return [node.index, tunnelAddressOf(node), incarnation].join(' ');
}
