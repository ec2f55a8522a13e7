/**
 * Sees every entry at the moment it is committed, and says when a promise of the orchestrator is
 * broken. It looks only at what a commit touched, so that thousands of nodes stay affordable.
 */
import type { Clock } from '@swarmd/base';
import {
  isGlobal,
  rank,
  STANDBY_SLOT,
  type NodeId,
  type Service,
  type ServiceId,
  type Task,
  type TaskId,
  type TaskStatus,
  wantedReplicas,
} from '@swarmd/model';
import type { StateMachine } from '@swarmd/raft';
import { createStore, type ChangedObject, type Commit, type ReadView } from '@swarmd/store';

import { Replication } from '../../replication/replication.ts';
import { AddressRegister } from './address-register.ts';
import { PolicyJudge, type Wish } from './policy-judge.ts';
import {
  isOver,
  isToldToRun,
  maxInFlight,
  mayStartFirst,
  nodeOverload,
  presentSlots,
  seatOf,
  STOP_PATIENCE_MS,
} from './rules.ts';

/** Clocks of managers differ; a wait may look that much shorter or longer. */
const SKEW_MS = 2_000;

export interface JudgeOptions {
  readonly clock: Clock;
  readonly broken: (rule: string, message: string) => void;
  readonly trace: (line: string) => void;
}

export class Judge {
  readonly machine: StateMachine;
  readonly view: ReadView;
  readonly #options: JudgeOptions;
  readonly #addresses = new AddressRegister();
  readonly #policies: PolicyJudge;
  /** Services that had all their slots, by the version of their spec then. */
  readonly #complete = new Map<ServiceId, string>();
  readonly #removed = new Set<string>();
  /** Tasks of updates that were made for a slot in which something ran: there was something to lose. */
  readonly #risky = new Set<TaskId>();
  commits = 0;
  tasksMade = 0;

  constructor(options: JudgeOptions) {
    this.#options = options;
    const store = createStore({
      clock: options.clock,
      proposer: { propose: () => Promise.reject(new Error('the judge writes nothing')) },
    });
    this.view = store.view;
    this.#policies = new PolicyJudge({ ...options, view: store.view });
    this.machine = new Replication(store).machine;
    store.subscribe((commit) => this.#onCommit(commit));
  }

  /** A user is about to ask for it. */
  userWill(wish: Wish, id: ServiceId): void {
    this.#policies.userWill(wish, id);
  }

  /** A status that a manager acknowledged must be known, or of no more interest. */
  acknowledged(nodeId: NodeId, taskId: TaskId, status: TaskStatus): void {
    const task = this.view.get('task', taskId);
    if (task === undefined || task.nodeId !== nodeId) return;
    if (rank(task.status.state) >= rank(status.state)) return;
    this.#options.broken(
      'acknowledged',
      `task ${taskId} is ${task.status.state}, but "${status.state}" was acknowledged`,
    );
  }

  /** A service that the control API answered must be there, or have been removed later. */
  answered(service: Service): void {
    const stored = this.view.get('service', service.id);
    if (this.#removed.has(service.id)) return;
    if (stored !== undefined && stored.meta.version >= service.meta.version) return;
    this.#options.broken('answered', `service ${service.id} was answered and is not stored`);
  }

  #onCommit(commit: Commit): void {
    this.commits += 1;
    for (const change of commit.changes) this.#options.trace(describeChange(commit, change));
    const services = new Set<ServiceId>();
    const nodes = new Set<NodeId>();
    const unsteady = new Set<string>();
    for (const change of commit.changes) {
      if (change.table === 'task') this.#noteRisk(change);
      if (change.table !== 'node') continue;
      unsteady.add((change.after ?? change.before)?.id ?? '');
      this.#noteClosed(change);
    }
    for (const change of commit.changes) {
      if (change.table === 'service') this.#onService(change, services);
      if (change.table !== 'task') continue;
      const { before, after } = change;
      if (before === undefined) this.tasksMade += 1;
      services.add((after ?? before)?.serviceId as ServiceId);
      if (after?.nodeId !== undefined) nodes.add(after.nodeId);
      this.#forward(change);
      if (before !== undefined && after === undefined) this.#forgotten(before, unsteady);
    }
    const clash = this.#addresses.apply(commit);
    if (clash !== undefined) this.#options.broken('addresses', clash);
    for (const change of commit.changes) {
      if (change.table === 'task') this.#started(change, unsteady);
    }
    this.#policies.onCommit(commit, unsteady);
    for (const id of services) this.#service(id);
    for (const id of nodes) {
      const overload = nodeOverload(this.view, id);
      if (overload !== undefined) this.#options.broken('resources', overload);
    }
  }

  #noteRisk({ before, after }: ChangedObject<'task'>): void {
    // Also one that was only given other limits, of a slot that an earlier update had begun with.
    if (after === undefined || before?.specVersion !== after.specVersion) {
      this.#risky.delete((after ?? before)?.id as TaskId);
    }
    if (before !== undefined || after?.because[0]?.code !== 'update') return;
    for (const task of this.view.tasksByService(after.serviceId)) {
      const served = task.status.state === 'running' && task.desiredState !== 'remove';
      if (task.slot === after.slot && served) this.#risky.add(after.id);
    }
  }

  /** An update of a global service goes on without nodes that take no tasks, and with them once they do. */
  #noteClosed({ before, after }: ChangedObject<'node'>): void {
    const isOpen = after?.status.state === 'ready' && after.spec.availability === 'active';
    const id = (after ?? before)?.id;
    if (isOpen || id === undefined) return;
    for (const task of this.view.tasksByNode(id)) {
      const service = this.view.get('service', task.serviceId);
      if (service !== undefined && isGlobal(service.spec.mode)) this.#risky.delete(task.id);
    }
  }

  #onService({ before, after }: ChangedObject<'service'>, touched: Set<ServiceId>): void {
    const id = (after ?? before)?.id;
    if (id === undefined) return;
    touched.add(id);
    if (after === undefined) this.#removed.add(id);
  }

  #forward({ before, after }: ChangedObject<'task'>): void {
    if (before === undefined || after === undefined) return;
    const isForward =
      rank(after.status.state) >= rank(before.status.state) &&
      rank(after.desiredState) >= rank(before.desiredState) &&
      (before.nodeId === undefined || before.nodeId === after.nodeId);
    if (!isForward) this.#options.broken('forward', `task ${after.id} went back`);
  }

  /** A task is forgotten only when nothing of it runs, or nobody can know. */
  #forgotten(task: Task, unsteady: ReadonlySet<string>): void {
    if (task.nodeId === undefined || isOver(task)) return;
    if (!this.#isReachable(task) || unsteady.has(task.nodeId)) return;
    this.#options.broken('forgotten', `task ${task.id} was deleted while it may run`);
  }

  /** Who is told to run finds its slot empty, or has waited as long as it must. */
  #started({ before, after: task }: ChangedObject<'task'>, unsteady: ReadonlySet<string>): void {
    if (task === undefined || !isToldToRun(task) || isOver(task)) return;
    if (task.slot === STANDBY_SLOT) {
      this.#options.broken('standby', `standby ${task.id} is told to run without a slot`);
    }
    if (before !== undefined && isToldToRun(before)) return;
    const service = this.view.get('service', task.serviceId);
    if (service === undefined || mayStartFirst(service)) return;
    const patience = STOP_PATIENCE_MS + task.spec.container.stopGracePeriodMs - SKEW_MS;
    if (this.#options.clock.now() >= (task.startNotBefore ?? Infinity) + patience) return;
    for (const other of this.view.tasksByService(task.serviceId)) {
      if (seatOf(other) !== seatOf(task) || other.id === task.id || isOver(other)) continue;
      if (!this.#isReachable(other) || unsteady.has(other.nodeId ?? '')) continue;
      this.#options.broken(
        'one-per-slot',
        `task ${task.id} of ${service.spec.name}.${task.slot} starts while ${other.id} is ${other.status.state}`,
      );
    }
  }

  #isReachable(task: Task): boolean {
    if (task.nodeId === undefined) return true;
    const node = this.view.get('node', task.nodeId);
    return node !== undefined && node.status.state !== 'down';
  }

  #service(id: ServiceId): void {
    const service = this.view.get('service', id);
    if (service === undefined) {
      this.#complete.delete(id);
      return;
    }
    const tasks = [...this.view.tasksByService(id)];
    const flight = maxInFlight(
      service,
      tasks.filter((task) => this.#risky.has(task.id)),
    );
    if (flight !== undefined) this.#options.broken('parallelism', flight);
    this.#slots(service, tasks);
    if (!mayStartFirst(service)) this.#doubles(service, tasks);
  }

  /** A slot that exists is never lost, and none is made beyond what the spec wants. */
  #slots(service: Service, tasks: readonly Task[]): void {
    const { mode, name } = service.spec;
    const present = presentSlots(tasks).size;
    if (mode.kind === 'replicated-job' && present > mode.totalCompletions) {
      this.#options.broken('slots', `job ${name} has ${present} of ${mode.totalCompletions} slots`);
    }
    if (mode.kind !== 'replicated') return;
    // Autoscaling wants another number of the same spec.
    const wish = `${wantedReplicas(service)} of spec ${service.specVersion}`;
    if (present === wantedReplicas(service)) this.#complete.set(service.id, wish);
    else if (this.#complete.get(service.id) === wish) {
      this.#options.broken(
        'slots',
        `service ${name} had ${wantedReplicas(service)} slots and now has ${present}`,
      );
    }
  }

  #doubles(service: Service, tasks: readonly Task[]): void {
    const held = new Map<string, Task>();
    for (const task of tasks) {
      if (!isToldToRun(task) || isOver(task)) continue;
      if (!this.#isReachable(task)) continue;
      const other = held.get(seatOf(task));
      held.set(seatOf(task), task);
      if (other === undefined) continue;
      this.#options.broken(
        'one-per-slot',
        `tasks ${other.id} and ${task.id} of ${service.spec.name}.${task.slot} are both told to run`,
      );
    }
  }
}

function describeChange({ version }: Commit, change: Commit['changes'][number]): string {
  const { table, before, after } = change;
  const object = after ?? before;
  const head = `#${version} ${table} ${object?.id}`;
  if (object === undefined || after === undefined) return `${head} gone`;
  if (change.table === 'task' && change.after !== undefined) {
    const { serviceName, slot, status, desiredState, nodeId, specVersion } = change.after;
    const why = change.after.because.at(-1)?.code ?? '';
    return `${head} ${serviceName}.${slot} spec ${specVersion} ${status.state} (${desiredState}) on ${nodeId} ${why} ${status.error}`;
  }
  if (change.table === 'service' && change.after !== undefined) {
    const { spec, specVersion, updateStatus } = change.after;
    return `${head} ${spec.name} spec ${specVersion} ${updateStatus?.state} ${updateStatus?.message}`;
  }
  if (change.table === 'node' && change.after !== undefined) {
    return `${head} ${change.after.status.state} ${change.after.spec.availability}`;
  }
  return head;
}
