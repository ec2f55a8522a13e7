/** A plan in the making: the tasks of a service as they will be, and why. */
import {
  type Change,
  type Reason,
  type Service,
  type Task,
  type TaskId,
  STANDBY_SLOT,
} from '@swarmd/model';

import { PLAN_TASKS_MAX } from './limits.ts';
import { NodeLookup } from './node-lookup.ts';
import { reason, remember, type ReasonCode, type ReasonData } from './reasons.ts';
import { isOver, isWanted } from './task-view.ts';
import type { Plan, PlanContext, PlanView, TimedWait } from './types.ts';

export class Draft {
  readonly view: PlanView;
  readonly now: number;
  /** Tasks that the plan makes or places at most. */
  readonly tasksMax: number;
  readonly nodes: NodeLookup;
  readonly #context: PlanContext;
  readonly #before = new Map<TaskId, Task>();
  readonly #tasks = new Map<TaskId, Task>();
  readonly #others = new Map<TaskId, Task>();
  readonly #because: Reason[] = [];
  readonly #waits: TimedWait[] = [];
  #service: Service | undefined;
  readonly #serviceBefore: Service | undefined;
  #dueAt: number | undefined;
  /** Asked for again and again while nothing changes. */
  #slots: ReadonlyMap<number, readonly Task[]> | undefined;
  #run: number | undefined;

  constructor(
    view: PlanView,
    service: Service | undefined,
    options: { tasks: Iterable<Task>; context: PlanContext },
  ) {
    this.view = view;
    this.#context = options.context;
    this.now = options.context.now;
    this.tasksMax = options.context.tasksMax ?? PLAN_TASKS_MAX;
    this.nodes = new NodeLookup(view, options.context.now);
    this.#service = service;
    this.#serviceBefore = service;
    for (const task of options.tasks) {
      this.#before.set(task.id, task);
      this.#tasks.set(task.id, task);
    }
  }

  tasks(): Task[] {
    return [...this.#tasks.values()];
  }

  /** The task as the plan has it by now; undefined when the plan deletes it. */
  task(id: TaskId): Task | undefined {
    return this.#tasks.get(id);
  }

  /** Does something for one run of a job: slots are those of this run meanwhile. */
  ofRun(run: number | undefined, work: () => void): void {
    this.#run = run;
    this.#slots = undefined;
    work();
    this.#run = undefined;
    this.#slots = undefined;
  }

  /** Tasks by slot, without standbys and without those that are to be forgotten and have stopped. */
  slots(): ReadonlyMap<number, readonly Task[]> {
    this.#slots ??= this.#drawSlots();
    return this.#slots;
  }

  #drawSlots(): Map<number, Task[]> {
    const slots = new Map<number, Task[]>();
    for (const task of this.#tasks.values()) {
      if (task.slot === STANDBY_SLOT) continue;
      if (task.desiredState === 'remove' && isOver(task)) continue;
      // Who is on the way out of a slot is in the way of every run.
      const isOfRun = this.#run === undefined || task.jobIteration === this.#run;
      if (!isOfRun && task.desiredState !== 'remove') continue;
      const slot = slots.get(task.slot);
      if (slot === undefined) slots.set(task.slot, [task]);
      else slot.push(task);
    }
    return slots;
  }

  /** What the plan has changed so far. */
  changes(): { before: Task | undefined; after: Task | undefined }[] {
    const changes: { before: Task | undefined; after: Task | undefined }[] = [];
    for (const [id, before] of this.#before) {
      const after = this.#tasks.get(id);
      if (after !== before) changes.push({ before, after });
    }
    for (const [id, after] of this.#tasks) {
      if (!this.#before.has(id)) changes.push({ before: undefined, after });
    }
    return changes;
  }

  nextId(): string {
    return this.#context.ids.next();
  }

  add(task: Task): void {
    this.#set(task);
    this.#because.push(...task.because);
  }

  /** Replaces fields of a task. With a reason, the task and the plan remember it. */
  change(task: Task, fields: Partial<Task>, why?: Reason): Task {
    const because = why === undefined ? task.because : remember(task.because, why);
    const after: Task = { ...task, ...fields, because };
    this.#set(after);
    if (why !== undefined) this.#because.push(why);
    return after;
  }

  /** Writes a task of another service, which is that service's to act on. */
  changeOther(task: Task, fields: Pick<Task, 'preemptedBy'>): void {
    this.#others.set(task.id, { ...task, ...fields });
  }

  isOtherChanged(id: TaskId): boolean {
    return this.#others.has(id);
  }

  /** Asks a task to stop. */
  stop(task: Task, code: ReasonCode, message: string): void {
    if (!isWanted(task) || this.dropIfNew(task)) return;
    this.change(task, { desiredState: 'shutdown' }, this.reason(code, message));
  }

  /** A task made by this very plan goes as if it had never been thought of. */
  dropIfNew(task: Task): boolean {
    return !this.#before.has(task.id) && this.#remove(task);
  }

  delete(task: Task, why: Reason): void {
    this.#remove(task);
    this.#because.push(why);
  }

  #set(task: Task): void {
    this.#tasks.set(task.id, task);
    this.#slots = undefined;
  }

  #remove(task: Task): boolean {
    this.#slots = undefined;
    return this.#tasks.delete(task.id);
  }

  setService(service: Service, why?: Reason): void {
    this.#service =
      why === undefined ? service : { ...service, because: remember(service.because, why) };
    if (why !== undefined) this.#because.push(why);
  }

  get service(): Service | undefined {
    return this.#service;
  }

  reason(code: ReasonCode, message: string, more: ReasonData = {}): Reason {
    return reason(code, message, { at: this.now, ...more });
  }

  /** The plan is to be made again at this time (milliseconds since the epoch). */
  askAgainAt(time: number): void {
    this.#dueAt = Math.min(time, this.#dueAt ?? time);
  }

  /** As `askAgainAt`, and says what for. */
  waitUntil(until: number, wait: Omit<TimedWait, 'until'>): void {
    this.#waits.push({ ...wait, until });
    this.askAgainAt(until);
  }

  toPlan(): Plan {
    const ops: Change[] = [];
    for (const { before, after } of this.changes()) {
      if (after !== undefined) ops.push({ kind: 'put', table: 'task', object: after });
      else if (before !== undefined) ops.push({ kind: 'delete', table: 'task', id: before.id });
    }
    for (const other of this.#others.values()) {
      ops.push({ kind: 'put', table: 'task', object: other });
    }
    if (this.#service !== undefined && this.#service !== this.#serviceBefore) {
      ops.push({ kind: 'put', table: 'service', object: this.#service });
    }
    return {
      ops,
      because: this.#because,
      waits: this.#waits.toSorted((a, b) => a.until - b.until),
      ...(this.#dueAt === undefined ? {} : { requeueAfterMs: Math.max(0, this.#dueAt - this.now) }),
    };
  }
}
