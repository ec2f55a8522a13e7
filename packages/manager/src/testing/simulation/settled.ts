/** Is the cluster what its specs say? What is not, in words; empty once everything has settled. */
import { isDeepStrictEqual } from 'node:util';

import { diffAssignments } from '@swarmd/api';
import {
  awaitsLimits,
  isGlobal,
  isJob,
  isTerminal,
  meetsConstraint,
  parseConstraint,
  STANDBY_SLOT,
  TABLE_NAMES,
  wantedReplicas,
  type AssignmentSet,
  type Node,
  type Service,
  type Task,
} from '@swarmd/model';
import { assign } from '@swarmd/planner';
import type { ReadView } from '@swarmd/store';

import { staleReasons } from './explained.ts';
import { isOver, isWanted, presentSlots, seatOf } from './rules.ts';
import type { SimAgent } from './sim-agent.ts';
import type { SimWorld } from './sim-world.ts';

/** Codes of decisions that let a slot rest. */
const AT_REST = new Set(['restart-refused', 'restart-exhausted']);
const PROBLEMS_MAX = 10;

export function unsettled(world: SimWorld): string[] {
  const problems: string[] = [];
  for (const problem of allProblems(world)) {
    problems.push(problem);
    if (problems.length >= PROBLEMS_MAX) break;
  }
  return problems;
}

/** As `unsettled`, but looks no further than the first problem. */
export function isSettled(world: SimWorld): boolean {
  for (const _problem of allProblems(world)) return false;
  return true;
}

function* allProblems(world: SimWorld): Iterable<string> {
  yield* managerProblems(world);
  const { view } = world.judge;
  for (const service of view.list('service')) {
    yield* serviceProblems(view, service, [...view.tasksByService(service.id)]);
  }
  for (const task of view.list('task')) {
    if (view.get('service', task.serviceId) === undefined && isOnReadyNode(world, task)) {
      yield `task ${task.id} of a removed service is ${task.status.state}`;
    }
  }
  for (const agent of world.agents.values()) yield* agentProblems(world, agent);
  for (const task of view.list('task')) if (isWaiting(task)) yield* staleReasons(view, task);
}

/** Every manager has what was committed. */
function* managerProblems(world: SimWorld): Iterable<string> {
  if (world.leader() === undefined) yield 'nobody leads';
  const { view } = world.judge;
  for (const { seat, core } of world.up()) {
    const own = core.store.view;
    if (own.version !== view.version) {
      yield `manager ${seat.raftId} is at ${own.version} of ${view.version}`;
      continue;
    }
    for (const table of TABLE_NAMES) {
      if (own.count(table) !== view.count(table)) yield `manager ${seat.raftId} misses ${table}s`;
      for (const { id, meta } of view.list(table)) {
        const version = own.get(table, id)?.meta.version;
        if (version !== meta.version) yield `manager ${seat.raftId}: ${table} ${id} is old`;
      }
    }
  }
}

function isOnReadyNode(world: SimWorld, task: Task): boolean {
  if (task.nodeId === undefined) return true;
  return world.judge.view.get('node', task.nodeId)?.status.state === 'ready';
}

function* serviceProblems(
  view: ReadView,
  service: Service,
  tasks: readonly Task[],
): Iterable<string> {
  const { name, mode } = service.spec;
  const phase = service.updateStatus?.state;
  const waits = tasks.some((task) => isWaiting(task));
  const isUnderWay = phase === 'updating' || phase === 'rollback-started';
  if (isUnderWay && !waits) yield `${name} is ${phase} and waits for nothing`;
  const isHalted = phase === 'paused' || phase === 'rollback-paused';
  const slots = presentSlots(tasks);
  const replicas = wantedReplicas(service);
  if (mode.kind === 'replicated' && slots.size !== replicas) {
    yield `${name} has ${slots.size} of ${replicas} slots`;
  }
  const { schedule } = service.spec;
  const isScheduled = schedule !== undefined;
  if (
    !isScheduled &&
    mode.kind === 'replicated-job' &&
    slots.size !== mode.totalCompletions &&
    !waits
  ) {
    yield `${name} has ${slots.size} of ${mode.totalCompletions} slots`;
  }
  const open = isGlobal(mode) ? openNodes(view, service) : undefined;
  if (!isScheduled) {
    for (const slot of open ?? []) if (!slots.has(slot)) yield `${name} is not on node ${slot}`;
  }
  const seated = tasks.filter((task) => slots.has(task.slot));
  for (const [seat, here] of Map.groupBy(seated, seatOf)) {
    const slot = here[0]?.slot ?? 0;
    // Of a node that takes no tasks only the history is left.
    const mayRest = (open !== undefined && !open.has(slot)) || here.some(hasCompleted);
    const mayRun = { isUnderWay: isUnderWay || isHalted, mayRest: mayRest || isScheduled };
    yield* slotProblems(`${name}.${seat}`, here, mayRun);
  }
  yield* standbyProblems(service, tasks);
  // A node that takes no tasks keeps what a global service has there as it is.
  const movable = tasks.filter(({ slot }) => open === undefined || open.has(slot));
  yield* policyProblems(service, { tasks: movable, waits });
}

/** What has to come to rest besides the tasks. */
function* policyProblems(
  { spec, specVersion, updateStatus, autoscale, jobStatus }: Service,
  { tasks, waits }: { tasks: readonly Task[]; waits: boolean },
): Iterable<string> {
  const { name } = spec;
  if (autoscale?.pressure !== undefined) {
    yield `${name} wants ${autoscale.pressure.replicas} replicas and has ${autoscale.replicas}`;
  }
  const run = jobStatus?.runs.find(({ state }) => state === 'active');
  if (run !== undefined && !waits) yield `${name}: run ${run.iteration} is under way`;
  const phase = updateStatus?.state;
  const isDone = phase === undefined || phase === 'completed' || phase === 'rollback-completed';
  if (!isDone || isJob(spec.mode)) return;
  for (const task of tasks) {
    if (!isWanted(task) || isOver(task)) continue;
    const { image, secrets, configs } = task.spec.container;
    const { container } = spec.task;
    const isNew =
      image === container.image &&
      isDeepStrictEqual([secrets, configs], [container.secrets, container.configs]) &&
      isDeepStrictEqual(task.spec.limits, spec.task.limits);
    if (awaitsLimits(task)) yield `${name}: ${task.id} has not got its limits`;
    if (!isNew) yield `${name}: ${task.id} is of spec ${task.specVersion}, not ${specVersion}`;
  }
}

/** Numbers of the nodes that take tasks of the service. */
function openNodes(view: ReadView, { spec }: Service): Set<number> {
  const constraints = spec.task.placement.constraints
    .map((text) => parseConstraint(text))
    .filter((one) => typeof one !== 'string');
  const nodes = [...view.list('node')]
    .filter(takesTasks)
    .filter((node) => constraints.every((one) => meetsConstraint(node, one)));
  return new Set(nodes.map(({ index }) => index));
}

function takesTasks({ status, spec }: Node): boolean {
  return (
    status.state === 'ready' && status.heldUntil === undefined && spec.availability === 'active'
  );
}

function hasCompleted({ status, desiredState }: Task): boolean {
  return status.state === 'complete' && desiredState === 'complete';
}

function* standbyProblems({ spec }: Service, tasks: readonly Task[]): Iterable<string> {
  const present = tasks.filter((task) => task.slot === STANDBY_SLOT && isWanted(task));
  const alive = present.filter((task) => !isOver(task));
  if (alive.length !== spec.standby)
    yield `${spec.name} has ${alive.length} of ${spec.standby} standbys`;
  for (const task of alive) {
    if (task.status.state === 'ready' || isWaiting(task)) continue;
    yield `${spec.name}: standby ${task.id} is ${task.status.state}`;
  }
}

/** Waits for a node, and says what for. */
function isWaiting(task: Task): boolean {
  return isWanted(task) && task.nodeId === undefined && task.status.error !== '';
}

function* slotProblems(
  name: string,
  tasks: readonly Task[],
  { isUnderWay, mayRest }: { isUnderWay: boolean; mayRest: boolean },
): Iterable<string> {
  const alive = tasks.filter((task) => !isOver(task));
  const wanted = alive.filter(isWanted);
  for (const task of alive) {
    if (!isWanted(task)) yield `${name}: ${task.id} is still ${task.status.state}`;
  }
  if (wanted.length > 1 && !(isUnderWay && wanted.some(isWaiting))) {
    yield `${name}: ${wanted.map((task) => task.id).join(', ')} are all wanted`;
  }
  if (wanted.length === 0 && !mayRest) {
    const isAtRest = tasks.some((task) => task.because.some(({ code }) => AT_REST.has(code)));
    if (!isAtRest) yield `${name} is lost: nothing is wanted and no rule says why`;
  }
  for (const task of wanted) {
    if (task.status.state === 'running' || isWaiting(task)) continue;
    yield `${name}: ${task.id} is ${task.status.state}, desired ${task.desiredState}, ${task.status.error}`;
  }
}

/** What runs is what should run, and the agent was told all of it. */
function* agentProblems(world: SimWorld, agent: SimAgent): Iterable<string> {
  const { view } = world.judge;
  const node = view.get('node', agent.nodeId);
  if (agent.isGone || node === undefined) return;
  if (!agent.isConnected || node.status.state !== 'ready') yield `${agent.nodeId} is not connected`;
  if (!agent.isSettled) yield `${agent.nodeId} has unacknowledged statuses`;
  for (const id of agent.containers.running()) {
    const task = view.get('task', id);
    if (task === undefined || isOver(task)) yield `${agent.nodeId}: ${id} runs and should not`;
  }
  for (const task of view.tasksByNode(agent.nodeId)) {
    if (isTerminal(task.status.state)) continue;
    const state = agent.containers.stateOf(task.id);
    if (state !== task.status.state) yield `${agent.nodeId}: ${task.id} is ${state} there`;
  }
  yield* assignmentProblems(world, agent);
}

/** What an agent was told, and the assignment that it was found to be the same as. */
interface Proof {
  readonly told: AssignmentSet | undefined;
  readonly should: AssignmentSet;
}

const proofs = new WeakMap<SimAgent, Proof>();

/**
 * What the agent was told leads nowhere else. Parts of assignments that stay the same keep their
 * identity, so that what was found to be right once is compared with itself from then on.
 */
function* assignmentProblems(world: SimWorld, agent: SimAgent): Iterable<string> {
  const should = assign(world.judge.view, agent.nodeId);
  const told = agent.assigned;
  const proof = proofs.get(agent);
  const isProven = proof !== undefined && proof.told === told;
  const delta = diffAssignments(isProven ? proof.should : told, should);
  if (delta === undefined) {
    proofs.set(agent, { told, should });
    return;
  }
  const parts = Object.entries({ ...delta, ...delta.network })
    .filter(([, part]) => Array.isArray(part) && part.length > 0)
    .map(([name]) => name);
  yield `${agent.nodeId} has still to be told: ${parts.join(', ')}`;
}
