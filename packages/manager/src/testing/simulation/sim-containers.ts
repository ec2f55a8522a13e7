/**
 * What runs on a machine of the simulation, and what its agent would report: the life of a task by
 * the book, with an outcome that its image's name gives away.
 */
import type { Clock, Timer } from '@swarmd/base';
import {
  isTerminal,
  rank,
  type Task,
  type TaskId,
  type TaskState,
  type TaskStatus,
} from '@swarmd/model';

import type { Dice } from '@swarmd/base/testing';

interface Life {
  task: Task;
  status: TaskStatus;
  timer: Timer | undefined;
  isStopping: boolean;
}

export interface ContainersOptions {
  readonly clock: Clock;
  readonly dice: Dice;
  /** Called with every new status. */
  readonly report: (taskId: TaskId, status: TaskStatus) => void;
}

const PREPARE_MS: readonly [number, number] = [20, 900];
const PREPARE_SLOW_MS: readonly [number, number] = [4_000, 20_000];
const START_MS: readonly [number, number] = [5, 200];
const CRASH_AFTER_MS: readonly [number, number] = [10, 4_000];
const WORK_MS: readonly [number, number] = [10, 5_000];
const STOP_MS: readonly [number, number] = [5, 600];
const STOP_SLOW_MS: readonly [number, number] = [3_000, 10_000];

export class SimContainers {
  readonly #options: ContainersOptions;
  readonly #lives = new Map<TaskId, Life>();

  constructor(options: ContainersOptions) {
    this.#options = options;
  }

  /** Newest status of every task it knows. */
  *statuses(): Iterable<[TaskId, TaskStatus]> {
    for (const [id, life] of this.#lives) yield [id, life.status];
  }

  stateOf(id: TaskId): TaskState | undefined {
    return this.#lives.get(id)?.status.state;
  }

  /** Tasks whose container exists and was started. */
  running(): TaskId[] {
    return [...this.#lives].filter(([, life]) => isUp(life)).map(([id]) => id);
  }

  want(task: Task): void {
    const life = this.#lives.get(task.id);
    if (life === undefined) this.#lives.set(task.id, this.#born(task));
    else life.task = task;
    this.#pursue(task.id);
  }

  /** No longer assigned: whatever is left of it goes, unreported. */
  forget(id: TaskId): void {
    this.#lives.get(id)?.timer?.cancel();
    this.#lives.delete(id);
  }

  /** A container ends by itself. */
  fail(id: TaskId): void {
    const life = this.#lives.get(id);
    if (life !== undefined && isUp(life)) this.#move(life, 'failed', 'task: exit code 137');
  }

  /** Power is lost: nothing runs any more, and nobody is told yet. */
  powerOff(): void {
    for (const life of this.#lives.values()) life.timer?.cancel();
  }

  powerOn(): void {
    for (const [id, life] of this.#lives) {
      life.timer = undefined;
      if (isUp(life)) this.#move(life, 'failed', 'the machine was restarted');
      this.#pursue(id);
    }
  }

  #born(task: Task): Life {
    const status = { ...task.status, state: 'assigned', timestamp: this.#now() } as const;
    return { task, status, timer: undefined, isStopping: false };
  }

  #pursue(id: TaskId): void {
    const life = this.#lives.get(id);
    if (life === undefined || isTerminal(life.status.state)) return;
    if (!isWanted(life.task)) this.#stop(life);
    else if (life.timer === undefined) this.#proceed(life);
    this.#confirmLimits(life);
  }

  /** The kernel takes them at once. */
  #confirmLimits(life: Life): void {
    const { limitsChanged } = life.task;
    const { state, limitsApplied } = life.status;
    if (limitsChanged === undefined || state !== 'running' || limitsApplied === limitsChanged)
      return;
    life.status = { ...life.status, limitsApplied: limitsChanged };
    this.#options.report(life.task.id, life.status);
  }

  #proceed(life: Life): void {
    const { dice } = this.#options;
    const { image } = life.task.spec.container;
    const { state } = life.status;
    if (state === 'assigned') this.#move(life, 'accepted');
    if (state === 'assigned' || state === 'accepted' || state === 'preparing') {
      this.#move(life, 'preparing');
      const range = image.startsWith('slow') ? PREPARE_SLOW_MS : PREPARE_MS;
      this.#later(life, dice.between(...range), () => {
        if (image.startsWith('broken')) this.#move(life, 'rejected', 'no such image');
        else this.#move(life, 'ready');
      });
    } else if (state === 'ready' && life.task.desiredState !== 'ready') {
      this.#move(life, 'starting');
      this.#proceed(life);
    } else if (state === 'starting') {
      this.#later(life, dice.between(...START_MS), () => this.#move(life, 'running'));
    } else if (state === 'running') this.#goOn(life);
  }

  /** Some crash, jobs end, the others go on until they are told to stop. */
  #goOn(life: Life): void {
    const { dice } = this.#options;
    if (life.task.spec.container.image.startsWith('crash')) {
      const ms = dice.between(...CRASH_AFTER_MS);
      this.#later(life, ms, () => this.#move(life, 'failed', 'task: exit code 1'));
    } else if (life.task.desiredState === 'complete') {
      this.#later(life, dice.between(...WORK_MS), () => this.#move(life, 'complete'));
    }
  }

  #stop(life: Life): void {
    const { dice } = this.#options;
    if (!isUp(life)) {
      life.timer?.cancel();
      this.#move(life, 'shutdown');
      return;
    }
    if (life.isStopping) return;
    life.isStopping = true;
    life.timer?.cancel();
    const range = life.task.spec.container.image.endsWith('stubborn') ? STOP_SLOW_MS : STOP_MS;
    this.#later(life, dice.between(...range), () => this.#move(life, 'shutdown'));
  }

  #later(life: Life, ms: number, fn: () => void): void {
    life.timer = this.#options.clock.after(ms, () => {
      life.timer = undefined;
      fn();
      this.#pursue(life.task.id);
    });
  }

  #move(life: Life, state: TaskState, error = ''): void {
    if (life.status.state === state) return;
    const { limitsApplied } = life.status;
    life.status = {
      state,
      timestamp: this.#now(),
      message: state,
      error,
      ...(limitsApplied === undefined ? {} : { limitsApplied }),
    };
    this.#options.report(life.task.id, life.status);
  }

  #now(): number {
    return this.#options.clock.now();
  }
}

function isUp({ status }: Life): boolean {
  return status.state === 'starting' || status.state === 'running';
}

function isWanted(task: Task): boolean {
  return rank(task.desiredState) <= rank('complete');
}
