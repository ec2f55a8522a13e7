/** A machine that exists only in memory: what outlives one life of a `MemoryExecutor`. */
import type { Clock } from '@swarmd/base';
import type { LogLine } from '@swarmd/model';

import type {
  ContainerExit,
  ContainerPhase,
  ContainerRequest,
  ExecRequest,
  SessionEvent,
  SessionInput,
  SessionStart,
  VolumeInfo,
} from '../types.ts';

/** The first process of a container in memory, as its behaviour sees it. */
export interface MemoryProcess {
  readonly request: ContainerRequest;
  print(stream: LogLine['stream'], line: string): void;
  /** Ends the process; later calls are ignored. */
  exit(code: number, more?: Partial<ContainerExit>): void;
  /** What the process does with a signal; without it, it ends as the kernel would end it. */
  onSignal(handler: (signal: NodeJS.Signals) => void): void;
}

export interface MemoryMachineOptions {
  readonly clock: Clock;
  /** References that a pull finds; undefined: all. */
  readonly images?: readonly string[];
  /** Called when a container is started. Without it containers run until they are stopped. */
  readonly behaviour?: (process: MemoryProcess) => void;
  /** Exit code and output of a program run by `exec`; 0 and nothing without it. */
  readonly exec?: (id: string, request: ExecRequest) => { code: number; output: string };
  /** What a program of a session does after it has started; without it, it ends with 0. */
  readonly session?: (
    id: string,
    start: SessionStart,
    input: AsyncIterable<SessionInput>,
  ) => AsyncIterable<SessionEvent>;
}

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  SIGKILL: 9,
  SIGTERM: 15,
  SIGINT: 2,
  SIGQUIT: 3,
};

export class MemoryContainer {
  request: ContainerRequest;
  readonly pid: number;
  readonly log: LogLine[] = [];
  readonly ended: Promise<ContainerExit>;
  readonly #clock: Clock;
  readonly #resolve: (exit: ContainerExit) => void;
  readonly #listeners = new Set<() => void>();
  #onSignal: ((signal: NodeJS.Signals) => void) | undefined;
  #phase: ContainerPhase = 'created';
  #exit: ContainerExit | undefined;

  constructor(request: ContainerRequest, pid: number, clock: Clock) {
    this.request = request;
    this.pid = pid;
    this.#clock = clock;
    const { promise, resolve } = Promise.withResolvers<ContainerExit>();
    this.ended = promise;
    this.#resolve = resolve;
  }

  get phase(): ContainerPhase {
    return this.#phase;
  }

  get exit(): ContainerExit | undefined {
    return this.#exit;
  }

  start(behaviour: MemoryMachineOptions['behaviour']): void {
    if (this.#phase !== 'created') return;
    this.#phase = 'running';
    behaviour?.({
      request: this.request,
      print: (stream, line) => this.print(stream, line),
      exit: (code, more) => this.end({ code, oomKilled: false, error: '', ...more }),
      onSignal: (handler) => {
        this.#onSignal = handler;
      },
    });
  }

  print(stream: LogLine['stream'], line: string): void {
    this.log.push({ stream, timestamp: this.#clock.now(), data: Buffer.from(line) });
    this.#tell();
  }

  signal(signal: NodeJS.Signals): void {
    if (signal !== 'SIGKILL' && this.#onSignal !== undefined) this.#onSignal(signal);
    else this.end({ code: 128 + (SIGNAL_NUMBERS[signal] ?? 15), oomKilled: false, error: '' });
  }

  end(exit: ContainerExit): void {
    if (this.#exit !== undefined) return;
    this.#phase = 'exited';
    this.#exit = exit;
    this.#resolve(exit);
    this.#tell();
  }

  /** Calls `listener` after every line and at the end. */
  listen(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

export class MemoryMachine {
  readonly options: MemoryMachineOptions;
  readonly containers = new Map<string, MemoryContainer>();
  readonly images = new Set<string>();
  readonly volumes = new Map<string, Omit<VolumeInfo, 'used'>>();
  #pids = 1000;

  constructor(options: MemoryMachineOptions) {
    this.options = options;
  }

  create(request: ContainerRequest): void {
    this.#pids += 1;
    const container = new MemoryContainer(request, this.#pids, this.options.clock);
    this.containers.set(request.id, container);
    for (const { kind, source, driver, driverOptions, labels } of request.spec.mounts) {
      if (kind !== 'volume' || source === '' || this.volumes.has(source)) continue;
      this.volumes.set(source, {
        name: source,
        driver: driver || 'local',
        options: driverOptions,
        labels,
        createdAt: this.options.clock.now(),
        mountpoint: '',
      });
    }
  }
}
