/**
 * Learns that containers have ended, by three channels: the exit file (inotify), the end of the
 * monitor's pipe, and a periodic look at everything. Each alone may fail: inotify overflows, a pipe
 * exists only for containers this process created, and a sweep is slow. All lead to `settle`, which
 * may run any number of times.
 */
import { readdirSync, watch, type FSWatcher } from 'node:fs';

import { errorMessage, sleep, type Clock, type Logger, type Scope } from '@swarmd/base';

import { textNow, readNow } from '../files/memory-file.ts';
import { SWEEP_CLOSE_LOOKS, SWEEP_MS } from '../limits.ts';
import type { Cgroups } from '../oci/cgroup.ts';
import { isAlive, mayBeAlive, signalProcess } from '../oci/proc.ts';
import type { ContainerExit } from '../types.ts';
import { MONITOR_LOST } from './adoption.ts';
import type { LiveContainer } from './live.ts';

export interface ExitWatchOptions {
  readonly exitsDir: string;
  readonly containers: ReadonlyMap<string, LiveContainer>;
  readonly cgroups: Cgroups;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class ExitWatch {
  readonly #options: ExitWatchOptions;
  readonly #settling = new Map<LiveContainer, Promise<void>>();
  #watcher: FSWatcher | undefined;
  /** The containers are another life's to write about. */
  #isClosed = false;

  constructor(options: ExitWatchOptions) {
    this.#options = options;
  }

  /** Watches until `scope` ends. */
  begin(scope: Scope): void {
    const { exitsDir, containers, logger } = this.#options;
    this.#watcher = watch(exitsDir, { persistent: false }, (_, name) => {
      const container = name === null ? undefined : containers.get(name);
      if (container !== undefined) this.notice(container);
    });
    this.#watcher.on('error', (error) => {
      logger.warn(
        { error: errorMessage(error) },
        'exit files are not watched any more, only looked for',
      );
    });
    scope.defer(async () => {
      this.#watcher?.close();
      this.#isClosed = true;
      await Promise.all(this.#settling.values());
    });
    scope.spawn('sweep of containers', (signal) => this.#sweep(signal));
  }

  /** Something may have happened to the container: looks, in the background. */
  notice(container: LiveContainer): void {
    void this.settle(container).catch((error: unknown) => {
      const { logger } = this.#options;
      logger.error(
        { id: container.id, error: errorMessage(error) },
        'a container cannot be looked at',
      );
    });
  }

  /** Ends the container in our books if it has ended in truth. */
  settle(container: LiveContainer): Promise<void> {
    const running = this.#settling.get(container);
    // One that looked too early must not answer for what happened since.
    const next = (running ?? Promise.resolve()).then(() => this.#settle(container));
    const over = next
      .catch(() => undefined)
      .finally(() => {
        if (this.#settling.get(container) === over) this.#settling.delete(container);
      });
    this.#settling.set(container, over);
    return next;
  }

  async #settle(container: LiveContainer): Promise<void> {
    const { record } = container;
    if (this.#isClosed || record.exit !== undefined || record.phase === 'creating') return;
    // Looked at first: once it is gone, an exit file that is missing will not come any more.
    const isMonitored = record.monitor !== undefined && isAlive(record.monitor);
    const code = readExitCode(container.paths.exit);
    if (code !== undefined) await container.end(this.#exit(container, code));
    else if (!isMonitored) await this.#abandon(container);
  }

  async #abandon(container: LiveContainer): Promise<void> {
    const { process } = container.record;
    if (process !== undefined) signalProcess(process, 'SIGKILL');
    this.#options.logger.warn({ id: container.id }, 'the monitor of a container was lost');
    await container.end(MONITOR_LOST);
  }

  #exit(container: LiveContainer, code: number): ContainerExit {
    const isKnown = Number.isInteger(code) && code >= 0 && code <= 255;
    const noted = readNow(`${container.paths.persist}/oom`);
    const oom = noted !== undefined || this.#options.cgroups.oomKilled(container.id);
    return {
      code: isKnown ? code : 255,
      // A process that lives on after a child of it was killed has coped.
      oomKilled: oom && code !== 0,
      error: isKnown ? '' : 'the monitor reported no valid exit code',
    };
  }

  /** Hundreds of containers that go on cost one system call each; now and then each is looked at closely. */
  async #sweep(signal: AbortSignal): Promise<void> {
    const { clock, containers, exitsDir } = this.#options;
    for (let round = 0; ; round = (round + 1) % SWEEP_CLOSE_LOOKS) {
      await sleep(clock, SWEEP_MS, signal);
      const ended = new Set(readdirSync(exitsDir));
      let index = 0;
      for (const container of containers.values()) {
        const { record } = container;
        if (record.exit !== undefined) continue;
        const isItsTurn = index % SWEEP_CLOSE_LOOKS === round;
        const isQuiet = record.monitor !== undefined && mayBeAlive(record.monitor);
        if (isItsTurn || !isQuiet || ended.has(container.id)) this.notice(container);
        index += 1;
      }
    }
  }
}

/** Undefined when the file is not there, or not written to its end. */
export function readExitCode(path: string): number | undefined {
  const text = textNow(path).trim();
  return text === '' ? undefined : Number(text);
}
