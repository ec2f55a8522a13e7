/**
 * The in-memory twin of the workbench. Programs run in sessions are the machine's `session` hook; files
 * that were copied in are kept as the archives they came in.
 */
import { SwarmError } from '@swarmd/base';
import type { ContainerStats, PathInfo, ProcessInfo } from '@swarmd/model';

import { signalNamed } from '../container/process.ts';
import type { SessionEvent, SessionInput, SessionStart, Workbench } from '../types.ts';
import type { MemoryContainer, MemoryMachine } from './memory-machine.ts';

export class MemoryWorkbench implements Workbench {
  readonly #machine: MemoryMachine;
  readonly #paused = new Set<string>();
  readonly #archives = new Map<string, Uint8Array[]>();

  constructor(machine: MemoryMachine) {
    this.#machine = machine;
  }

  async *session(
    id: string,
    request: { readonly start: SessionStart; readonly input: AsyncIterable<SessionInput> },
    signal: AbortSignal,
  ): AsyncGenerator<SessionEvent> {
    const container = this.#running(id);
    signal.throwIfAborted();
    const { start, input } = request;
    if (start.kind === 'attach') {
      if (start.stdin && !container.request.spec.stdin && !container.request.spec.tty) {
        throw new SwarmError(
          'failed-precondition',
          `the standard input of container ${id} is closed`,
        );
      }
      yield* this.#attach(container, input);
      return;
    }
    if (start.argv.length === 0) throw new SwarmError('invalid-argument', 'exec needs a program');
    if (this.#paused.has(id)) {
      throw new SwarmError('failed-precondition', `container ${id} is paused; unpause it first`);
    }
    yield { kind: 'started', tty: start.tty };
    const run = this.#machine.options.session;
    if (run === undefined) yield { kind: 'exit', code: 0 };
    else yield* run(id, start, input);
  }

  async *#attach(
    container: MemoryContainer,
    input: AsyncIterable<SessionInput>,
  ): AsyncGenerator<SessionEvent> {
    let hasLeft = false;
    const left = Promise.withResolvers<void>();
    const listen = async (): Promise<void> => {
      for await (const { kind } of input) hasLeft ||= kind === 'leave';
      if (hasLeft) left.resolve();
    };
    listen().catch(left.reject);
    left.promise.catch(() => undefined);
    yield { kind: 'started', tty: container.request.spec.tty };
    for (let next = container.log.length; ;) {
      const line = container.log[next];
      if (line !== undefined) {
        next += 1;
        const data = Buffer.concat([line.data, Buffer.from('\n')]);
        yield { kind: 'output', stream: line.stream, data };
        continue;
      }
      if (hasLeft) return;
      if (container.exit !== undefined) break;
      const { promise, resolve } = Promise.withResolvers<void>();
      using _listening = container.listen(resolve);
      await Promise.race([promise, left.promise]);
    }
    yield { kind: 'exit', code: (await container.ended).code };
  }

  async top(id: string): Promise<readonly ProcessInfo[]> {
    const { pid, request } = this.#running(id);
    const command = [...request.spec.command, ...request.spec.args].join(' ');
    return [
      {
        pid,
        containerPid: 1,
        parentPid: 1,
        uid: 0,
        state: 'S',
        cpuMs: 0,
        memoryBytes: 4096,
        startedAt: this.#machine.options.clock.now(),
        command: command || 'program',
      },
    ];
  }

  async stats(id: string): Promise<ContainerStats> {
    const { request } = this.#running(id);
    return {
      timestamp: this.#machine.options.clock.now(),
      cpuNs: 0,
      memoryBytes: 4096,
      memoryLimitBytes: request.limits.memoryBytes,
      pids: 1,
      pidsLimit: request.limits.pids,
      blockReadBytes: 0,
      blockWriteBytes: 0,
      networkReceiveBytes: 0,
      networkSendBytes: 0,
    };
  }

  async pause(id: string): Promise<void> {
    this.#running(id);
    this.#paused.add(id);
  }

  async unpause(id: string): Promise<void> {
    this.#running(id);
    this.#paused.delete(id);
  }

  async isPaused(id: string): Promise<boolean> {
    return this.#paused.has(id) && this.#machine.containers.get(id)?.phase === 'running';
  }

  async signal(id: string, name: string): Promise<void> {
    this.#running(id).signal(signalNamed(name));
  }

  async pathInfo(id: string, path: string): Promise<PathInfo> {
    if (this.#archives.has(`${id}:${path}`) || path === '/') {
      return { kind: 'directory', bytes: 0, mode: 0o755, modifiedAt: 0, target: '' };
    }
    throw new SwarmError('not-found', `there is no ${path} in container ${id}`);
  }

  async *copyOut(id: string, path: string): AsyncGenerator<Uint8Array> {
    await this.pathInfo(id, path);
    yield* this.#archives.get(`${id}:${path}`) ?? [];
  }

  async copyIn(
    id: string,
    request: { readonly directory: string; readonly archive: AsyncIterable<Uint8Array> },
  ): Promise<void> {
    const chunks = await Array.fromAsync(request.archive);
    this.#archives.set(`${id}:${request.directory}`, chunks);
  }

  #running(id: string): MemoryContainer {
    const container = this.#machine.containers.get(id);
    if (container === undefined) {
      throw new SwarmError('not-found', `there is no container ${id} on this node`);
    }
    if (container.phase === 'running') return container;
    throw new SwarmError('failed-precondition', `container ${id} is not running`);
  }
}
