/**
 * The in-memory twin of the executor: same port, same conformance suite, no root and no processes.
 * Tests say what containers do (`MemoryMachineOptions.behaviour`) and may make operations fail.
 */
import { orAborted, SwarmError } from '@swarmd/base';

import {
  logColumns,
  type HealthcheckSpec,
  type LogChunk,
  type LogLine,
  type NodePlugin,
  type ResourceLimits,
} from '@swarmd/model';

import { effectiveHealthcheck } from '../container/healthcheck.ts';
import { checkContainerId } from '../container/record.ts';
import { canonicalReference, parseReference } from '../image/reference.ts';
import type {
  ContainerExit,
  ContainerPhase,
  ContainerRequest,
  ExecRequest,
  ExecResult,
  Executor,
  LogOptions,
  Images,
  Volumes,
  Workbench,
} from '../types.ts';
import {
  MemoryMachine,
  type MemoryContainer,
  type MemoryMachineOptions,
} from './memory-machine.ts';
import { MemoryImages, requireOffered } from './memory-images.ts';
import { MemoryVolumes } from './memory-volumes.ts';
import { MemoryWorkbench } from './memory-workbench.ts';

export type MemoryOperation = 'pull' | 'prepare' | 'start' | 'stop' | 'remove' | 'exec';

export class MemoryExecutor implements Executor, AsyncDisposable {
  readonly machine: MemoryMachine;
  readonly workbench: Workbench;
  readonly volumes: Volumes;
  readonly images: Images;
  readonly #failures = new Map<MemoryOperation, Error>();

  constructor(machine: MemoryMachine) {
    this.machine = machine;
    this.workbench = new MemoryWorkbench(machine);
    this.images = new MemoryImages(machine);
    this.volumes = new MemoryVolumes(machine);
  }

  /** The next call of `operation` throws `error`. */
  failNext(operation: MemoryOperation, error: Error): void {
    this.#failures.set(operation, error);
  }

  plugins(): readonly NodePlugin[] {
    return [
      { kind: 'log', name: 'local' },
      { kind: 'volume', name: 'local' },
    ];
  }

  async restore(signal: AbortSignal): Promise<ReadonlyMap<string, ContainerPhase>> {
    signal.throwIfAborted();
    return new Map([...this.machine.containers].map(([id, container]) => [id, container.phase]));
  }

  async pull(image: string, signal: AbortSignal): Promise<void> {
    this.#begin('pull', signal);
    const reference = canonicalReference(parseReference(image));
    requireOffered(this.machine, reference);
    this.machine.images.add(reference);
  }

  async prepare(request: ContainerRequest, signal: AbortSignal): Promise<void> {
    this.#begin('prepare', signal);
    checkContainerId(request.id);
    if (this.machine.containers.has(request.id)) return;
    const reference = canonicalReference(parseReference(request.spec.image));
    if (!this.machine.images.has(reference)) {
      throw new SwarmError(
        'failed-precondition',
        `image ${reference} is not on this node; pull it first`,
      );
    }
    this.machine.create(request);
  }

  async start(id: string, signal: AbortSignal): Promise<{ pid: number }> {
    this.#begin('start', signal);
    const container = this.#get(id);
    container.start(this.machine.options.behaviour);
    return { pid: container.pid };
  }

  async wait(id: string, signal: AbortSignal): Promise<ContainerExit> {
    const container = this.#get(id);
    if (container.exit !== undefined) return container.exit;
    return orAborted(container.ended, signal);
  }

  async stop(id: string, options: { graceMs: number; signal: AbortSignal }): Promise<void> {
    const { graceMs, signal } = options;
    this.#begin('stop', signal);
    const container = this.machine.containers.get(id);
    if (container === undefined || container.exit !== undefined) return;
    const wanted = container.request.spec.stopSignal || 'SIGTERM';
    const name = wanted.startsWith('SIG') ? wanted : `SIG${wanted}`;
    if (container.phase === 'running') container.signal(name as NodeJS.Signals);
    else container.signal('SIGKILL');
    const timer = this.machine.options.clock.after(graceMs, () => container.signal('SIGKILL'));
    try {
      await orAborted(container.ended, signal);
    } finally {
      timer.cancel();
    }
  }

  async remove(id: string, signal: AbortSignal): Promise<void> {
    this.#begin('remove', signal);
    this.machine.containers.get(id)?.signal('SIGKILL');
    this.machine.containers.delete(id);
  }

  async *logs(id: string, options: LogOptions, signal: AbortSignal): AsyncGenerator<LogChunk> {
    const container = this.#get(id);
    const { sinceMs = Number.NEGATIVE_INFINITY, untilMs = Number.POSITIVE_INFINITY } = options;
    const isWanted = ({ timestamp }: LogLine): boolean =>
      timestamp >= sinceMs && timestamp <= untilMs;
    let next = options.after === undefined ? 0 : Number(options.after);
    const take = (): LogLine[] => {
      const lines = container.log.slice(next).filter(isWanted);
      next = container.log.length;
      return lines;
    };
    const { tail } = options;
    const there = take();
    const isLimited = tail !== undefined && options.after === undefined;
    const first = isLimited ? there.slice(Math.max(0, there.length - tail)) : there;
    if (first.length > 0) yield chunkOf(first, next);
    while (options.follow && (container.exit === undefined || next < container.log.length)) {
      const lines = take();
      if (lines.length > 0) yield chunkOf(lines, next);
      if (next < container.log.length || container.exit !== undefined) continue;
      const { promise, resolve } = Promise.withResolvers<void>();
      using _listening = container.listen(resolve);
      await orAborted(promise, signal);
    }
  }

  logAttributes(): Readonly<Record<string, string>> {
    return {};
  }

  async exec(id: string, request: ExecRequest, signal: AbortSignal): Promise<ExecResult> {
    this.#begin('exec', signal);
    if (this.#get(id).phase !== 'running') {
      throw new SwarmError('failed-precondition', `container ${id} is not running`);
    }
    const result = this.machine.options.exec?.(id, request) ?? { code: 0, output: '' };
    return { ...result, timedOut: false };
  }

  async update(id: string, limits: ResourceLimits): Promise<void> {
    const container = this.#get(id);
    if (container.phase !== 'running') {
      throw new SwarmError('failed-precondition', `container ${id} is not running`);
    }
    container.request = { ...container.request, limits };
  }

  healthcheck(id: string): HealthcheckSpec | undefined {
    const request = this.machine.containers.get(id)?.request;
    return effectiveHealthcheck(request?.spec.healthcheck, undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Containers live on in the machine, as real ones do.
  }

  #begin(operation: MemoryOperation, signal: AbortSignal): void {
    signal.throwIfAborted();
    const failure = this.#failures.get(operation);
    this.#failures.delete(operation);
    if (failure !== undefined) throw failure;
  }

  #get(id: string): MemoryContainer {
    const container = this.machine.containers.get(id);
    if (container !== undefined) return container;
    throw new SwarmError(
      'not-found',
      `there is no container ${id} on this node; it was never prepared, or removed`,
    );
  }
}

/** A first life on a new machine; `new MemoryExecutor(executor.machine)` is the next life on it. */
export function createMemoryExecutor(options: MemoryMachineOptions): MemoryExecutor {
  return new MemoryExecutor(new MemoryMachine(options));
}

function chunkOf(lines: readonly LogLine[], next: number): LogChunk {
  return { ...logColumns(lines), cursor: String(next), notice: '' };
}
