/** The executor's tools for people: sessions, looking, pausing, copying. */
import { readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';

import { SwarmError, type Clock, type Logger } from '@swarmd/base';
import type { ContainerStats, PathInfo, ProcessInfo } from '@swarmd/model';

import { KeyedLock } from '../container/keyed-lock.ts';
import type { LiveContainer } from '../container/live.ts';
import { signalNamed } from '../container/process.ts';
import type { Cgroups } from '../oci/cgroup.ts';
import { signalProcess } from '../oci/proc.ts';
import type { Runtimes } from '../oci/runtime.ts';
import { STDIN_ANNOTATION } from '../oci/spec.ts';
import type { SessionEvent, SessionInput, SessionStart, Workbench } from '../types.ts';
import { attachSession } from './attach-session.ts';
import { copyIn, copyOut, pathInfo, type CopySource } from './copy.ts';
import { execSession } from './exec-session.ts';
import { processInfos } from './processes.ts';
import { containerStats } from './stats.ts';

export interface WorkbenchParts {
  /** @throws SwarmError `not-found`. Waits until the containers of an earlier life are known. */
  readonly container: (id: string) => Promise<LiveContainer>;
  readonly runtimes: Runtimes;
  readonly cgroups: Cgroups;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class OciWorkbench implements Workbench {
  readonly #parts: WorkbenchParts;
  readonly #still = new KeyedLock();

  constructor(parts: WorkbenchParts) {
    this.#parts = parts;
  }

  async *session(
    id: string,
    request: { readonly start: SessionStart; readonly input: AsyncIterable<SessionInput> },
    signal: AbortSignal,
  ): AsyncGenerator<SessionEvent> {
    const { runtimes, clock, logger } = this.#parts;
    const { start, input } = request;
    const container = await this.#running(id);
    if (start.kind === 'attach') {
      const { terminal, stdin } = await consoleOf(container);
      if (start.stdin && !stdin) {
        throw new SwarmError(
          'failed-precondition',
          `the standard input of container ${id} is closed: give the service --interactive or --tty, or attach with --no-stdin`,
        );
      }
      const context = { container, tty: terminal, clock, logger };
      yield* attachSession(context, { start, input }, signal);
      return;
    }
    if (this.#parts.cgroups.isFrozen(id)) {
      throw new SwarmError('failed-precondition', `container ${id} is paused; unpause it first`);
    }
    const { paths, record } = container;
    const runtime = runtimes.of(record.runtime);
    const serial = container.nextExec();
    yield* execSession({ id, serial, paths, runtime, clock, logger }, { start, input }, signal);
  }

  async top(id: string): Promise<readonly ProcessInfo[]> {
    await this.#running(id);
    return processInfos(this.#parts.cgroups.processes(id));
  }

  async stats(id: string): Promise<ContainerStats> {
    const { record } = await this.#running(id);
    const { cgroups, clock } = this.#parts;
    return containerStats({ id, pid: record.process?.pid ?? 0 }, cgroups, clock.now());
  }

  async pause(id: string): Promise<void> {
    const container = await this.#running(id);
    await this.#still.run(id, async () => {
      await container.update({ isPaused: true });
      await this.#freeze(id);
    });
  }

  async unpause(id: string): Promise<void> {
    const container = await this.#running(id);
    await this.#still.run(id, async () => {
      this.#parts.cgroups.freeze(id, false);
      await container.update({ isPaused: false });
    });
  }

  isPaused(id: string): Promise<boolean> {
    return Promise.resolve(this.#parts.cgroups.isFrozen(id));
  }

  async signal(id: string, name: string): Promise<void> {
    const { record } = await this.#running(id);
    if (record.process !== undefined) signalProcess(record.process, signalNamed(name));
  }

  async pathInfo(id: string, path: string): Promise<PathInfo> {
    return pathInfo(await this.#copySource(id), path);
  }

  async *copyOut(id: string, path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    yield* copyOut(await this.#copySource(id), path, signal);
  }

  async copyIn(
    id: string,
    request: { readonly directory: string; readonly archive: AsyncIterable<Uint8Array> },
    signal: AbortSignal,
  ): Promise<void> {
    const container = await this.#parts.container(id);
    const staging = join(container.paths.state, `copy-${container.nextExec()}.tar`);
    await copyIn(await this.#copySource(id), { ...request, staging }, signal);
  }

  /** Frozen or, if that cannot be, as before. */
  async #freeze(id: string): Promise<void> {
    const { cgroups, clock } = this.#parts;
    cgroups.freeze(id, true);
    try {
      await cgroups.frozen(id, clock);
    } catch (error) {
      cgroups.freeze(id, false);
      throw error;
    }
  }

  async #running(id: string): Promise<LiveContainer> {
    const container = await this.#parts.container(id);
    if (container.record.phase === 'running') return container;
    throw new SwarmError('failed-precondition', `container ${id} is not running`);
  }

  /** A container that does not run shows its own files, without what is mounted into it. */
  async #copySource(id: string): Promise<CopySource> {
    const { record, paths } = await this.#parts.container(id);
    const { cgroups } = this.#parts;
    if (record.phase !== 'running' || record.process === undefined) {
      return { id, root: paths.merged, enter: [], whileStill: (fn) => fn() };
    }
    return {
      id,
      root: `/proc/${record.process.pid}/root/`,
      enter: await enteringUserNamespace(record.process.pid),
      whileStill: (fn) =>
        this.#still.run(id, async () => {
          if (cgroups.isFrozen(id)) return fn();
          await this.#freeze(id);
          try {
            return await fn();
          } finally {
            cgroups.freeze(id, false);
          }
        }),
    };
  }
}

/** Of a remapped container: its root, with its view of owners. */
async function enteringUserNamespace(pid: number): Promise<readonly string[]> {
  const path = `/proc/${pid}/ns/user`;
  const [its, ours] = await Promise.all([readlink(path), readlink('/proc/self/ns/user')]);
  return its === ours ? [] : ['/usr/bin/nsenter', `--user=${path}`, '-S', '0', '-G', '0', '--'];
}

/** What the container's first process was made with. */
async function consoleOf(container: LiveContainer): Promise<{ terminal: boolean; stdin: boolean }> {
  const { bundle } = container.paths;
  const config = JSON.parse(await readFile(join(bundle, 'config.json'), 'utf8')) as {
    process: { terminal: boolean };
    annotations: Record<string, string>;
  };
  const { terminal } = config.process;
  return { terminal, stdin: terminal || config.annotations[STDIN_ANNOTATION] === 'true' };
}
