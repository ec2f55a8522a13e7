/**
 * How much there is of everything in a simulated cluster of so many nodes. Small ones are crowded: few
 * services, each everywhere, all on two networks. In large ones the number of tasks and of those that
 * share a network grows with the nodes, not with their square, as in clusters of that size.
 */
const LARGE_NODES = 50;
const NODES_OF_A_NETWORK = 50;
const NODES_OF_A_SERVICE = 20;
const REPLICAS_MAX = 50;

export interface ClusterSize {
  /** Services besides one to three. */
  readonly services: number;
  readonly replicasMax: number;
  readonly isLarge: boolean;
  /** Networks of its services, besides those that every cluster has. */
  readonly networks: readonly string[];
  /** How long the log takes to commit an entry. */
  readonly commitMs: readonly [number, number];
  /** How long a turn of a manager's event loop takes: what comes meanwhile is told together. */
  readonly turnMs: readonly [number, number];
}

export function sizeOf(nodes: number): ClusterSize {
  const isLarge = nodes > LARGE_NODES;
  const count = isLarge ? Math.ceil(nodes / NODES_OF_A_NETWORK) : 0;
  return {
    services: Math.floor(nodes / NODES_OF_A_SERVICE),
    replicasMax: Math.min(REPLICAS_MAX, Math.max(6, Math.floor(nodes / 2))),
    isLarge,
    networks: Array.from({ length: count }, (_, at) => `net${at + 1}`),
    commitMs: isLarge ? [10, 40] : [1, 6],
    turnMs: isLarge ? [5, 40] : [0, 0],
  };
}
