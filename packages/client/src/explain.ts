/**
 * Why things are as they are, from what is stored with the objects: the managers keep with each task
 * and service the reasons of their decisions; this puts them in order and says what is waited for.
 */
import {
  isTerminal,
  isWantedState,
  rank,
  type Node,
  type Reason,
  type Service,
  type Task,
} from '@swarmd/model';

const SECOND_MS = 1_000;

export interface TaskSurroundings {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The node of the task, if it has one and that still exists. */
  readonly node?: Node | undefined;
  /** All tasks of its service. */
  readonly siblings?: readonly Task[];
}

/** Lines: what the task is, how it came to that, what it waits for and until when. */
export function explainTask(task: Task, around: TaskSurroundings): string[] {
  const { now } = around;
  const where = task.nodeId === undefined ? 'without a node' : `on ${nodeName(task, around.node)}`;
  return [
    `task ${taskName(task)} is ${task.status.state} ${where}, ${ago(task.status.timestamp, now)}; wanted: ${task.desiredState}`,
    ...(task.status.error === '' ? [] : [`  error: ${task.status.error}`]),
    `  now: ${waitOf(task, around)}`,
    ...chain(task.because, now),
  ];
}

/** Lines: the update, and of each slot that is not as it should be what it waits for. */
export function explainService(
  service: Service,
  tasks: readonly Task[],
  around: { now: number; nodes: readonly Node[] },
): string[] {
  const { now } = around;
  const { updateStatus } = service;
  const nodes = new Map(around.nodes.map((node) => [node.id, node]));
  const newest = newestOfSlots(tasks);
  const unsettled = newest.filter((task) => !isSettled(task));
  const update =
    updateStatus === undefined
      ? []
      : [
          `  update: ${updateStatus.state} since ${ago(updateStatus.startedAt, now)}: ${updateStatus.message}`,
        ];
  const running = newest.length - unsettled.length;
  return [
    `service ${service.spec.name}: ${running} of ${newest.length} slots are as they should be`,
    ...update,
    ...chain(service.because, now),
    ...unsettled.map((task) => {
      const node = task.nodeId === undefined ? undefined : nodes.get(task.nodeId);
      return `  ${taskName(task)}: ${task.status.state}: ${waitOf(task, { now, node, siblings: tasks })}`;
    }),
  ];
}

/** Lines: may the node take tasks, and why not; what leaves it, and why. */
export function explainNode(node: Node, tasks: readonly Task[], now: number): string[] {
  const name = node.description?.hostname ?? node.id;
  const { state, message, since } = node.status;
  const alive = tasks.filter((task) => !isTerminal(task.status.state));
  const leaving = alive.filter((task) => !isWantedState(task.desiredState));
  const why = message === '' ? '' : `: ${message}`;
  return [
    `node ${name} (${node.id}) is ${state} since ${ago(since, now)}${why}`,
    `  ${refusesTasks(node) ?? 'takes new tasks that fit'}`,
    `  ${alive.length - leaving.length} tasks are to run here, ${leaving.length} are to stop`,
    ...leaving.map((task) => `  ${taskName(task)} leaves: ${lastMessage(task)}`),
  ];
}

function refusesTasks({ status, spec }: Node): string | undefined {
  if (status.state !== 'ready') return `takes no tasks: it is ${status.state}`;
  if (spec.availability === 'pause') return 'takes no new tasks: it is paused';
  if (spec.availability === 'drain')
    return 'takes no tasks: it is drained, and its tasks move away';
  return undefined;
}

/** What the task waits for now, in one line. */
function waitOf(task: Task, { now, node, siblings = [] }: TaskSurroundings): string {
  if (isTerminal(task.status.state)) return `it has ended; ${lastMessage(task)}`;
  if (!isWantedState(task.desiredState)) return `it is to stop: ${lastMessage(task)}`;
  if (task.nodeId === undefined)
    return `it waits for a node: ${task.status.error || lastMessage(task)}`;
  if (node === undefined) return 'its node is not in the cluster any more';
  if (node.status.state !== 'ready')
    return `its node is ${node.status.state}: ${node.status.message}`;
  if (task.desiredState === 'ready') return turnOf(task, { now, siblings });
  if (task.status.state === 'running') return 'it runs as it should';
  return `its node is at work on it: ${task.status.message}`;
}

/** A task that is prepared ahead: what it waits for before it may start. */
function turnOf(task: Task, { now, siblings }: { now: number; siblings: readonly Task[] }): string {
  const dueAt = task.startNotBefore ?? 0;
  if (dueAt > now) return `it may start in ${seconds(dueAt - now)}: ${lastMessage(task)}`;
  const before = siblings.find(
    (other) => other.id !== task.id && other.slot === task.slot && !isTerminal(other.status.state),
  );
  if (before !== undefined) {
    return `it starts when ${before.id}, which is ${before.status.state}, has stopped`;
  }
  return rank(task.status.state) < rank('ready')
    ? 'it is being prepared ahead'
    : 'it is prepared and may start at once';
}

function isSettled(task: Task): boolean {
  return task.status.state === 'running' && task.desiredState === 'running';
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
  return because.flatMap(({ code, message, at, until, placement }) => [
    `  ${ago(at, now)}: ${message} [${code}]${until === undefined || until <= now ? '' : `, for ${seconds(until - now)} more`}`,
    ...(placement?.refusals ?? []).map(({ filter, nodes }) => `    ${filter}: ${nodes} nodes`),
  ]);
}

function lastMessage({ because, status }: Task): string {
  return because.at(-1)?.message ?? status.message;
}

function taskName(task: Task): string {
  return `${task.serviceName}.${task.slot} (${task.id})`;
}

function nodeName(task: Task, node: Node | undefined): string {
  return node?.description?.hostname ?? task.nodeId ?? '';
}

function ago(at: number, now: number): string {
  return `${seconds(Math.max(0, now - at))} ago`;
}

function seconds(ms: number): string {
  return `${Math.round(ms / SECOND_MS)} s`;
}
