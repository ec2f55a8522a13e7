/**
 * Keeps every service as its spec says: plans a service whenever something it depends on was
 * committed, and again when its plan asks for it. The key is the service's id.
 *
 * Besides its own objects a service depends on nodes (those its tasks run on; all, while tasks of it
 * wait for a node) and on what others release (capacity, ports, addresses) while tasks wait.
 */
import {
  ControlLoop,
  errorMessage,
  unreachable,
  type Clock,
  type Ids,
  type Logger,
  type Random,
} from '@swarmd/base';
import {
  asId,
  isTerminal,
  waitsForNode,
  type NodeId,
  type ServiceId,
  type Task,
} from '@swarmd/model';
import {
  followsNodes,
  isProgress,
  isQuiet,
  planService,
  type Plan,
  type PlanContext,
} from '@swarmd/planner';
import {
  writeChanges,
  type ChangedObject,
  type Commit,
  type Store,
  type Transaction,
} from '@swarmd/store';

import {
  CONTROL_PLAN_TASKS_MAX,
  PLANNED_WITH_ENDS_MAX,
  PLANNED_WITH_PAUSE_MS,
  SERVICE_LOOP_CONCURRENCY,
  SERVICE_LOOP_DEBOUNCE_MS,
  SERVICE_LOOP_REQUEUE_MAX_MS,
  WAITING_GATHER_MS,
  WAITING_MANY_TASKS,
} from '../limits.ts';
import { sameValue } from '../same-value.ts';

export interface LoopOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
  readonly logger: Logger;
}

export class ServiceLoop implements AsyncDisposable {
  readonly #options: LoopOptions;
  readonly #loop: ControlLoop;
  readonly #subscription: Disposable;
  #plannedWithAt = Number.NEGATIVE_INFINITY;
  /** Services to whose plan progress of their tasks makes no difference: a cache like the next. */
  readonly #quiet = new Set<string>();
  /** Services with a task that waits for a node: a cache, rebuilt by the resync at start. */
  readonly #waiting = new Map<string, Waiting>();
  /** Of these, the services that wait for a task of another service to come to a node. */
  readonly #lonely = new Set<string>();
  /** Services that every node concerns: a cache as well. */
  readonly #following = new Set<string>();

  constructor(options: LoopOptions) {
    this.#options = options;
    this.#loop = new ControlLoop(
      {
        name: 'service',
        clock: options.clock,
        random: options.random,
        logger: options.logger,
        concurrency: SERVICE_LOOP_CONCURRENCY,
        debounceMs: SERVICE_LOOP_DEBOUNCE_MS,
      },
      (key, signal) => this.#plan(key, signal),
    );
    this.#subscription = options.store.subscribe((commit) => this.#onCommit(commit));
    this.#resync();
  }

  /**
   * Plans services in the transaction that writes the ends of their tasks: an end and what replaces it are one
   * commit then, and who waits for a replacement waits once. Many ends, and ends that follow each other closely,
   * are left to the loop, which looks at these services after the commit in any case.
   */
  planWith(tx: Transaction, ends: ReadonlySet<ServiceId>): void {
    const { clock, ids, logger } = this.#options;
    const pauseMs = clock.monotonic() - this.#plannedWithAt;
    if (ends.size > PLANNED_WITH_ENDS_MAX || pauseMs < PLANNED_WITH_PAUSE_MS) return;
    this.#plannedWithAt = clock.monotonic();
    const context = { now: clock.now(), ids, tasksMax: CONTROL_PLAN_TASKS_MAX };
    for (const id of ends) {
      const plan = planOrError(tx, id, context);
      // The loop meets the same error, tells it and tries again. It must not keep statuses of others out.
      if (plan instanceof Error)
        logger.debug({ service: id, error: plan.message }, 'not planned with an end');
      // Who follows commits is to see how a task ended before it is forgotten: what is deleted is the loop's.
      else
        writeChanges(
          tx,
          plan.ops.filter(({ kind }) => kind === 'put'),
        );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    await this.#loop[Symbol.asyncDispose]();
  }

  /** Everything that is there, also tasks whose service went away under an earlier leader. */
  #resync(): void {
    const { view } = this.#options.store;
    for (const service of view.list('service')) this.#loop.enqueue(service.id);
    for (const task of view.list('task')) {
      if (view.get('service', task.serviceId) === undefined) this.#loop.enqueue(task.serviceId);
    }
  }

  async #plan(key: string, signal: AbortSignal): Promise<{ requeueAfterMs?: number } | undefined> {
    const { store, clock, ids } = this.#options;
    const serviceId = asId('service', key);
    const plan = await store.update(
      (tx) => {
        const planned = planService(tx, serviceId, { now: clock.now(), ids });
        writeChanges(tx, planned.ops);
        return planned;
      },
      signal,
      { isPatient: true },
    );
    this.#noteWaiting(key);
    if (plan.requeueAfterMs === undefined && isQuiet(store.view, serviceId)) this.#quiet.add(key);
    else this.#quiet.delete(key);
    const { requeueAfterMs } = plan;
    if (requeueAfterMs === undefined) return undefined;
    return { requeueAfterMs: Math.min(requeueAfterMs, SERVICE_LOOP_REQUEUE_MAX_MS) };
  }

  #noteWaiting(key: string): void {
    const service = this.#options.store.view.get('service', asId('service', key));
    if (service !== undefined && followsNodes(this.#options.store.view, service))
      this.#following.add(key);
    else this.#following.delete(key);
    const waiting = waitingOf(this.#options.store.view.tasksByService(asId('service', key)));
    if (waiting === undefined) this.#waiting.delete(key);
    else this.#waiting.set(key, waiting);
    if (waiting?.isLonely === true) this.#lonely.add(key);
    else this.#lonely.delete(key);
  }

  #onCommit(commit: Commit): void {
    let released = false;
    for (const change of commit.changes) {
      switch (change.table) {
        case 'service':
          this.#quiet.delete((change.after ?? change.before)?.id ?? '');
          this.#loop.enqueue((change.after ?? change.before)?.id ?? '');
          released ||= change.after === undefined;
          break;
        case 'task':
          this.#onTask(change);
          released ||= releases(change);
          if (isPlaced(change)) for (const key of this.#lonely) this.#loop.enqueue(key);
          break;
        case 'node':
          this.#onNode(change);
          break;
        case 'network':
          released = true;
          break;
        case 'cluster':
          if (!sameValue(change.before?.spec.rebalance, change.after?.spec.rebalance)) {
            this.#resync();
          }
          break;
        case 'config':
        case 'secret':
          break;
        default:
          unreachable(change);
      }
    }
    if (released) this.#wakeWaiting(({ forRelease }) => forRelease);
  }

  #onTask({ before, after }: ChangedObject<'task'>): void {
    const key = (after ?? before)?.serviceId ?? '';
    if (this.#quiet.has(key) && isProgress(before, after)) return;
    this.#quiet.delete(key);
    this.#loop.enqueue(key);
  }

  #onNode(change: ChangedObject<'node'>): void {
    if (!concernsPlacement(change)) return;
    const id: NodeId | undefined = (change.after ?? change.before)?.id;
    if (id === undefined) return;
    for (const task of this.#options.store.view.tasksByNode(id)) {
      this.#loop.enqueue(task.serviceId);
    }
    for (const key of this.#following) this.#loop.enqueue(key);
    this.#wakeWaiting();
  }

  #wakeWaiting(isHelped: (waiting: Waiting) => boolean = () => true): void {
    for (const [key, waiting] of this.#waiting) {
      if (!isHelped(waiting)) continue;
      if (waiting.tasks < WAITING_MANY_TASKS) this.#loop.enqueue(key);
      else this.#loop.enqueueAfter(key, WAITING_GATHER_MS);
    }
  }
}

function isPlaced({ before, after }: ChangedObject<'task'>): boolean {
  return before?.nodeId === undefined && after?.nodeId !== undefined;
}

/** What is to be known of a service whose tasks wait for a node. */
interface Waiting {
  /** How many wait. */
  readonly tasks: number;
  /** What a task of others holds may be what they wait for. */
  readonly forRelease: boolean;
  /** They want to be near to another service, or far from it. */
  readonly isLonely: boolean;
}

/** Undefined when no task waits. */
function waitingOf(tasks: Iterable<Task>): Waiting | undefined {
  let count = 0;
  let forRelease = false;
  let isLonely = false;
  for (const task of tasks) {
    if (!waitsForNode(task)) continue;
    count += 1;
    forRelease ||= mayHelpRelease(task);
    isLonely ||= task.spec.placement.affinities.length > 0;
  }
  return count === 0 ? undefined : { tasks: count, forRelease, isLonely };
}

/** Lacks that only the node itself, or its user, can mend. */
const OF_NODES: ReadonlySet<string> = new Set([
  'not ready',
  'paused',
  'drained',
  'placement constraints not met',
  'unsupported platform',
]);

function mayHelpRelease({ because }: Task): boolean {
  const refusals = because.at(-1)?.placement?.refusals;
  return refusals === undefined || !refusals.every(({ filter }) => OF_NODES.has(filter));
}

/**
 * A task that ended or vanished gives its node's resources, its ports and addresses back; one that goes on may
 * bear others, or be less important, than before.
 */
function releases({ before, after }: ChangedObject<'task'>): boolean {
  if (before === undefined || isTerminal(before.status.state)) return false;
  if (after === undefined || isTerminal(after.status.state)) return true;
  const [was, is] = [before.spec.placement, after.spec.placement];
  return was !== is && !sameValue(was, is);
}

function concernsPlacement({ before, after }: ChangedObject<'node'>): boolean {
  if (before === undefined || after === undefined) return true;
  return (
    before.status.state !== after.status.state ||
    before.index !== after.index ||
    before.status.address !== after.status.address ||
    before.status.heldUntil !== after.status.heldUntil ||
    !sameValue(before.spec, after.spec) ||
    !sameValue(before.description, after.description)
  );
}

function planOrError(view: Transaction, id: ServiceId, context: PlanContext): Plan | Error {
  try {
    return planService(view, id, context);
  } catch (error) {
    return new Error(errorMessage(error));
  }
}
