/** Which nodes may take a task, and what the others lack. Order: Swarm's. */
import {
  architectureName,
  meetsConstraint,
  parseAffinity,
  parseConstraint,
  type Affinity,
  type Constraint,
  type Node,
  type NodePlugin,
  type PortConfig,
  type Refusal,
  type Task,
  type TaskSpec,
} from '@swarmd/model';

import { missingGeneric } from './generic.ts';
import { hostPorts, isPortHeld } from './node-usage.ts';
import type { PlanView } from '../types.ts';
import { lacksEncryption, missingPlugin, needsEncryption, neededPlugins } from './plugins.ts';
import type { Tally } from './tally.ts';
import type { Usage } from './usage.ts';

/** What a task asks of its node. */
export interface Demand {
  readonly spec: TaskSpec;
  readonly serviceName: string;
  readonly constraints: readonly Constraint[];
  readonly affinities: readonly Affinity[];
  readonly hostPorts: readonly PortConfig[];
  readonly plugins: readonly NodePlugin[];
  /** Its node must be able to encrypt. */
  readonly encrypted: boolean;
}

/** The control API lets nothing malformed in; a constraint of a newer version matches nowhere. */
const UNMEETABLE: Constraint = { key: '', operator: 'in', values: [] };

export function demandOf(
  view: Pick<PlanView, 'get' | 'list'>,
  task: Pick<Task, 'spec' | 'serviceName' | 'ports'>,
): Demand {
  const { constraints, affinities } = task.spec.placement;
  return {
    spec: task.spec,
    serviceName: task.serviceName,
    constraints: constraints.map((text) => {
      const parsed = parseConstraint(text);
      return typeof parsed === 'string' ? UNMEETABLE : parsed;
    }),
    affinities: affinities
      .map((text) => parseAffinity(text))
      .filter((parsed) => typeof parsed !== 'string'),
    hostPorts: hostPorts(task),
    plugins: neededPlugins(view, task.spec),
    encrypted: needsEncryption(view, task),
  };
}

export interface NodeState {
  readonly node: Node;
  readonly usage: Usage;
  /** Wanted tasks of the same service on the node. */
  readonly ofService: number;
}

/** A node's /24 has 253 addresses for tasks; far below that there is no need to look. */
const PLENTY_OF_ADDRESSES = 200;

/** Each answers what a sentence counts: undefined when the node passes. */
type Filter = (state: NodeState, demand: Demand) => string | undefined;

const FILTERS: readonly Filter[] = [
  ({ node }) => (node.status.state === 'ready' ? undefined : 'not ready'),
  // Managers take the mark away when the time has come.
  ({ node }) => (node.status.heldUntil === undefined ? undefined : 'held back'),
  ({ node }) =>
    node.spec.availability === 'active' ? undefined : AVAILABILITY[node.spec.availability],
  ({ node, usage }, { spec }) => {
    const wanted = spec.reservations.nanoCpus;
    const total = node.description?.resources.nanoCpus ?? 0;
    return wanted === 0 || usage.of(node.id).nanoCpus + wanted <= total
      ? undefined
      : 'insufficient CPU';
  },
  ({ node, usage }, { spec }) => {
    const wanted = spec.reservations.memoryBytes;
    const total = node.description?.resources.memoryBytes ?? 0;
    return wanted === 0 || usage.of(node.id).memoryBytes + wanted <= total
      ? undefined
      : 'insufficient memory';
  },
  ({ node, usage }, { spec }) => {
    const missing = missingGeneric(node, usage.of(node.id), spec.reservations.generic);
    return missing === undefined ? undefined : `insufficient generic resource ${missing}`;
  },
  ({ node }, { plugins }) => missingPlugin(node, plugins),
  ({ node }, { encrypted }) =>
    encrypted && lacksEncryption(node) !== undefined ? NO_ENCRYPTION : undefined,
  ({ node }, { constraints }) =>
    meetsConstraints(node, constraints) ? undefined : 'placement constraints not met',
  ({ node }, { spec }) => (runsOn(node, spec) ? undefined : 'unsupported platform'),
  ({ node, usage }, { hostPorts }) =>
    hostPorts.some((port) => isPortHeld(usage.of(node.id), port))
      ? 'host-mode port already in use'
      : undefined,
  ({ ofService }, { spec }) =>
    spec.placement.maxReplicasPerNode > 0 && ofService >= spec.placement.maxReplicasPerNode
      ? 'max replicas per node reached'
      : undefined,
  ({ node, usage }, demand) => unmetAffinity(usage.of(node.id), demand),
  ({ node, usage }, { serviceName }) =>
    usage.of(node.id).repelled.has(serviceName) ? 'a task that keeps the service away' : undefined,
  ({ node, usage }) =>
    usage.of(node.id).holders < PLENTY_OF_ADDRESSES || usage.gateway(node).hasFree()
      ? undefined
      : 'no free gateway address',
];

export const NO_ENCRYPTION = 'no encryption of networks';

const AVAILABILITY = {
  active: undefined,
  pause: 'paused',
  drain: 'drained',
} as const;

function runsOn(node: Node, spec: TaskSpec): boolean {
  const { platforms } = spec.placement;
  const own = node.description?.platform;
  return (
    platforms.length === 0 ||
    platforms.some(
      ({ os, architecture }) =>
        (os === '' || os === own?.os) &&
        (architecture === '' ||
          architectureName(architecture) === architectureName(own?.architecture ?? '')),
    )
  );
}

/** Conditions only. Anti-affinity counts both ways: that of who is there already is the filter after this. */
function unmetAffinity(
  here: {
    readonly services: Pick<Tally, 'has'>;
    readonly expected: Pick<Tally, 'has'>;
  },
  demand: Demand,
): string | undefined {
  for (const { service, together, required } of demand.affinities) {
    if (!required) continue;
    const isThere = here.services.has(service);
    if (together && !isThere) return `no task of ${service}`;
    if (!together && (isThere || here.expected.has(service))) return `a task of ${service}`;
  }
  return undefined;
}

/** How many of the demand's wishes the node meets. */
export function wishesMet(here: { readonly services: Pick<Tally, 'has'> }, demand: Demand): number {
  if (demand.affinities.length === 0) return 0;
  return demand.affinities.filter(
    ({ service, together, required }) => !required && here.services.has(service) === together,
  ).length;
}

/** The first thing the node lacks for the task; undefined when it may take it. */
export function refusal(state: NodeState, demand: Demand): string | undefined {
  for (const filter of FILTERS) {
    const lacks = filter(state, demand);
    if (lacks !== undefined) return lacks;
  }
  return undefined;
}

/** Everything that the node lacks for the task. */
export function lacksOf(state: NodeState, demand: Demand): string[] {
  return FILTERS.flatMap((filter) => filter(state, demand) ?? []);
}

export function meetsConstraints(node: Node, constraints: readonly Constraint[]): boolean {
  return constraints.every((constraint) => meetsConstraint(node, constraint));
}

/** Counted refusals, most frequent first. */
export function sortRefusals(counts: ReadonlyMap<string, number>): Refusal[] {
  return [...counts]
    .filter(([, nodes]) => nodes > 0)
    .map(([filter, nodes]) => ({ filter, nodes }))
    .toSorted((a, b) => b.nodes - a.nodes || (a.filter < b.filter ? -1 : 1));
}

/** "no suitable node (insufficient memory on 2 nodes; 1 node paused)". */
export function explain(refusals: readonly Refusal[]): string {
  if (refusals.length === 0) return 'no suitable node (the cluster has no nodes)';
  const parts = refusals.map(({ filter, nodes: count }) => {
    const nodes = `${count} ${count === 1 ? 'node' : 'nodes'}`;
    return STATES.has(filter) ? `${nodes} ${filter}` : `${filter} on ${nodes}`;
  });
  return `no suitable node (${parts.join('; ')})`;
}

/** Refusals that describe the node rather than what it lacks: "1 node not ready". */
const STATES = new Set(['not ready', 'held back', 'paused', 'drained']);
