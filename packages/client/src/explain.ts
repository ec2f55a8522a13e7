/**
 * Why things are as they are, from what is stored with the objects: the managers keep with each task
 * and service the reasons of their decisions; this puts them in order and says what is waited for.
 */
import type { NodeVerdict, PlannedWait } from '@swarmd/api';
import {
  awaitsLimits,
  isJob,
  isTerminal,
  isWantedState,
  STANDBY_SLOT,
  waitsForNode,
  rank,
  refusesLimits,
  type Node,
  type NodeId,
  type Reason,
  type Service,
  type Task,
  type TaskState,
} from '@swarmd/model';

import { isCurrent } from './converge.ts';
import { explainAutoscale } from './explain-autoscale.ts';
import { explainRuns } from './explain-runs.ts';
import { explainUpdate, explainWaits, forMore } from './explain-update.ts';
import { ago, duration, many } from './explain-words.ts';

const SECOND_MS = 1_000;
/** Of nodes that say the same; the others are counted. */
const NAMES_SHOWN_MAX = 10;

/** What each node says to a task that waits for one. */
export interface Verdicts {
  readonly verdicts: readonly NodeVerdict[];
  /** For their names. */
  readonly nodes: readonly Node[];
}

export interface TaskSurroundings {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The node of the task, if it has one and that still exists. */
  readonly node?: Node | undefined;
  /** All tasks of its service. */
  readonly siblings?: readonly Task[];
  readonly placement?: Verdicts | undefined;
}

/** Lines: what the task is, how it came to that, what it waits for and until when. */
export function explainTask(task: Task, around: TaskSurroundings): string[] {
  const { now } = around;
  const where = task.nodeId === undefined ? 'without a node' : `on ${nodeName(task, around.node)}`;
  return [
    `task ${taskName(task)} is ${task.status.state} ${where}, ${ago(task.status.timestamp, now)}; wanted: ${task.desiredState}`,
    ...(task.status.error === '' ? [] : [`  error: ${task.status.error}`]),
    `  now: ${waitOf(task, around)}`,
    ...nodesSay(around.placement),
    ...chain(task.because, now),
  ];
}

/**
 * Lines: the update, and of each slot that is not as it should be what it waits for.
 * `placement`: of the first task that waits for a node; the others hear much the same.
 */
export function explainService(
  service: Service,
  tasks: readonly Task[],
  around: {
    now: number;
    nodes: readonly Node[];
    placement?: Verdicts | undefined;
    waits?: readonly PlannedWait[];
  },
): string[] {
  const { now, waits = [] } = around;
  const nodes = new Map(around.nodes.map((node) => [node.id, node]));
  const newest = newestOfSlots(tasks.filter(({ slot }) => slot !== STANDBY_SLOT));
  const standbys = tasks.filter(isStandby);
  const unsettled = newest.filter((task) => !isSettled(task));
  const unprepared = standbys.filter(({ status }) => status.state !== 'ready');
  const running = newest.length - unsettled.length;
  return [
    `service ${service.spec.name}: ${slotsLine(service, { running, all: newest.length })}${ofJob(service, newest)}`,
    ...explainUpdate(service, { newest, tasks, now }),
    ...explainWaits(waits, now),
    ...standbyLines(service, standbys),
    ...explainRuns(service),
    ...explainAutoscale(service, now),
    ...chain(service.because, now),
    ...[...unsettled, ...unprepared].flatMap((task) => {
      const node = task.nodeId === undefined ? undefined : nodes.get(task.nodeId);
      const wait = waitOf(task, { now, node, siblings: tasks });
      return [
        `  ${taskName(task)}: ${stateOf(task)}: ${wait}`,
        ...moveOf(task),
        ...otherSpecOf(service, task),
        ...failuresBefore(task, { now, siblings: tasks }),
      ];
    }),
    ...nodesSay(around.placement),
  ];
}

/** While an update is not over, tasks that run may be of the spec before: the line after this counts them. */
function slotsLine(
  { updateStatus }: Service,
  { running, all }: { running: number; all: number },
): string {
  if (all === 0) return 'it has no task now';
  if (updateStatus !== undefined && updateStatus.completedAt === undefined) {
    return `${running} of ${many(all, 'slot has', 'slots have')} a task that runs`;
  }
  return `${running} of ${many(all, 'slot is', 'slots are')} as ${all === 1 ? 'it' : 'they'} should be`;
}

/** Lines: may the node take tasks, and why not; what leaves it, and why. */
export function explainNode(node: Node, tasks: readonly Task[], now: number): string[] {
  const name = node.description?.hostname ?? node.id;
  const { state, message, since } = node.status;
  const alive = tasks.filter((task) => !isTerminal(task.status.state));
  const leaving = alive.filter((task) => !isWantedState(task.desiredState));
  const why = message === '' ? '' : `: ${message}`;
  return [
    `node ${name} (${node.id}) has been ${state} for ${duration(Math.max(0, now - since))}${why}`,
    `  ${refusesTasks(node, now) ?? 'takes new tasks that fit'}`,
    `  ${many(alive.length - leaving.length, 'task is', 'tasks are')} to run here, ${many(leaving.length, 'is', 'are')} to stop`,
    ...leaving.map((task) => `  ${taskName(task)} leaves: ${lastMessage(task)}`),
  ];
}

function refusesTasks({ status, spec }: Node, now: number): string | undefined {
  if (status.state !== 'ready') return `takes no tasks: it is ${status.state}`;
  if (status.heldUntil !== undefined) {
    return `takes no new tasks yet: it comes and goes${forMore(status.heldUntil, now)}`;
  }
  if (spec.availability === 'pause') return 'takes no new tasks: it is paused';
  if (spec.availability === 'drain')
    return 'takes no tasks: it is drained, and its tasks move away';
  return undefined;
}

/** With the error of one that has ended; the others' is in what they wait for. */
function stateOf({ status: { state, error } }: Task): string {
  return isTerminal(state) && error !== '' ? `${state} (${error})` : state;
}

/** Of a slot that does not get on: that this is not its first attempt, and what became of those before. */
function failuresBefore(
  task: Task,
  { now, siblings }: { now: number; siblings: readonly Task[] },
): string[] {
  const failed = siblings
    .filter((other) => other.id !== task.id && other.slot === task.slot)
    .filter(({ status }) => isFailure(status.state))
    .toSorted((a, b) => a.status.timestamp - b.status.timestamp);
  const last = failed.at(-1);
  if (last === undefined) return [];
  const { timestamp } = last.status;
  return [
    `    ${many(failed.length, 'task', 'tasks')} before it failed, the last one ${ago(timestamp, now)}: ${stateOf(last)}`,
  ];
}

/** Nothing was wrong with its predecessor, which the state of a successor would suggest. */
function moveOf({ because: [first] }: Task): string[] {
  return first?.code === 'rebalanced' ? [`    ${first.message} [${first.code}]`] : [];
}

/** Nothing takes the present spec before the update goes on: a failing task of another one would puzzle. */
function otherSpecOf(service: Service, task: Task): string[] {
  const isHalted = service.updateStatus?.state.endsWith('paused') ?? false;
  if (!isHalted || !isWantedState(task.desiredState) || isCurrent(service, task)) return [];
  return [
    '    it is of another spec than the present one: what ends while an update stands still is started again as it was',
  ];
}

function isFailure(state: TaskState): boolean {
  return state === 'failed' || state === 'rejected' || state === 'orphaned';
}

/** What the task waits for now, in one line. */
function waitOf(task: Task, { now, node, siblings = [] }: TaskSurroundings): string {
  if (isTerminal(task.status.state)) return `it has ended; ${lastMessage(task)}`;
  if (!isWantedState(task.desiredState)) return `it is to stop: ${lastMessage(task)}`;
  if (waitsForNode(task)) return `it waits for a node: ${task.status.error || lastMessage(task)}`;
  if (node === undefined) return 'its node is not in the cluster any more';
  if (node.status.state !== 'ready')
    return `its node is ${node.status.state}: ${node.status.message}`;
  if (isStandby(task)) {
    return task.status.state === 'ready'
      ? 'it is prepared, and takes the place of a task that ends'
      : `its node prepares it: ${task.status.message}`;
  }
  if (task.desiredState === 'ready') return turnOf(task, { now, siblings });
  if (awaitsLimits(task)) {
    const why = refusesLimits(task) ? `: ${task.status.error}` : '';
    return `it runs, and its node has still to give it its new limits${why}`;
  }
  if (task.status.state === 'running') return 'it runs as it should';
  return `its node is at work on it: ${task.status.message}`;
}

/** A task that is prepared ahead: what it waits for before it may start. */
function turnOf(task: Task, { now, siblings }: { now: number; siblings: readonly Task[] }): string {
  const dueInMs = (task.startNotBefore ?? 0) - now;
  const before = siblings.find(
    (other) => other.id !== task.id && other.slot === task.slot && !isTerminal(other.status.state),
  );
  const first = before && `${before.id}, which is ${before.status.state}, has stopped`;
  // Clocks differ: what is over in a moment is not what is waited for.
  if (first !== undefined && dueInMs < SECOND_MS) return `it starts when ${first}`;
  if (dueInMs > 0) {
    const also = first === undefined ? '' : `, when ${first}`;
    const due = task.because.findLast(({ until }) => until !== undefined);
    return `it may start in ${duration(dueInMs)}${also}: ${due?.message ?? lastMessage(task)}`;
  }
  return rank(task.status.state) < rank('ready')
    ? 'it is being prepared ahead'
    : 'it is prepared and may start at once';
}

/** Stands by, or is on its way to that. */
function isStandby({ slot, status, desiredState }: Task): boolean {
  return slot === STANDBY_SLOT && isWantedState(desiredState) && !isTerminal(status.state);
}

function standbyLines({ spec }: Service, standbys: readonly Task[]): string[] {
  if (spec.standby === 0 && standbys.length === 0) return [];
  const ready = standbys.filter(({ status }) => status.state === 'ready').length;
  return [`  ${ready} of ${many(spec.standby, 'standby is', 'standbys are')} prepared`];
}

/** Runs, or has completed where it was to; a task of a job is as it should be while it runs, too. */
function isSettled(task: Task): boolean {
  const { status, desiredState } = task;
  const isGoal = desiredState === 'running' || desiredState === 'complete';
  return (
    (!awaitsLimits(task) && status.state === 'running' && isGoal) ||
    (status.state === 'complete' && desiredState === 'complete')
  );
}

function ofJob({ spec }: Service, tasks: readonly Task[]): string {
  if (!isJob(spec.mode)) return '';
  const count = (state: TaskState): number =>
    tasks.filter(({ status }) => status.state === state).length;
  return `: ${count('complete')} completed, ${count('running')} running`;
}

/** Of each slot the newest task that is to run, else its newest one; removed ones only while they stop. */
function newestOfSlots(tasks: readonly Task[]): Task[] {
  const slots = new Map<string, Task>();
  const isKept = (task: Task): boolean =>
    task.desiredState !== 'remove' || !isTerminal(task.status.state);
  for (const task of tasks.filter(isKept).toSorted(byWorth)) {
    slots.set(`${task.slot}`, task);
  }
  return [...slots.values()].toSorted((a, b) => a.slot - b.slot);
}

function byWorth(a: Task, b: Task): number {
  return (
    Number(isWantedState(a.desiredState)) - Number(isWantedState(b.desiredState)) ||
    a.meta.createdAt - b.meta.createdAt
  );
}

function chain(because: readonly Reason[], now: number): string[] {
  return because.flatMap(({ code, message, at, until, placement, times = 1, since = at }) => [
    `  ${ago(at, now)}: ${message} [${code}]${forMore(until, now)}${times === 1 ? '' : `, ${times} times in other words since ${ago(since, now)}`}`,
    ...(placement?.refusals ?? []).map(
      ({ filter, nodes }) => `    ${filter}: ${many(nodes, 'node', 'nodes')}`,
    ),
  ]);
}

/** Nodes that say the same share a line; those that would take it come last. */
function nodesSay(placement: Verdicts | undefined): string[] {
  if (placement === undefined) return [];
  const names = new Map(placement.nodes.map((node) => [node.id, node.description?.hostname]));
  const groups = new Map<string, string[]>();
  const willing: string[] = [];
  for (const { nodeId, lacks } of placement.verdicts) {
    const name = names.get(nodeId) ?? nodeId;
    if (lacks === undefined) willing.push(name);
    else groups.set(lacks, [...(groups.get(lacks) ?? []), name]);
  }
  if (groups.size === 0 && willing.length === 0) return ['  there is no node that it may run on'];
  return [
    ...[...groups].map(([lacks, refusing]) => `  refused by ${someOf(refusing)}: ${lacks}`),
    ...(willing.length === 0 ? cureOf(placement, names) : [`  it fits on ${someOf(willing)}`]),
  ];
}

/** Where the fewest commands let it run, and which. */
function cureOf({ verdicts }: Verdicts, names: ReadonlyMap<NodeId, string | undefined>): string[] {
  const [best] = verdicts
    .filter(({ cure }) => cure.length > 0)
    .toSorted((a, b) => a.cure.length - b.cure.length);
  if (best === undefined) return [];
  const name = names.get(best.nodeId) ?? best.nodeId;
  return [`  it would fit on ${name} after: ${best.cure.join('; ')}`];
}

function someOf(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN_MAX;
  const shown = names.slice(0, NAMES_SHOWN_MAX).join(', ');
  return more > 0 ? `${shown} and ${more} more` : shown;
}

function lastMessage({ because, status }: Task): string {
  return because.at(-1)?.message ?? status.message;
}

function taskName(task: Task): string {
  const seat = task.slot === STANDBY_SLOT ? 'standby' : task.slot;
  return `${task.serviceName}.${seat} (${task.id})`;
}

function nodeName(task: Task, node: Node | undefined): string {
  return node?.description?.hostname ?? task.nodeId ?? '';
}
