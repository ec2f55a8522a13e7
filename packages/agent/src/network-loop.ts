/**
 * Brings the network plane to the newest assigned state, with retries, and lets tasks wait until
 * their networks are there, and until all is there that came with them.
 */
import {
  Backoff,
  errorMessage,
  Scope,
  sleep,
  SwarmError,
  withDeadline,
  type Clock,
  type Logger,
  type Random,
} from '@swarmd/base';
import type { NetworkState, Task } from '@swarmd/model';

import {
  NETWORK_APPLY_TIMEOUT_MS,
  NETWORK_RETRY_FIRST_MS,
  NETWORK_RETRY_MAX_MS,
  NETWORK_WAIT_MS,
} from './limits.ts';
import { Notice } from './notice.ts';
import type { NetworkPlane } from './ports.ts';

export interface NetworkLoopDeps {
  readonly plane: NetworkPlane;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What tasks wait for. */
export interface TaskNetworks {
  /**
   * Resolves once the kernel has every network of `task`.
   * @throws SwarmError `unavailable` with the reason when that takes too long.
   */
  ready(task: Task, signal: AbortSignal): Promise<void>;
  /** Names the newest state, for `reached`. */
  newest(): number;
  /**
   * Resolves once the kernel has that state or a newer one. A task is not to be reached before: what asks
   * it would not get the answer, as long as its node does not know the way back.
   * @throws SwarmError `unavailable` with the reason when that takes too long.
   */
  reached(state: number, signal: AbortSignal): Promise<void>;
}

export class NetworkLoop implements TaskNetworks, AsyncDisposable {
  readonly #deps: NetworkLoopDeps;
  readonly #scope: Scope;
  readonly #changed = new Notice();
  readonly #appliedListeners = new Set<(version: number) => void>();
  #wanted: NetworkState | undefined;
  #wantedVersion = 0;
  #applied: NetworkState | undefined;
  /** How many states there were until `#wanted`, and until `#applied`. */
  #wantedCount = 0;
  #appliedCount = 0;
  #error = 'no network state has reached this node yet';

  constructor(deps: NetworkLoopDeps) {
    this.#deps = deps;
    this.#scope = new Scope((name, error) =>
      deps.logger.error({ name, error: errorMessage(error) }, 'network loop ended'),
    );
    this.#scope.spawn('network', (signal) => this.#run(signal));
  }

  /**
   * The newest state, and the version of the assignments that it is of. Undefined means that the
   * managers have not said anything of the network yet.
   */
  set(state: NetworkState | undefined, version: number): void {
    this.#wantedVersion = version;
    if (state === undefined || (state === this.#wanted && state === this.#applied)) {
      this.#tellApplied(version);
      return;
    }
    if (state !== this.#wanted) this.#wantedCount += 1;
    this.#wanted = state;
    if (state === this.#applied) this.#appliedCount = this.#wantedCount;
    this.#changed.notify();
  }

  /** Called with the version whose state the kernel has, whenever that is a newer one. */
  onApplied(listener: (version: number) => void): Disposable {
    this.#appliedListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#appliedListeners.delete(listener) };
  }

  ready(task: Task, signal: AbortSignal): Promise<void> {
    return this.#until(() => this.#has(task), signal);
  }

  newest(): number {
    return this.#wantedCount;
  }

  reached(state: number, signal: AbortSignal): Promise<void> {
    return this.#until(() => this.#appliedCount >= state, signal);
  }

  async #until(isThere: () => boolean, signal: AbortSignal): Promise<void> {
    if (isThere()) return;
    const { clock } = this.#deps;
    const limit = { clock, timeoutMs: NETWORK_WAIT_MS, what: 'programming the networks', signal };
    try {
      await withDeadline(limit, async (signal) => {
        while (!isThere()) await this.#changed.wait(signal);
      });
    } catch (cause) {
      if (signal.aborted) throw cause;
      throw new SwarmError('unavailable', `the task's networks are not ready: ${this.#error}`, {
        cause,
      });
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope[Symbol.asyncDispose]();
  }

  #tellApplied(version: number): void {
    for (const listener of this.#appliedListeners) listener(version);
  }

  #has(task: Task): boolean {
    const networks = this.#applied?.networks;
    if (networks === undefined) return false;
    return task.networks.every((used) => networks.some((known) => known.id === used.networkId));
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { plane, clock, random, logger } = this.#deps;
    const backoff = new Backoff(
      { firstMs: NETWORK_RETRY_FIRST_MS, maxMs: NETWORK_RETRY_MAX_MS },
      random,
    );
    for (;;) {
      const state = this.#wanted;
      const version = this.#wantedVersion;
      const count = this.#wantedCount;
      if (state === undefined || state === this.#applied) {
        await this.#changed.wait(signal);
        continue;
      }
      const what = 'programming the networks';
      try {
        await withDeadline({ clock, timeoutMs: NETWORK_APPLY_TIMEOUT_MS, what, signal }, (signal) =>
          plane.apply(state, signal),
        );
        backoff.reset();
        this.#applied = state;
        this.#appliedCount = count;
        this.#error = 'its networks are not assigned to this node yet';
        this.#changed.notify();
        // Other assignments may have come meanwhile that change nothing here.
        this.#tellApplied(this.#wanted === state ? this.#wantedVersion : version);
      } catch (error) {
        if (signal.aborted) throw error;
        this.#error = errorMessage(error);
        logger.warn({ error: this.#error }, 'cannot program the networks');
        await sleep(clock, backoff.nextMs(), signal);
      }
    }
  }
}
