/** What a plan means for people: which slots get a task, lose theirs, or have it moved, and where. */
import { isJob, STANDBY_SLOT, type NodeId, type Task, type PlannedTask } from '@swarmd/model';

import { followsNodes } from '../service/follows-nodes.ts';
import { NodeLookup } from '../node-lookup.ts';
import { isCurrent, isOver, isWanted } from '../task-view.ts';
import type { PlanView } from '../types.ts';

export interface TaskChange {
  readonly before: Task | undefined;
  readonly after: Task | undefined;
}

/** What happens in one slot. */
interface SlotChange {
  starts?: Task;
  stops?: Task;
}

/**
 * One for each slot in which a task starts or stops, by service and slot.
 * @param view with the changes in it.
 */
export function plannedTasks(view: PlanView, changes: readonly TaskChange[]): PlannedTask[] {
  const slots = new Map<string, SlotChange>();
  for (const { before, after } of changes) {
    const task = after ?? before;
    if (task === undefined) continue;
    // Standbys share a number and nothing else.
    const key = `${task.serviceId} ${task.slot === STANDBY_SLOT ? task.id : task.slot}`;
    const slot = slots.get(key) ?? {};
    if (after !== undefined && starts(before, after)) slot.starts = after;
    else if (before !== undefined && stops(before, after)) slot.stops = after ?? before;
    else continue;
    slots.set(key, slot);
  }
  const alive = new AliveTasks(view);
  return [...slots.values()].map((slot) => planned(alive, slot)).toSorted(bySlot);
}

/** Tasks of an older spec that are left for later steps of an update; nothing of jobs. */
export function outdatedTasks(view: PlanView, serviceId: Task['serviceId']): number {
  const service = view.get('service', serviceId);
  if (service === undefined || isJob(service.spec.mode)) return 0;
  // Whether a task is of the present spec does not depend on the time.
  const nodes = new NodeLookup(view, 0);
  const wanted = [...view.tasksByService(serviceId)].filter(isWanted);
  const updated = new Set(
    wanted.filter((task) => isCurrent(task, service, nodes)).map((task) => task.slot),
  );
  return wanted.filter((task) => !isCurrent(task, service, nodes) && !updated.has(task.slot))
    .length;
}

/** It is new, comes to a node at last, or may run now that it was prepared. */
function starts(before: Task | undefined, after: Task): boolean {
  if (!isWanted(after)) return false;
  if (before === undefined) return true;
  return before.nodeId === undefined && after.nodeId !== undefined;
}

function stops(before: Task, after: Task | undefined): boolean {
  return !isOver(before) && isWanted(before) && (after === undefined || !isWanted(after));
}

function planned(alive: AliveTasks, { starts: next, stops: last }: SlotChange): PlannedTask {
  const task = next ?? last;
  if (task === undefined) throw new TypeError('a slot without a change');
  const { serviceName, slot } = task;
  const old = last ?? (next === undefined ? undefined : predecessor(alive, next));
  const to = next?.nodeId;
  return {
    action: actionOf(next, old),
    serviceName,
    slot,
    ...(old === undefined ? {} : { taskId: old.id }),
    ...(old?.nodeId === undefined ? {} : { fromNodeId: old.nodeId }),
    ...(to === undefined ? {} : { toNodeId: to }),
    message: messageOf(next, old),
  };
}

function actionOf(next: Task | undefined, old: Task | undefined): PlannedTask['action'] {
  if (next === undefined) return 'stop';
  if (next.nodeId === undefined) return 'wait';
  if (old?.nodeId === undefined) return 'start';
  return old.nodeId === next.nodeId ? 'replace' : 'move';
}

/** Why the old one goes says more than that a new one is to come. */
function messageOf(next: Task | undefined, old: Task | undefined): string {
  if (next !== undefined && next.nodeId === undefined && next.status.error !== '') {
    return next.status.error;
  }
  const why = old !== undefined && !isWanted(old) ? old : (next ?? old);
  const reasons = (why?.because ?? []).filter(({ code }) => code !== 'placed');
  return reasons.at(-1)?.message ?? '';
}

/** The task that goes on until the new one of its slot is ready. */
function predecessor(alive: AliveTasks, next: Task): Task | undefined {
  if (next.slot === STANDBY_SLOT) return undefined;
  return alive.of(next).find(({ id }) => id !== next.id);
}

/** Tasks that are not over, by slot: each service is read once, however many of its slots are asked for. */
class AliveTasks {
  readonly #view: PlanView;
  readonly #services = new Map<Task['serviceId'], Map<number, Task[]>>();

  constructor(view: PlanView) {
    this.#view = view;
  }

  /** Those of the same slot. */
  of({ serviceId, slot }: Task): readonly Task[] {
    let slots = this.#services.get(serviceId);
    if (slots === undefined) {
      const alive = [...this.#view.tasksByService(serviceId)].filter((task) => !isOver(task));
      slots = Map.groupBy(alive, (task) => task.slot);
      this.#services.set(serviceId, slots);
    }
    return slots.get(slot) ?? [];
  }
}

function bySlot(a: PlannedTask, b: PlannedTask): number {
  return a.serviceName.localeCompare(b.serviceName) || a.slot - b.slot;
}

/** Services that a change of the node concerns: as the managers' loops would be woken. */
export function servicesConcerned(view: PlanView, nodeId: NodeId): Set<Task['serviceId']> {
  const concerned = new Set<Task['serviceId']>();
  for (const task of view.tasksByNode(nodeId)) concerned.add(task.serviceId);
  for (const service of view.list('service')) {
    if (followsNodes(view, service) || hasWaiting(view, service.id)) concerned.add(service.id);
  }
  return concerned;
}

/** Services with a task that waits for a node: what others give back concerns them. */
export function servicesWaiting(view: PlanView): Task['serviceId'][] {
  return [...view.list('service')].flatMap(({ id }) => (hasWaiting(view, id) ? [id] : []));
}

function hasWaiting(view: PlanView, id: Task['serviceId']): boolean {
  for (const task of view.tasksByService(id)) {
    if (task.nodeId === undefined && !isOver(task)) return true;
  }
  return false;
}
