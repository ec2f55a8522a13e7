/** Which nodes may take a task, and what the others lack. Order and words: Swarm's. */
import {
  meetsConstraint,
  parseConstraint,
  type Constraint,
  type Node,
  type PortConfig,
  type Refusal,
  type TaskSpec,
} from '@swarmd/model';

import { portKey } from './held-index.ts';
import type { Usage } from './usage.ts';

/** What a task asks of its node. */
export interface Demand {
  readonly spec: TaskSpec;
  readonly constraints: readonly Constraint[];
  readonly hostPorts: readonly PortConfig[];
}

export function demandOf(spec: TaskSpec, hostPorts: readonly PortConfig[]): Demand {
  const constraints = spec.placement.constraints
    .map((text) => parseConstraint(text))
    // The control API lets no malformed constraint in; one of a newer version matches nowhere.
    .map((parsed) =>
      typeof parsed === 'string' ? ({ key: parsed, operator: '==', value: ' ' } as const) : parsed,
    );
  return { spec, constraints, hostPorts };
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
  ({ node }, { constraints }) =>
    constraints.every((constraint) => meetsConstraint(node, constraint))
      ? undefined
      : 'placement constraints not met',
  ({ node, usage }, { hostPorts }) =>
    hostPorts.some((port) => usage.of(node.id).hostPorts.has(portKey(port)))
      ? 'host-mode port already in use'
      : undefined,
  ({ ofService }, { spec }) =>
    spec.placement.maxReplicasPerNode > 0 && ofService >= spec.placement.maxReplicasPerNode
      ? 'max replicas per node reached'
      : undefined,
  ({ node, usage }) =>
    usage.of(node.id).holders < PLENTY_OF_ADDRESSES || usage.gateway(node).hasFree()
      ? undefined
      : 'no free gateway address',
];

const AVAILABILITY = {
  active: undefined,
  pause: 'paused',
  drain: 'drained',
} as const;

/** The first thing the node lacks for the task; undefined when it may take it. */
export function refusal(state: NodeState, demand: Demand): string | undefined {
  for (const filter of FILTERS) {
    const lacks = filter(state, demand);
    if (lacks !== undefined) return lacks;
  }
  return undefined;
}

/** Counted refusals, most frequent first. */
export function countRefusals(lacking: Iterable<string>): Refusal[] {
  const counts = new Map<string, number>();
  for (const lacks of lacking) counts.set(lacks, (counts.get(lacks) ?? 0) + 1);
  return [...counts]
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
const STATES = new Set(['not ready', 'paused', 'drained']);
