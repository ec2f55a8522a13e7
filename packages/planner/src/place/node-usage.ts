/** What the tasks of one node hold, and how it is counted. */
import type { Journal } from '@swarmd/base';
import { parseAffinity, type NodeId, type PortConfig, type Task } from '@swarmd/model';

import { isWanted } from '../task-view.ts';
import { genericKeys } from './generic.ts';
import { Tally } from './tally.ts';

/** Nodes that were written, or whose usage changed. */
export type NodeNews = Pick<Journal<NodeId>, 'since'>;

export interface NodeUsage {
  nanoCpus: number;
  memoryBytes: number;
  /** Wanted tasks of any service. */
  tasks: number;
  /** Tasks of any kind that hold something of the node. */
  holders: number;
  /** By `portKeys`. */
  readonly hostPorts: Tally;
  /** Generic resources, see `genericKeys`. */
  readonly generic: Tally;
  /** Wanted tasks by the name of their service. */
  readonly services: Tally;
  /** Tasks that the node makes room for, by the name of their service: who must not meet them stays away. */
  readonly expected: Tally;
  /** Names of services that a task here, or one that is expected, keeps away. */
  readonly repelled: Tally;
}

/** What a port takes of a node: itself at its address (or at all), and a share of the number. */
function portKeys(port: PortConfig): string[] {
  const number = `${port.publishedPort}/${port.protocol}`;
  return [`any ${number}`, `${port.address} ${number}`];
}

/** True when a task of the node answers at the same address: a port of all addresses meets every one. */
export function isPortHeld({ hostPorts }: Pick<NodeUsage, 'hostPorts'>, port: PortConfig): boolean {
  const number = `${port.publishedPort}/${port.protocol}`;
  if (port.address === '') return hostPorts.has(`any ${number}`);
  return hostPorts.has(` ${number}`) || hostPorts.has(`${port.address} ${number}`);
}

export function hostPorts(task: Pick<Task, 'ports'>): PortConfig[] {
  return task.ports.filter((port) => port.publishMode === 'host' && port.publishedPort > 0);
}

export function noUsage(): NodeUsage {
  return {
    nanoCpus: 0,
    memoryBytes: 0,
    tasks: 0,
    holders: 0,
    hostPorts: new Tally(),
    generic: new Tally(),
    services: new Tally(),
    expected: new Tally(),
    repelled: new Tally(),
  };
}

/** The usage as it would be with changes of its own. What it is drawn from must stay as it is meanwhile. */
export function overUsage(usage: NodeUsage): NodeUsage {
  return {
    ...usage,
    hostPorts: new Tally(usage.hostPorts),
    generic: new Tally(usage.generic),
    services: new Tally(usage.services),
    expected: new Tally(usage.expected),
    repelled: new Tally(usage.repelled),
  };
}

/** Changes a node's usage by what a task holds of it. */
export function countUsage(usage: NodeUsage, task: Task, sign: 1 | -1): void {
  usage.nanoCpus += sign * task.spec.reservations.nanoCpus;
  usage.memoryBytes += sign * task.spec.reservations.memoryBytes;
  usage.holders += sign;
  if (task.nodeId === undefined) countReserved(usage, task, sign);
  else if (isWanted(task)) {
    usage.tasks += sign;
    usage.services.add(task.serviceName, sign);
  }
  if (isWanted(task)) for (const name of repelledBy(task)) usage.repelled.add(name, sign);
  for (const resource of task.claimed?.generic ?? []) {
    for (const [key, n] of genericKeys(resource)) usage.generic.add(key, sign * n);
  }
  if (task.ports.length === 0) return;
  for (const port of hostPorts(task)) {
    for (const key of portKeys(port)) usage.hostPorts.add(key, sign);
  }
}

/** Of a task that is only nominated, which has no names of generic resources yet. */
function countReserved(usage: NodeUsage, task: Task, sign: 1 | -1): void {
  const { spec } = task;
  if (isWanted(task)) usage.expected.add(task.serviceName, sign);
  for (const resource of spec.reservations.generic) {
    usage.generic.add(resource.kind, sign * resource.count);
  }
}

function repelledBy({ spec }: Task): string[] {
  const { affinities } = spec.placement;
  if (affinities.length === 0) return [];
  return affinities.flatMap((text) => {
    const parsed = parseAffinity(text);
    return typeof parsed === 'string' || parsed.together || !parsed.required
      ? []
      : [parsed.service];
  });
}
