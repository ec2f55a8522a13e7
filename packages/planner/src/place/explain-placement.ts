/** For people who ask why: every node, and what it lacks for a task. */
import { asId, isGlobal, meetsConstraint, portText, type Node, type Task } from '@swarmd/model';

import { isAtWork } from '../task-view.ts';
import type { PlanView } from '../types.ts';
import { areWanted } from '../words.ts';
import { cureAddresses } from './cure-addresses.ts';
import { cureOf } from './cures.ts';
import { demandOf, NO_ENCRYPTION, refusal, type Demand, type NodeState } from './filters.ts';
import { isPortHeld } from './node-usage.ts';
import { lacksEncryption } from './plugins.ts';
import { fullNetworks, noAddress } from './settle.ts';
import { Usage } from './usage.ts';

export interface NodeVerdict {
  readonly node: Node;
  /**
   * The first filter that turns the task away, in its words, or that its networks have no address for it;
   * undefined: the node would take it.
   */
  readonly lacks?: string;
  /** What exactly, where the words of the filter leave it open. */
  readonly detail?: string;
  /** Commands after which it would take the task; undefined: no commands do it. */
  readonly cure?: readonly string[];
}

/** What each node says to one more task like this one; for global services only its own node. */
export function nodeVerdicts(view: PlanView, task: Task): NodeVerdict[] {
  const usage = new Usage(view);
  if (task.nominated !== undefined) usage.release(task);
  const demand = demandOf(view, task);
  const service = view.get('service', task.serviceId);
  const isPinned = service !== undefined && isGlobal(service.spec.mode);
  const counts = new Map<string, number>();
  for (const one of view.tasksByService(task.serviceId)) {
    if (!isAtWork(one) || one.nodeId === undefined || one.id === task.id) continue;
    counts.set(one.nodeId, (counts.get(one.nodeId) ?? 0) + 1);
  }
  const networks = task.spec.networks.flatMap(
    ({ target }) => view.get('network', asId('network', target)) ?? [],
  );
  const full = fullNetworks(networks, usage);
  const [withoutAddress] = full.map(noAddress);
  const more = cureAddresses(view, full);
  return [...view.list('node')]
    .filter((node) => !isPinned || node.index === task.slot)
    .toSorted((a, b) => a.index - b.index)
    .map((node) => {
      const state: NodeState = { node, usage, ofService: counts.get(node.id) ?? 0 };
      const lacks = refusal(state, demand) ?? withoutAddress;
      if (lacks === undefined) return { node };
      const detail = DETAILS.get(lacks)?.(state, demand);
      const first = cureOf(state, { view, task, demand });
      const cure = first === undefined || more === undefined ? undefined : [...first, ...more];
      return {
        node,
        lacks,
        ...(detail === undefined ? {} : { detail }),
        ...(cure === undefined ? {} : { cure }),
      };
    });
}

const DETAILS: ReadonlyMap<string, (state: NodeState, demand: Demand) => string | undefined> =
  new Map([
    [
      'not ready',
      ({ node: { status } }: NodeState) =>
        [status.state, status.message].filter((word) => word !== '').join(', '),
    ],
    ['held back', ({ node }: NodeState) => node.status.message || undefined],
    [
      'insufficient CPU',
      ({ node, usage }: NodeState, { spec }: Demand) => {
        const free = (node.description?.resources.nanoCpus ?? 0) - usage.of(node.id).nanoCpus;
        return `${areWanted(spec.reservations.nanoCpus / 1e9, 'CPU')}, ${free / 1e9} ${free === 1e9 ? 'is' : 'are'} free`;
      },
    ],
    [
      'insufficient memory',
      ({ node, usage }: NodeState, { spec }: Demand) => {
        const free = (node.description?.resources.memoryBytes ?? 0) - usage.of(node.id).memoryBytes;
        return `${mebibytes(spec.reservations.memoryBytes)} are wanted, ${mebibytes(free)} are free`;
      },
    ],
    [NO_ENCRYPTION, ({ node }: NodeState) => lacksEncryption(node)],
    [
      'placement constraints not met',
      ({ node }: NodeState, { spec, constraints }: Demand) =>
        spec.placement.constraints.find((_text, at) => {
          const constraint = constraints[at];
          return constraint !== undefined && !meetsConstraint(node, constraint);
        }),
    ],
    [
      'host-mode port already in use',
      ({ node, usage }: NodeState, { hostPorts }: Demand) => {
        const held = hostPorts.filter((port) => isPortHeld(usage.of(node.id), port));
        return held.map(portText).join(', ');
      },
    ],
  ]);

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 2 ** 20)} MiB`;
}
