/**
 * Gives waiting tasks of a service a node, addresses on their networks and an address in the node's
 * gateway subnet: all or nothing, so that a task that waits holds nothing. A task that cannot be
 * placed says why in `status.error`.
 */
import {
  isGlobal,
  type Network,
  type Node,
  type Refusal,
  type Task,
  type TaskId,
  STANDBY_SLOT,
  waitsForNode,
} from '@swarmd/model';

import type { Draft } from '../draft.ts';
import { EXPLAINED_TASKS_MAX } from '../limits.ts';
import type { ReasonCode } from '../reasons.ts';
import { isAtWork, isOver, sameSpec, taskName } from '../task-view.ts';
import { demandOf, explain, refusal } from './filters.ts';
import { mayPreempt, nominate } from './preempt.ts';
import { Ranking } from './ranking.ts';
import { haveAddresses, networksOf, putOn } from './settle.ts';
import { Usage } from './usage.ts';

export function placeTasks(draft: Draft): void {
  const waiting = draft
    .tasks()
    .filter(waitsForNode)
    .toSorted(
      (a, b) =>
        Number(a.slot === STANDBY_SLOT) - Number(b.slot === STANDBY_SLOT) ||
        a.meta.createdAt - b.meta.createdAt ||
        a.slot - b.slot,
    );
  if (waiting.length === 0) return;
  const usage = new Usage(draft.view, draft.changes(), draft.service);
  const budget = { left: draft.tasksMax };
  for (const group of bySpec(waiting)) placeGroup(draft, group, { usage, budget });
  // Each step placed a task or wrote down why not, so the next plan has less to do.
  if (budget.left === 0) draft.askAgainAt(draft.now);
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
    view: draft.view,
    usage: options.usage,
    demand: demandOf(draft.view, options.task),
    serviceId: options.task.serviceId,
    tasks: options.tasks,
    now: draft.now,
  });
}

interface PlacingContext {
  readonly usage: Usage;
  readonly budget: { left: number };
}

function placeGroup(draft: Draft, group: readonly Task[], context: PlacingContext): void {
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
  const { networks } = found;
  const free = group.filter((task) => placeNominated(draft, task, { networks, usage }) === 'free');
  const ranking = rankingFor(draft, { usage, task: first, tasks: draft.tasks() });
  let full: Choice | undefined;
  let examples = 0;
  for (const task of free) {
    if (budget.left === 0) return;
    const choice: Choice = full ?? chooseNode(draft, ranking, task);
    if (choice.kind === 'none') {
      if (full === undefined && makeRoom(draft, task, { networks, usage, ranking }))
        budget.left -= 1;
      else {
        if (!isPinned(draft)) full = choice;
        const { refusals } = choice;
        const error = explain(refusals);
        const isExample = (examples += 1) <= EXPLAINED_TASKS_MAX;
        const why = { code: 'no-suitable-node', error, refusals, isExample } as const;
        if (wait(draft, task, why)) budget.left -= 1;
      }
      continue;
    }
    const outcome = putOn(draft, task, { node: choice.node, networks, usage });
    if (outcome.kind === 'none') {
      if (wait(draft, task, { code: 'no-address', error: outcome.error })) budget.left -= 1;
      continue;
    }
    if (!isPinned(draft)) ranking.took();
    budget.left -= 1;
  }
}

/**
 * A task for which a node makes room: it goes there once it fits, and nowhere else as long as somebody
 * has still to leave. "free": there is no such node (any more).
 */
function placeNominated(
  draft: Draft,
  task: Task,
  context: { networks: readonly Network[]; usage: Usage },
): 'placed' | 'waits' | 'free' {
  if (task.nominated === undefined) return 'free';
  const { usage, networks } = context;
  const { nodeId, victims } = task.nominated;
  const node = draft.view.get('node', nodeId);
  usage.release(task);
  const ofService = draft.tasks().filter((one) => isAtWork(one) && one.nodeId === nodeId).length;
  if (
    node !== undefined &&
    refusal({ node, usage, ofService }, demandOf(draft.view, task)) === undefined
  ) {
    if (putOn(draft, task, { node, networks, usage }).kind === 'placed') return 'placed';
  }
  const onTheirWay = node?.status.state === 'ready' && victims.some((id) => isThere(draft, id));
  if (onTheirWay) {
    usage.hold(task);
    return 'waits';
  }
  const { nominated: _moot, ...rest } = task;
  draft.change(rest, {});
  return 'free';
}

function isThere(draft: Draft, id: TaskId): boolean {
  const task = draft.view.get('task', id);
  return task !== undefined && !isOver(task);
}

/**
 * Nominates a node where less important tasks can make room. @returns false when there is none, or when
 * it would be for nothing: without an address it does not take the place, and they come back, for ever.
 */
function makeRoom(
  draft: Draft,
  task: Task,
  context: { networks: readonly Network[]; usage: Usage; ranking: Ranking },
): boolean {
  const { networks, usage, ranking } = context;
  if (!mayPreempt(task) || !haveAddresses(networks, usage)) return false;
  const pinned = isPinned(draft) ? draft.nodes.numbered(task.slot) : undefined;
  const nomination = nominate(draft, task, {
    demand: demandOf(draft.view, task),
    usage,
    ...(pinned === undefined
      ? { nodes: draft.view.list('node'), hopeless: ranking.hopeless() }
      : { nodes: [pinned], hopeless: new Set() }),
  });
  if (nomination === undefined) return false;
  const { node, victims } = nomination;
  for (const victim of victims) draft.changeOther(victim, { preemptedBy: task.id });
  const names = victims.map(taskName).join(', ');
  const error = `waits for room on ${node.description?.hostname ?? node.id}: ${names} must leave`;
  const fields = {
    nominated: { nodeId: node.id, victims: victims.map(({ id }) => id) },
    status: { ...task.status, timestamp: draft.now, message: 'waiting for a node', error },
  };
  usage.hold(draft.change(task, fields, draft.reason('nominated', error)));
  return true;
}

type Choice =
  | { readonly kind: 'node'; readonly node: Node }
  | { readonly kind: 'none'; readonly refusals: readonly Refusal[] };

function chooseNode(draft: Draft, ranking: Ranking, task: Task): Choice {
  if (!isPinned(draft)) {
    const best = ranking.best();
    if (best !== undefined) return { kind: 'node', node: best };
    return { kind: 'none', refusals: ranking.refusals() };
  }
  const node = draft.nodes.numbered(task.slot);
  if (node === undefined) return { kind: 'none', refusals: [] };
  const lacks = ranking.refusal(node);
  if (lacks === undefined) return { kind: 'node', node };
  return { kind: 'none', refusals: [{ filter: lacks, nodes: 1 }] };
}

/** Slots of global services are nodes. */
function isPinned(draft: Draft): boolean {
  return draft.service !== undefined && isGlobal(draft.service.spec.mode);
}

/** Where one more task like the sample would go, and how to put one there. */
export class Placement {
  readonly #draft: Draft;
  readonly #sample: Task;
  readonly #usage: Usage;
  readonly #ranking: Ranking;

  constructor(draft: Draft, sample: Task) {
    this.#draft = draft;
    this.#sample = sample;
    this.#usage = new Usage(draft.view, draft.changes(), draft.service);
    const options = { usage: this.#usage, task: sample, tasks: draft.tasks() };
    this.#ranking = rankingFor(draft, options);
  }

  /** The best node of each branch of the spread preferences. */
  bestOfEachBranch(): Node[] {
    return this.#ranking.bestOfEachBranch();
  }

  /** Nodes that would take one more, were they not held back. */
  heldBack(): Node[] {
    const demand = demandOf(this.#draft.view, this.#sample);
    const atWork = this.#draft.tasks().filter(isAtWork);
    return [...this.#draft.view.list('node')].filter((node) => {
      const { heldUntil, ...status } = node.status;
      if (heldUntil === undefined) return false;
      const ofService = atWork.filter(({ nodeId }) => nodeId === node.id).length;
      const state = { node: { ...node, status }, usage: this.#usage, ofService };
      return refusal(state, demand) === undefined;
    });
  }

  /** @returns false when there is no address for it, and nothing was done. */
  put(task: Task, node: Node): boolean {
    const found = networksOf(this.#draft, task);
    if (found.kind === 'missing') return false;
    const target = { node, networks: found.networks, usage: this.#usage };
    return putOn(this.#draft, task, target).kind === 'placed';
  }
}

/** Leaves the task waiting. @returns false when it says so already. */
function wait(
  draft: Draft,
  task: Task,
  why: {
    code: ReasonCode;
    error: string;
    refusals?: readonly Refusal[];
    /** One of those that tell the newest numbers. */
    isExample?: boolean;
  },
): boolean {
  const { code, error, refusals, isExample = true } = why;
  if (task.status.error === error) return false;
  if (!isExample && lacksTheSame(task, refusals)) return false;
  draft.change(
    task,
    { status: { ...task.status, timestamp: draft.now, message: 'waiting for a node', error } },
    draft.reason(code, error, refusals === undefined ? {} : { placement: { refusals } }),
  );
  return true;
}

/** Its explanation differs only in how many nodes lack what. */
function lacksTheSame(task: Task, refusals: readonly Refusal[] = []): boolean {
  const said = task.because.at(-1)?.placement?.refusals;
  if (said === undefined || task.status.error === '') return false;
  const filters = new Set(said.map(({ filter }) => filter));
  return filters.size === refusals.length && refusals.every(({ filter }) => filters.has(filter));
}
