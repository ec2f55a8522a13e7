/**
 * Does what `step` decided: one method an effect, each with a deadline, each answering with what
 * came of it. Failures are answers, not exceptions.
 */
import {
  errorCode,
  errorMessage,
  every,
  sleep,
  SwarmError,
  unreachable,
  withDeadline,
  type Clock,
  type Logger,
} from '@swarmd/base';
import type {
  AssignmentSet,
  HealthReport,
  ResourceLimits,
  Task,
  TemplateNode,
} from '@swarmd/model';

import {
  ATTACH_TIMEOUT_MS,
  CLEANUP_RETRY_MS,
  LIMITS_TIMEOUT_MS,
  PREPARE_TIMEOUT_MS,
  PULL_PROGRESS_MS,
  PULL_TIMEOUT_MS,
  REMOVE_TIMEOUT_MS,
  START_TIMEOUT_MS,
  STOP_MARGIN_MS,
} from '../limits.ts';
import type { Executor, NetworkAttachment, NetworkPlane } from '../ports.ts';
import { HealthWatch } from './health.ts';
import type { Effect, Observation } from './life.ts';
import { pullMessage } from './pull-message.ts';
import { registryAuthOf } from './registry-auth.ts';
import type { TaskNetworks } from '../network-loop.ts';
import { containerRequest } from './request.ts';

export interface EffectDeps {
  readonly executor: Executor;
  readonly plane: NetworkPlane;
  readonly networks: TaskNetworks;
  /** The newest assignment, for secrets and configs. */
  readonly assignment: () => AssignmentSet;
  /** Bounds how many containers are made at the same time. */
  readonly slot: <T>(signal: AbortSignal, fn: () => Promise<T>) => Promise<T>;
  /** This machine, as templates name it. */
  readonly describe: () => Omit<TemplateNode, 'id'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Effects that take time; the others are the runner's own. */
export type LongEffect = Exclude<Effect, { kind: 'cancel' | 'retry' | 'forget' }>;

type Answer = Promise<Observation | undefined>;

export class TaskEffects {
  readonly #task: Task;
  readonly #deps: EffectDeps;
  readonly #observe: (observation: Observation) => void;
  #health: HealthWatch | undefined;

  /** `observe` is for what effects see before they end. */
  constructor(task: Task, deps: EffectDeps, observe: (observation: Observation) => void) {
    this.#task = task;
    this.#deps = deps;
    this.#observe = observe;
  }

  /** Undefined when the container has no health check, or does not run. */
  get health(): HealthReport | undefined {
    return this.#health?.report;
  }

  perform(effect: LongEffect, signal: AbortSignal): Answer {
    switch (effect.kind) {
      case 'prepare':
        return this.#prepare(effect.limits, signal);
      case 'start':
        return this.#start(signal);
      case 'watch':
        return this.#watch(signal);
      case 'reattach':
        return this.#reattach(signal);
      case 'check-health':
        return this.#checkHealth(effect, signal);
      case 'limit':
        return this.#limit(effect.limits, signal);
      case 'stop':
        return this.#stop(effect.graceMs, signal);
      case 'detach':
        return this.#detach(signal);
      case 'remove':
        return this.#remove(signal);
      default:
        return unreachable(effect);
    }
  }

  async #prepare(limits: ResourceLimits, signal: AbortSignal): Answer {
    const { executor, assignment, slot, networks } = this.#deps;
    const network = networks.newest();
    // From before the pull until the container exists no clean-up may take the image away.
    using _image = executor.images.hold(this.#task.spec.container.image);
    try {
      const attachment = await this.#attachAndPull(signal);
      const node = { id: this.#task.nodeId ?? '', ...this.#deps.describe() };
      const known = { node, assignment: assignment() };
      const request = { ...containerRequest(this.#task, attachment, known), limits };
      await slot(signal, () =>
        this.#within(
          { what: 'creating the container', timeoutMs: PREPARE_TIMEOUT_MS, signal },
          (signal) => executor.prepare(request, signal),
        ),
      );
      await networks.reached(network, signal);
      const healthcheck = executor.healthcheck(this.#task.id);
      return { kind: 'prepared', ...(healthcheck === undefined ? {} : { healthcheck }) };
    } catch (error) {
      return { kind: 'prepare-failed', error: errorMessage(error), temporary: isTemporary(error) };
    }
  }

  /** Both at once; when one fails the other is told to give up and waited for. */
  async #attachAndPull(signal: AbortSignal): Promise<NetworkAttachment> {
    const { image } = this.#task.spec.container;
    const giveUp = new AbortController();
    const both = AbortSignal.any([signal, giveUp.signal]);
    const attach = this.#attach(both);
    const pull = this.#pull(image, both);
    try {
      return (await Promise.all([attach, pull]))[0];
    } catch (error) {
      giveUp.abort(error);
      await Promise.allSettled([attach, pull]);
      throw error;
    }
  }

  /** A pull that takes its time says now and then how far it is. */
  async #pull(image: string, signal: AbortSignal): Promise<void> {
    const { executor, clock } = this.#deps;
    const auth = registryAuthOf(this.#task, this.#deps.assignment());
    using _progress = every(clock, PULL_PROGRESS_MS, () => {
      const message = pullMessage(executor.images.pullProgress(image));
      if (message !== undefined) this.#observe({ kind: 'pulling', message });
    });
    await this.#within({ what: `pulling ${image}`, timeoutMs: PULL_TIMEOUT_MS, signal }, (signal) =>
      executor.pull(image, signal, { auth }),
    );
  }

  async #attach(signal: AbortSignal): Promise<NetworkAttachment> {
    const { plane, networks } = this.#deps;
    await networks.ready(this.#task, signal);
    return this.#within(
      { what: 'attaching the network', timeoutMs: ATTACH_TIMEOUT_MS, signal },
      (signal) => plane.attach(this.#task, signal),
    );
  }

  async #start(signal: AbortSignal): Answer {
    try {
      const { pid } = await this.#within(
        { what: 'starting the container', timeoutMs: START_TIMEOUT_MS, signal },
        (signal) => this.#deps.executor.start(this.#task.id, signal),
      );
      return { kind: 'started', pid };
    } catch (error) {
      return { kind: 'start-failed', error: errorMessage(error) };
    }
  }

  async #watch(signal: AbortSignal): Answer {
    for (;;) {
      try {
        return { kind: 'exited', exit: await this.#deps.executor.wait(this.#task.id, signal) };
      } catch (error) {
        if (errorCode(error) === 'not-found') {
          const lost = 'the container is gone: someone removed it';
          return { kind: 'exited', exit: { code: 255, oomKilled: false, error: lost } };
        }
        await this.#pause('cannot watch the container', error, signal);
      }
    }
  }

  async #reattach(signal: AbortSignal): Answer {
    for (;;) {
      try {
        await this.#attach(signal);
        return undefined;
      } catch (error) {
        await this.#pause('cannot attach the running container again', error, signal);
      }
    }
  }

  async #checkHealth(
    { check, wasHealthy }: Extract<Effect, { kind: 'check-health' }>,
    signal: AbortSignal,
  ): Answer {
    const { executor, clock } = this.#deps;
    const { id } = this.#task;
    this.#health = new HealthWatch({
      check,
      wasHealthy,
      clock,
      exec: (request, signal) => executor.exec(id, request, signal),
      isPaused: () => executor.workbench.isPaused(id),
      onHealthy: () => this.#observe({ kind: 'healthy' }),
    });
    return { kind: 'unhealthy', error: await this.#health.run(signal) };
  }

  async #limit(limits: ResourceLimits, signal: AbortSignal): Answer {
    const what = 'changing the limits of the container';
    try {
      await this.#within({ what, timeoutMs: LIMITS_TIMEOUT_MS, signal }, () =>
        this.#deps.executor.update(this.#task.id, limits),
      );
      return { kind: 'limited', limits };
    } catch (error) {
      if (signal.aborted) throw error;
      const why = `its new limits are not in force: ${errorMessage(error)}`;
      return { kind: 'limit-failed', limits, error: why };
    }
  }

  async #stop(graceMs: number, signal: AbortSignal): Answer {
    const what = 'stopping the container';
    try {
      await this.#within({ what, timeoutMs: graceMs + STOP_MARGIN_MS, signal }, (signal) =>
        this.#deps.executor.stop(this.#task.id, { graceMs, signal }),
      );
      return undefined;
    } catch (error) {
      return { kind: 'stop-failed', error: `${what}: ${errorMessage(error)}` };
    }
  }

  async #detach(signal: AbortSignal): Answer {
    for (;;) {
      try {
        await this.#deps.plane.detach(this.#task.id, signal);
        return undefined;
      } catch (error) {
        await this.#pause('cannot detach the network', error, signal);
      }
    }
  }

  async #remove(signal: AbortSignal): Answer {
    const { executor, plane, logger } = this.#deps;
    const { id } = this.#task;
    try {
      await this.#within(
        { what: 'removing the container', timeoutMs: REMOVE_TIMEOUT_MS, signal },
        async (signal) => {
          await executor.remove(id, signal);
          await plane.detach(id, signal);
        },
      );
      return { kind: 'removed' };
    } catch (error) {
      logger.warn({ error: errorMessage(error) }, 'cannot remove the container');
      return { kind: 'remove-failed', error: errorMessage(error) };
    }
  }

  async #pause(what: string, error: unknown, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw error;
    this.#deps.logger.warn({ error: errorMessage(error) }, what);
    await sleep(this.#deps.clock, CLEANUP_RETRY_MS, signal);
  }

  #within<T>(
    limit: { what: string; timeoutMs: number; signal: AbortSignal },
    fn: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return withDeadline({ clock: this.#deps.clock, ...limit }, fn);
  }
}

/** Worth trying again on this node: nothing says that the task itself is at fault. */
function isTemporary(error: unknown): boolean {
  const code = error instanceof SwarmError ? error.code : undefined;
  return code === 'unavailable' || code === 'resource-exhausted' || code === 'deadline-exceeded';
}
