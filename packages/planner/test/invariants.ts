/** What must hold whatever happens. */
import {
  isGlobal,
  isTerminal,
  isWantedState,
  rank,
  type Service,
  type ServiceId,
  type Task,
} from '@swarmd/model';
import { expect } from 'vitest';

import type { Plan } from '../src/index.ts';
import type { World } from './world.ts';

export function checkInvariants(world: World): void {
  const held = world.tasks().filter((task) => !isOver(task));
  addressesAreUnique(world, held);
  nodesAreNotOvercommitted(world, held);
  for (const service of world.tables.service.values()) {
    const tasks = world.tasks().filter((task) => task.serviceId === service.id);
    updateKeepsToParallelism(service, tasks);
    jobKeepsToItsNumbers(service, tasks);
  }
}

/** Whoever a plan tells to run finds its slot empty, or has waited as long as it must. */
export function checkStarts(world: World, plan: Plan, before: ReadonlyMap<string, Task>): void {
  for (const op of plan.ops) {
    if (op.kind !== 'put' || op.table !== 'task' || !isStarted(op.object)) continue;
    const task = op.object;
    const old = before.get(task.id);
    if (old !== undefined && isStarted(old)) continue;
    const service = world.tables.service.get(task.serviceId);
    if (service === undefined || mayStartFirst(service)) continue;
    const patience = 60_000 + task.spec.container.stopGracePeriodMs;
    if (world.now >= (task.startNotBefore ?? world.now) + patience) continue;
    const inTheWay = world
      .tasks()
      .filter((other) => other.serviceId === task.serviceId && other.slot === task.slot)
      .filter((other) => other.id !== task.id && !isOver(other) && isReachable(world, other));
    expect(inTheWay.map((other) => `${other.id} is in the way of ${task.id}`)).toEqual([]);
  }
}

function isStarted(task: Task): boolean {
  return task.desiredState === 'running' || task.desiredState === 'complete';
}

/** A task is forgotten only when nothing of it runs, or nobody can know. */
export function checkForgotten(world: World, plan: Plan, before: ReadonlyMap<string, Task>): void {
  const forgotten = plan.ops
    .flatMap((op) => (op.kind === 'delete' ? [before.get(op.id)] : []))
    .filter((task) => task?.nodeId !== undefined && !isOver(task) && isReachable(world, task))
    .map((task) => task?.id);
  expect(forgotten).toEqual([]);
}

function mayStartFirst({ spec }: Service): boolean {
  return spec.update.order === 'start-first' || spec.rollback.order === 'start-first';
}

/** Tasks on nodes that are down or gone are replaced while nobody knows of them. */
function isReachable(world: World, task: Task): boolean {
  if (task.nodeId === undefined) return true;
  const node = world.tables.node.get(task.nodeId);
  return node !== undefined && node.status.state !== 'down';
}

function isOver(task: Task): boolean {
  const gaveUp = !isWantedState(task.desiredState) && task.nodeId === undefined;
  return gaveUp || rank(task.status.state) > rank('running');
}

function addressesAreUnique(world: World, held: readonly Task[]): void {
  const vips = [...world.tables.service.values()].flatMap((service) =>
    service.endpoint.virtualIps.map((vip) => `${vip.networkId} ${vip.address}`),
  );
  const addresses = held.flatMap((task) =>
    task.networks.map((one) => `${one.networkId} ${one.address.split('/')[0]}`),
  );
  const gateways = held.flatMap((task) =>
    task.gatewayAddress === undefined ? [] : [task.gatewayAddress],
  );
  for (const list of [[...vips, ...addresses], gateways]) {
    expect(list.filter((one, at) => list.indexOf(one) !== at)).toEqual([]);
  }
}

function nodesAreNotOvercommitted(world: World, held: readonly Task[]): void {
  for (const node of world.tables.node.values()) {
    const here = held.filter((task) => task.nodeId === node.id);
    const memory = here.reduce((sum, task) => sum + task.spec.reservations.memoryBytes, 0);
    expect(memory).toBeLessThanOrEqual(node.description?.resources.memoryBytes ?? 0);
    const ports = here.flatMap((task) =>
      task.ports.filter((port) => port.publishMode === 'host').map((port) => port.publishedPort),
    );
    expect(new Set(ports).size).toBe(ports.length);
  }
}

/** Holds after a plan of the service: the user may have forbidden start-first since the last one. */
export function checkSlots(world: World, id: ServiceId): void {
  const service = world.tables.service.get(id);
  const tasks = world.tasks().filter((task) => task.serviceId === id);
  if (service !== undefined) globalHasOneTaskANode(world, service, tasks);
  if (service === undefined || mayStartFirst(service)) return;
  const running = tasks
    .filter((task) => isStarted(task) && !isOver(task) && isReachable(world, task))
    .map((task) => task.slot);
  expect(running.filter((slot, at) => running.indexOf(slot) !== at)).toEqual([]);
}

/** Never more at work than may be, never more completions than wanted. */
function jobKeepsToItsNumbers({ spec, jobStatus }: Service, tasks: readonly Task[]): void {
  if (spec.mode.kind !== 'replicated-job') return;
  const ofRun = tasks.filter((task) => task.jobIteration === jobStatus?.iteration);
  const atWork = ofRun.filter(
    (task) => isWantedState(task.desiredState) && task.status.state !== 'complete',
  );
  expect(new Set(atWork.map((task) => task.slot)).size).toBeLessThanOrEqual(
    spec.mode.maxConcurrent,
  );
  const completed = ofRun.filter((task) => task.status.state === 'complete');
  expect(completed.length).toBeLessThanOrEqual(spec.mode.totalCompletions);
}

/** A task of a global service is on the node of its slot. */
function globalHasOneTaskANode(world: World, { spec }: Service, tasks: readonly Task[]): void {
  if (!isGlobal(spec.mode)) return;
  const astray = tasks
    .filter((task) => isWantedState(task.desiredState) && task.nodeId !== undefined)
    .filter((task) => (world.tables.node.get(task.nodeId ?? '')?.index ?? task.slot) !== task.slot);
  expect(astray.map((task) => task.id)).toEqual([]);
}

/** In flight: a slot that had a running task has a new one that is still on its way. */
function updateKeepsToParallelism(service: Service, tasks: readonly Task[]): void {
  const { parallelism } = service.spec.update;
  if (service.updateStatus?.state !== 'updating' || parallelism === 0) return;
  const slots = new Set(
    tasks
      .filter((task) => task.because[0]?.code === 'update')
      .filter((task) => task.specVersion === service.specVersion)
      .filter((task) => isWantedState(task.desiredState))
      .filter((task) => rank(task.status.state) < rank('running'))
      .filter((task) =>
        tasks.some((other) => other.slot === task.slot && other.startedAt !== undefined),
      )
      .map((task) => task.slot),
  );
  expect(slots.size).toBeLessThanOrEqual(parallelism);
}

/** A plan that gives slots the new spec leaves no more of them with it than the canary step says. */
export function checkCanary(world: World, plan: Plan, before: ReadonlyMap<string, Task>): void {
  const [made] = plan.ops.flatMap((op) =>
    op.kind === 'put' && op.table === 'task' && !before.has(op.object.id) ? [op.object] : [],
  );
  const service = world.tables.service.get(made?.serviceId ?? '');
  const { updateStatus, spec } = service ?? {};
  const step = spec?.update.canary[updateStatus?.canary?.passed ?? 0];
  if (service === undefined || updateStatus?.state !== 'updating' || step === undefined) return;
  // Of a global service, steps count the nodes that can be updated now.
  const open = [...world.tables.node.values()]
    .filter((node) => node.status.state === 'ready' && node.spec.availability === 'active')
    .map((node) => node.index);
  const present = world
    .tasks()
    .filter((task) => task.serviceId === service.id && task.desiredState !== 'remove')
    .filter((task) => task.slot > 0 && (!isGlobal(service.spec.mode) || open.includes(task.slot)));
  const isUpdate = (task: Task): boolean =>
    ['update', 'scale-up', 'node-added'].includes(task.because[0]?.code ?? '') &&
    task.specVersion === service.specVersion;
  if (!present.some((task) => !before.has(task.id) && isUpdate(task))) return;
  const updated = new Set(present.filter(isUpdate).map((task) => task.slot)).size;
  const slots = new Set(present.map((task) => task.slot)).size;
  const { percent, tasks = 0 } = step;
  expect(updated).toBeLessThanOrEqual(
    percent === undefined ? tasks : Math.ceil((slots * percent) / 100),
  );
}

/**
 * Tasks and updates that do not get on and of which nothing says why, once neither plans nor agents
 * have anything to do: what a task waits for is in its error, in its node, or in a wait of the plan.
 */
export function unexplained(world: World, planOf: (id: ServiceId) => Plan): string[] {
  return world.serviceIds().flatMap((id) => {
    const plan = planOf(id);
    const tasks = world.tasks().filter((task) => task.serviceId === id);
    const stuck = tasks
      .filter((task) => isWantedState(task.desiredState) && !isAtGoal(task))
      .filter((task) => !isExplained(world, plan, task))
      .map((task) => `${task.id} of ${id} is ${task.status.state}, wanted ${task.desiredState}`);
    const service = world.tables.service.get(id);
    return service === undefined ? stuck : [...stuck, ...unexplainedUpdate(service, tasks, plan)];
  });
}

function isAtGoal({ slot, status, desiredState }: Task): boolean {
  if (desiredState === 'ready') return status.state === 'ready' && slot === 0;
  return status.state === 'running' || status.state === desiredState;
}

function isExplained(world: World, plan: Plan, task: Task): boolean {
  const node = world.tables.node.get(task.nodeId ?? '');
  return (
    task.status.error !== '' ||
    (task.nodeId !== undefined && node?.status.state !== 'ready') ||
    plan.waits.some(({ taskId }) => taskId === task.id) ||
    isTerminal(task.status.state)
  );
}

/** An update that is under way waits for time, for a word, or for a task that says what it waits for. */
function unexplainedUpdate(service: Service, tasks: readonly Task[], plan: Plan): string[] {
  const { updateStatus } = service;
  const isUnderWay =
    updateStatus?.state === 'updating' || updateStatus?.state === 'rollback-started';
  const isOnItsWay = tasks.some((task) => isWantedState(task.desiredState) && !isAtGoal(task));
  const waitsForWord = updateStatus?.message.includes('waits for approval') ?? false;
  if (!isUnderWay || isOnItsWay || waitsForWord || plan.waits.length > 0) return [];
  return [`update of ${service.spec.name}: ${updateStatus.message}`];
}
