/**
 * The tasks of this node: one runner each, kept in step with the assignment. Remembers assignment
 * and statuses on disk before acting on them, so that a restarted agent goes on where it was.
 */
import { errorMessage, Scope, Slots } from '@swarmd/base';
import type { AssignmentSet, Task, TaskId, TaskStatus } from '@swarmd/model';

import type { AgentState } from './disk/agent-state.ts';
import { LEFTOVER_GRACE_MS, PREPARE_CONCURRENCY } from './limits.ts';
import { Notice } from './notice.ts';
import type { ContainerPhase } from './ports.ts';
import { isBehind, type StatusReporter } from './status-reporter.ts';
import { TaskRunner, type RunnerDeps } from './task/runner.ts';

export interface WorkerDeps extends Omit<
  RunnerDeps,
  'assignment' | 'slot' | 'onStatus' | 'onForgotten'
> {
  readonly state: AgentState;
  readonly reporter: StatusReporter;
}

export class Worker implements AsyncDisposable {
  readonly #deps: WorkerDeps;
  readonly #runnerDeps: RunnerDeps;
  readonly #scope: Scope;
  readonly #runners = new Map<TaskId, TaskRunner>();
  readonly #statuses = new Map<TaskId, TaskStatus>();
  readonly #forgottenOne = new Notice();
  #assignment: AssignmentSet = { tasks: [], secrets: [], configs: [] };

  constructor(deps: WorkerDeps) {
    this.#deps = deps;
    const slots = new Slots(PREPARE_CONCURRENCY);
    this.#runnerDeps = {
      ...deps,
      assignment: () => this.#assignment,
      slot: (signal, fn) => slots.run(signal, fn),
      onStatus: (task, status) => this.#statusChanged(task, status),
      onForgotten: (task) => this.#forgotten(task),
    };
    this.#scope = new Scope((name, error) =>
      deps.logger.error({ name, error: errorMessage(error) }, 'work of the agent failed'),
    );
    this.#scope.defer(async () => {
      const runners = [...this.#runners.values()];
      await Promise.all(runners.map((runner) => runner[Symbol.asyncDispose]()));
    });
  }

  get assignment(): AssignmentSet {
    return this.#assignment;
  }

  runner(taskId: TaskId): TaskRunner | undefined {
    return this.#runners.get(taskId);
  }

  /** Goes on where an earlier life of the agent stopped; what belongs to no task is removed. */
  async restore(signal: AbortSignal): Promise<void> {
    const { state, executor, plane, logger } = this.#deps;
    this.#assignment = await state.loadAssignment();
    const statuses = await state.loadStatuses();
    const containers = await executor.restore(signal);
    for (const task of this.#assignment.tasks) {
      const status = statuses[task.id] ?? task.status;
      this.#statuses.set(task.id, status);
      this.#deps.reporter.report(task.id, status);
      this.#startRunner(task, status).found(containers.get(task.id) ?? 'absent');
    }
    const attached = await plane.attached(signal);
    const known = new Set<string>(this.#runners.keys());
    const found = [...new Set([...containers.keys(), ...attached])];
    const leftovers = found.filter((id) => !known.has(id));
    logger.info(
      { tasks: known.size, containers: containers.size, leftovers: leftovers.length },
      'state of this node restored',
    );
    for (const id of leftovers) this.#removeLeftover(id as TaskId, containers.get(id));
  }

  /** Keeps runners in step with a new assignment; resolves once they have heard of it. */
  async assign(assignment: AssignmentSet): Promise<void> {
    this.#assignment = assignment;
    this.#startPrepared(assignment);
    await this.#deps.state.saveAssignment(assignment);
    if (this.#assignment !== assignment || this.#scope.signal.aborted) return; // A newer one is on its way.
    const assigned = new Set<TaskId>();
    for (const task of assignment.tasks) {
      assigned.add(task.id);
      if (this.#runners.get(task.id)?.life.task !== task) this.#want(task);
    }
    for (const [id, runner] of this.#runners) {
      if (assigned.has(id) || runner.life.wish === 'gone') continue;
      this.#deps.reporter.forget(id);
      runner.unassign();
    }
  }

  /**
   * Standbys do not wait for the disk: it knows their containers already, and a later life that finds one
   * running adopts it, whatever the wish on the disk was.
   */
  #startPrepared({ tasks }: AssignmentSet): void {
    for (const task of tasks) {
      if (task.desiredState !== 'running') continue;
      if (this.#runners.get(task.id)?.life.phase === 'ready') this.#want(task);
    }
  }

  /** Ends and removes every task; resolves when nothing is left. */
  async drain(signal: AbortSignal): Promise<void> {
    await this.assign({ tasks: [], secrets: [], configs: [] });
    while (this.#runners.size > 0) await this.#forgottenOne.wait(signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope[Symbol.asyncDispose]();
  }

  #want(task: Task): void {
    const status = this.#statuses.get(task.id);
    if (status !== undefined && isBehind(task, status)) this.#deps.reporter.report(task.id, status);
    const runner = this.#runners.get(task.id) ?? this.#startRunner(task, status ?? task.status);
    runner.want(task);
  }

  #startRunner(task: Task, status: TaskStatus): TaskRunner {
    const runner = new TaskRunner(task, status, this.#runnerDeps);
    this.#runners.set(task.id, runner);
    return runner;
  }

  #statusChanged(task: Task, status: TaskStatus): void {
    this.#statuses.set(task.id, status);
    this.#deps.reporter.report(task.id, status);
    this.#saveStatuses();
  }

  #forgotten(task: Task): void {
    const runner = this.#runners.get(task.id);
    this.#runners.delete(task.id);
    this.#statuses.delete(task.id);
    this.#forgottenOne.notify();
    this.#saveStatuses();
    if (runner !== undefined) {
      this.#scope.spawn('end-runner', () => runner[Symbol.asyncDispose]());
    }
  }

  #saveStatuses(): void {
    this.#scope.spawn('save-statuses', () => this.#deps.state.saveStatuses(() => this.#statuses));
  }

  #removeLeftover(id: TaskId, container: ContainerPhase | undefined): void {
    const { executor, plane, logger } = this.#deps;
    this.#scope.spawn('remove-leftover', async (signal) => {
      logger.info({ task: id, container }, 'removing what no task of this node owns');
      if (container === 'running') await executor.stop(id, { graceMs: LEFTOVER_GRACE_MS, signal });
      if (container !== undefined) await executor.remove(id, signal);
      await plane.detach(id, signal);
    });
  }
}
