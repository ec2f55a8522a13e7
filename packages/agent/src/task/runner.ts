/**
 * One task on this node: feeds what is seen into `step`, has its effects carried out, reports the
 * status. Nothing here moves a state. Disposing a runner (the agent stops) leaves the container alone.
 */
import {
  errorMessage,
  Scope,
  SwarmError,
  unreachable,
  type Random,
  type Timer,
} from '@swarmd/base';
import type { HealthReport, Task, TaskStatus } from '@swarmd/model';

import { Notice } from '../notice.ts';
import type { ContainerPhase } from '../ports.ts';
import { TaskEffects, type EffectDeps, type LongEffect } from './effects.ts';
import { newLife, type Effect, type Observation, type TaskLife } from './life.ts';
import { hasContainer, step } from './step.ts';

export interface RunnerDeps extends EffectDeps {
  readonly onStatus: (task: Task, status: TaskStatus) => void;
  /** Nothing is left of the task. */
  readonly onForgotten: (task: Task) => void;
  readonly random: Random;
}

export class TaskRunner implements AsyncDisposable {
  readonly #deps: RunnerDeps;
  readonly #scope: Scope;
  readonly #effects: TaskEffects;
  readonly #changed = new Notice();
  #life: TaskLife;
  /** Cuts the preparation off. */
  #preparing = new AbortController();
  /** Cuts off what only makes sense while the container runs. */
  #running = new AbortController();
  #retry: Timer | undefined;

  /** `status` is the newest one this node knows, perhaps from an earlier life of the agent. */
  constructor(task: Task, status: TaskStatus, deps: RunnerDeps) {
    const logger = deps.logger.child({ task: task.id, service: task.serviceName });
    this.#deps = { ...deps, logger };
    this.#life = newLife(task, status);
    this.#effects = new TaskEffects(task, this.#deps, (seen) => this.#observe(seen));
    this.#scope = new Scope((name, error) =>
      logger.error({ effect: name, error: errorMessage(error) }, 'task effect failed'),
    );
  }

  get life(): TaskLife {
    return this.#life;
  }

  want(task: Task): void {
    this.#observe({ kind: 'wanted', task });
  }

  unassign(): void {
    this.#observe({ kind: 'unassigned' });
  }

  found(container: ContainerPhase | 'absent'): void {
    const healthcheck = this.#deps.executor.healthcheck(this.#life.task.id);
    const check = healthcheck === undefined ? {} : { healthcheck };
    this.#observe({ kind: 'found', container, ...check });
  }

  /** Undefined without a health check. */
  get health(): HealthReport | undefined {
    return this.#effects.health;
  }

  /** Resolves true once there is a container to read logs of, false if there never will be. */
  async container(signal: AbortSignal): Promise<boolean> {
    while (!hasContainer(this.#life.phase)) {
      if (this.#life.phase === 'removing' || this.#life.phase === 'clean') return false;
      await this.#changed.wait(signal);
    }
    return true;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#retry?.cancel();
    return this.#scope[Symbol.asyncDispose]();
  }

  #observe(observation: Observation): void {
    if (this.#scope.signal.aborted) return; // The agent stops: what was cut off says nothing.
    const before = this.#life;
    const { life, effects } = step(before, observation, this.#deps.clock.now());
    this.#life = life;
    if (life.phase !== 'running') this.#running.abort();
    if (life.phase !== before.phase) this.#retry?.cancel();
    if (life.status !== before.status) this.#report(life);
    this.#changed.notify();
    for (const effect of effects) this.#run(effect);
  }

  #report(life: TaskLife): void {
    const { state, error } = life.status;
    this.#deps.logger.info(error === '' ? { state } : { state, error }, 'task state');
    if (life.wish !== 'gone') this.#deps.onStatus(life.task, life.status);
  }

  #run(effect: Effect): void {
    switch (effect.kind) {
      case 'cancel':
        this.#preparing.abort(new SwarmError('cancelled', 'the task is not wanted any more'));
        return;
      case 'retry': {
        const spread = 0.75 + this.#deps.random.next() / 2;
        this.#retry = this.#deps.clock.after(effect.afterMs * spread, () =>
          this.#observe({ kind: 'retry-due' }),
        );
        return;
      }
      case 'forget':
        this.#deps.onForgotten(this.#life.task);
        return;
      case 'prepare':
        this.#preparing = new AbortController();
        return this.#spawn(effect, this.#preparing.signal);
      case 'check-health':
      case 'limit':
      case 'reattach':
        this.#running = this.#running.signal.aborted ? new AbortController() : this.#running;
        return this.#spawn(effect, this.#running.signal);
      case 'start':
      case 'watch':
      case 'stop':
      case 'detach':
      case 'remove':
        return this.#spawn(effect, undefined);
      default:
        return unreachable(effect);
    }
  }

  #spawn(effect: LongEffect, cut: AbortSignal | undefined): void {
    this.#scope.spawn(effect.kind, async (stop) => {
      const signal = cut === undefined ? stop : AbortSignal.any([stop, cut]);
      const answer = await this.#effects.perform(effect, signal).catch((error: unknown) => {
        if (cut?.aborted === true) return undefined;
        throw error;
      });
      if (answer !== undefined) this.#observe(answer);
    });
  }
}
