/**
 * Gives waiting tasks of a service a node, addresses on their networks and an address in the node's
 * gateway subnet: all or nothing, so that a task that waits holds nothing. A task that cannot be
 * placed says why in `status.error`.
 */
import {
  asId,
  isGlobal,
  type Network,
  type Node,
  type Refusal,
  type Task,
  type TaskNetwork,
} from '@swarmd/model';

import { subnetOf, subnetsOf } from '../allocate/subnet.ts';
import type { Draft } from '../draft.ts';
import { PLAN_TASKS_MAX } from '../limits.ts';
import type { ReasonCode } from '../reasons.ts';
import { isOver, isWanted, sameSpec } from '../task-view.ts';
import { demandOf, explain } from './filters.ts';
import { claimGeneric } from './generic.ts';
import { Ranking } from './ranking.ts';
import { Usage, withPrefix } from './usage.ts';

export function placeTasks(draft: Draft): void {
  const waiting = draft
    .tasks()
    .filter(isWaiting)
    .toSorted((a, b) => a.meta.createdAt - b.meta.createdAt || a.slot - b.slot);
  if (waiting.length === 0) return;
  const usage = new Usage(draft.view, draft.changes(), draft.service);
  const budget = { left: PLAN_TASKS_MAX };
  for (const group of bySpec(waiting)) placeGroup(draft, group, { usage, budget });
  // Each step placed a task or wrote down why not, so the next plan has less to do.
  if (budget.left === 0) draft.askAgainAt(draft.now);
}

export function isWaiting(task: Task): boolean {
  return isWanted(task) && !isOver(task) && task.nodeId === undefined;
}

/** Would there be a node for the task if `gone` were gone? */
export function fitsWithout(draft: Draft, task: Task, gone: readonly Task[]): boolean {
  const usage = new Usage(draft.view, draft.changes(), draft.service);
  for (const one of gone) usage.release(one);
  const left = draft.tasks().filter((one) => !gone.includes(one));
  const ranking = rankingFor(draft, { usage, task, tasks: left });
  return (
    chooseNode(draft, ranking, task).kind === 'node' && networksOf(draft, task).kind === 'found'
  );
}

function bySpec(tasks: readonly Task[]): Task[][] {
  const groups: Task[][] = [];
  for (const task of tasks) {
    const group = groups.find(
      ([first]) =>
        first !== undefined &&
        (first.spec === task.spec || sameSpec(first.spec, task.spec)) &&
        sameSpec(first.ports, task.ports),
    );
    if (group === undefined) groups.push([task]);
    else group.push(task);
  }
  return groups;
}

function rankingFor(
  draft: Draft,
  options: { usage: Usage; task: Task; tasks: readonly Task[] },
): Ranking {
  return new Ranking({
    nodes: draft.view.list('node'),
    usage: options.usage,
    demand: demandOf(options.task),
    tasks: options.tasks,
    now: draft.now,
  });
}

function placeGroup(
  draft: Draft,
  group: readonly Task[],
  context: { usage: Usage; budget: { left: number } },
): void {
  const { usage, budget } = context;
  const [first] = group;
  if (first === undefined) return;
  const found = networksOf(draft, first);
  if (found.kind === 'missing') {
    for (const task of group) {
      if (budget.left === 0) return;
      if (wait(draft, task, { code: 'no-network', error: found.message })) budget.left -= 1;
    }
    return;
  }
  const ranking = rankingFor(draft, { usage, task: first, tasks: draft.tasks() });
  let full: Choice | undefined;
  for (const task of group) {
    if (budget.left === 0) return;
    const choice: Choice = full ?? chooseNode(draft, ranking, task);
    if (choice.kind === 'none') {
      if (!isPinned(draft)) full = choice;
      const { refusals } = choice;
      const error = explain(refusals);
      if (wait(draft, task, { code: 'no-suitable-node', error, refusals })) budget.left -= 1;
      continue;
    }
    const addresses = takeAddresses(task, found.networks, usage);
    if (addresses.kind === 'none') {
      if (wait(draft, task, { code: 'no-address', error: addresses.error })) budget.left -= 1;
      continue;
    }
    usage.hold(settle(draft, task, { node: choice.node, networks: addresses.networks, usage }));
    if (!isPinned(draft)) ranking.took();
    budget.left -= 1;
  }
}

type Choice =
  | { readonly kind: 'node'; readonly node: Node }
  | { readonly kind: 'none'; readonly refusals: readonly Refusal[] };

function chooseNode(draft: Draft, ranking: Ranking, task: Task): Choice {
  const node = isPinned(draft) ? ranking.pinned(task.slot) : ranking.best();
  if (node === undefined) return { kind: 'none', refusals: ranking.refusals() };
  return Array.isArray(node) ? { kind: 'none', refusals: node } : { kind: 'node', node };
}

/** Slots of global services are nodes. */
function isPinned(draft: Draft): boolean {
  return draft.service !== undefined && isGlobal(draft.service.spec.mode);
}

type Found =
  | { readonly kind: 'found'; readonly networks: readonly Network[] }
  | { readonly kind: 'missing'; readonly message: string };

function networksOf(draft: Draft, task: Task): Found {
  const networks: Network[] = [];
  for (const { target } of task.spec.networks) {
    const network = draft.view.get('network', asId('network', target));
    if (network === undefined) {
      return { kind: 'missing', message: `network ${target} does not exist` };
    }
    networks.push(network);
  }
  return { kind: 'found', networks };
}

type Addresses =
  | { readonly kind: 'taken'; readonly networks: readonly TaskNetwork[] }
  | { readonly kind: 'none'; readonly error: string };

function takeAddresses(task: Task, networks: readonly Network[], usage: Usage): Addresses {
  const taken: { network: Network; address: string }[] = [];
  for (const network of networks) {
    const address = usage.network(network).take();
    if (address === undefined) {
      for (const one of taken) usage.network(one.network).giveBack(one.address);
      const error = `no free address on network ${network.spec.name} (${subnetsOf(network).join(', ')})`;
      return { kind: 'none', error };
    }
    taken.push({ network, address });
  }
  return {
    kind: 'taken',
    networks: taken.map(({ network, address }, index) => ({
      networkId: network.id,
      address: withPrefix(address, subnetOf(network, address)),
      aliases: task.spec.networks[index]?.aliases ?? [],
    })),
  };
}

function settle(
  draft: Draft,
  task: Task,
  target: { node: Node; networks: readonly TaskNetwork[]; usage: Usage },
): Task {
  const { node, networks, usage } = target;
  const gatewayAddress = usage.gateway(node).take();
  const hostname = node.description?.hostname ?? node.id;
  const { generic } = task.spec.reservations;
  return draft.change(
    task,
    {
      nodeId: node.id,
      networks,
      // The filter lets no node pass that has none left.
      ...(gatewayAddress === undefined ? {} : { gatewayAddress }),
      ...(generic.length === 0
        ? {}
        : { claimed: { generic: claimGeneric(node, usage.of(node.id), generic) } }),
      status: {
        ...task.status,
        state: 'assigned',
        timestamp: draft.now,
        message: `assigned to ${hostname}`,
        error: '',
      },
    },
    draft.reason('placed', `placed on ${hostname}`),
  );
}

/** Leaves the task waiting. @returns false when it says so already. */
function wait(
  draft: Draft,
  task: Task,
  why: { code: ReasonCode; error: string; refusals?: readonly Refusal[] },
): boolean {
  const { code, error, refusals } = why;
  if (task.status.error === error) return false;
  draft.change(
    task,
    { status: { ...task.status, timestamp: draft.now, message: 'waiting for a node', error } },
    draft.reason(code, error, refusals === undefined ? {} : { placement: { refusals } }),
  );
  return true;
}
