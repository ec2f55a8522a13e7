/**
 * The manager of this machine, as a child process: started, restarted with growing pauses when it
 * dies, told to stop. Its death never ends the daemon; the daemon's death closes the channel, and
 * the child stops itself.
 */
import type { ChildProcess } from 'node:child_process';

import {
  Backoff,
  disposeOnFailure,
  errorMessage,
  Scope,
  sleep,
  SwarmError,
  unreachable,
  withDeadline,
  type Clock,
  type Logger,
  type Random,
  type Timer,
} from '@swarmd/base';

import {
  MANAGER_RESTART_FIRST_MS,
  MANAGER_RESTART_MAX_MS,
  MANAGER_SILENT_MAX_MS,
  MANAGER_START_MAX_MS,
  MANAGER_STOP_MAX_MS,
} from '../limits.ts';
import type { Credentials } from '../identity/identity.ts';
import type { FromManager, ManagerStart, ToManager } from './protocol.ts';

export interface ManagerProcessDeps {
  /** Forks a process that speaks the protocol. */
  readonly fork: () => ChildProcess;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export class ManagerProcess implements AsyncDisposable {
  readonly #deps: ManagerProcessDeps;
  readonly #scope: Scope;
  #start: ManagerStart;
  #child: ChildProcess | undefined;
  #error = '';
  readonly #served = Promise.withResolvers<void>();

  /** Use `start` or `resume`. */
  private constructor(start: ManagerStart, deps: ManagerProcessDeps) {
    this.#start = start;
    this.#deps = deps;
    this.#scope = new Scope((name, error) =>
      deps.logger.error({ name, error: errorMessage(error) }, 'watching the manager failed'),
    );
  }

  /**
   * Resolves once the manager serves.
   * @throws whatever the manager says went wrong; no process is left then.
   */
  static async start(
    start: ManagerStart,
    deps: ManagerProcessDeps,
    signal: AbortSignal,
  ): Promise<ManagerProcess> {
    const manager = new ManagerProcess(start, deps);
    await disposeOnFailure(manager, () => manager.#launch(signal));
    return manager;
  }

  /** A manager that is started in the background and again until it runs: after a boot. */
  static resume(start: ManagerStart, deps: ManagerProcessDeps): ManagerProcess {
    const manager = new ManagerProcess(start, deps);
    manager.#scope.spawn('start', (signal) => manager.#relaunch(0, signal));
    return manager;
  }

  /** Why it does not run at the moment; empty while it does. */
  get error(): string {
    return this.#error;
  }

  /** Resolves when it has served for the first time. */
  get served(): Promise<void> {
    return this.#served.promise;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  setCredentials(credentials: Credentials): void {
    this.#start = { ...this.#start, credentials };
    this.#send({ kind: 'credentials', credentials });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const disposed = this.#scope[Symbol.asyncDispose]();
    const child = this.#child;
    if (child !== undefined) await this.#stop(child);
    await disposed;
  }

  async #launch(signal: AbortSignal): Promise<void> {
    const { clock, fork } = this.#deps;
    const child = fork();
    this.#child = child;
    try {
      await withDeadline(
        { clock, timeoutMs: MANAGER_START_MAX_MS, what: 'starting the manager', signal },
        () => answer(child, this.#start, clock),
      );
    } catch (error) {
      this.#error = errorMessage(error);
      await this.#stop(child);
      throw error;
    }
    this.#error = '';
    this.#served.resolve();
    // From now on everything is on its disk.
    const { bootstrap: _made, forceNewCluster: _forced, ...rest } = this.#start;
    this.#start = { ...rest, raftStart: 'restart' };
    this.#watch(child);
  }

  #watch(child: ChildProcess): void {
    const startedAt = this.#deps.clock.monotonic();
    onceExited(child, (how) => {
      if (this.#scope.signal.aborted || this.#child !== child) return;
      this.#error = `the manager process ended: ${how}`;
      this.#deps.logger.error({ how }, 'the manager process ended, starting it again');
      const livedMs = this.#deps.clock.monotonic() - startedAt;
      this.#scope.spawn('restart', (signal) => this.#relaunch(livedMs, signal));
    });
  }

  async #relaunch(livedMs: number, signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#deps;
    const backoff = new Backoff(
      { firstMs: MANAGER_RESTART_FIRST_MS, maxMs: MANAGER_RESTART_MAX_MS },
      random,
    );
    // One that dies soon after each start must not be started five times a second.
    if (livedMs > 0) {
      await sleep(clock, livedMs < MANAGER_RESTART_MAX_MS ? 1_000 : backoff.nextMs(), signal);
    }
    while (!signal.aborted) {
      try {
        await this.#launch(signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        logger.error({ error: errorMessage(error) }, 'the manager does not start');
        await sleep(clock, backoff.nextMs(), signal);
      }
    }
  }

  async #stop(child: ChildProcess): Promise<void> {
    if (this.#child === child) this.#child = undefined;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    onceExited(child, () => resolve());
    if (child.connected) child.send({ kind: 'stop' } satisfies ToManager, () => undefined);
    else child.kill('SIGTERM');
    const timer = this.#deps.clock.after(MANAGER_STOP_MAX_MS, () => child.kill('SIGKILL'));
    await promise;
    timer.cancel();
  }

  #send(message: ToManager): void {
    if (this.#child?.connected === true) this.#child.send(message, () => undefined);
  }
}

/** Resolves when the child says that it serves; rejects when it shows no sign of work for too long. */
function answer(child: ChildProcess, start: ManagerStart, clock: Clock): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const giveUp = (): void => {
    const message = `the manager has not started, and did nothing for ${MANAGER_SILENT_MAX_MS} ms`;
    reject(new SwarmError('deadline-exceeded', message));
  };
  const giveUpLater = (): Timer => clock.after(MANAGER_SILENT_MAX_MS, giveUp, { unref: true });
  let silence = giveUpLater();
  child.on('message', (message: FromManager) => {
    switch (message.kind) {
      case 'working':
        silence.cancel();
        silence = giveUpLater();
        return;
      case 'ready':
        resolve();
        return;
      case 'failed':
        reject(new SwarmError(message.code, message.message));
        return;
      default:
        unreachable(message);
    }
  });
  onceExited(child, (how) =>
    reject(new SwarmError('internal', `the manager process ended while starting: ${how}`)),
  );
  child.send({ kind: 'start', start } satisfies ToManager, () => undefined);
  return promise.finally(() => silence.cancel());
}

function onceExited(child: ChildProcess, fn: (how: string) => void): void {
  child.once('error', (error) => fn(error.message));
  child.once('exit', (code, signal) => fn(signal ?? `exit code ${code}`));
}
