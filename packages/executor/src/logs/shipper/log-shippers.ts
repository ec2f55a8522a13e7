/**
 * The executor's side of passing logs on: a thread that is there while a container needs it, and is begun
 * again, from where each log is, should it fail.
 */
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import { errorMessage, unreachable, type Clock, type Logger } from '@swarmd/base';

import {
  SHIP_YOUNG_MAX_MIB,
  SHIP_HEAP_MAX_MIB,
  SHIP_RESTART_MS,
  SHIP_TROUBLE_MS,
} from '../../limits.ts';
import type { FromShipper, ShipJob, ToShipper } from './protocol.ts';

interface Shipped {
  readonly job: ShipJob;
  isEnded: boolean;
  isDone: boolean;
  readonly done: PromiseWithResolvers<void>;
  dropped: number;
  /** Monotonic time of the last word about it in the daemon's log. */
  toldAt: number;
}

export class LogShippers implements AsyncDisposable {
  readonly #entry: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #shipped = new Map<string, Shipped>();
  #worker: Worker | undefined;
  #isDisposed = false;

  constructor({
    entry,
    clock,
    logger,
  }: {
    readonly entry: string;
    readonly clock: Clock;
    readonly logger: Logger;
  }) {
    this.#entry = entry;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Goes on where an earlier life was. */
  begin(job: ShipJob, isEnded: boolean): void {
    if (this.#shipped.has(job.id)) return;
    const done = Promise.withResolvers<void>();
    const fresh = { dropped: 0, toldAt: Number.NEGATIVE_INFINITY };
    this.#shipped.set(job.id, { job, isEnded, isDone: false, done, ...fresh });
    if (this.#worker === undefined) this.#start();
    else this.#send(job, isEnded);
  }

  /** Nothing more is written to its spool. */
  end(id: string): void {
    const shipped = this.#shipped.get(id);
    if (shipped === undefined || shipped.isEnded) return;
    shipped.isEnded = true;
    this.#post({ kind: 'ended', id });
  }

  /** Whether all of its log is where it should be; true for those that are not passed on. */
  isDone(id: string): boolean {
    return this.#shipped.get(id)?.isDone ?? true;
  }

  done(id: string): Promise<void> {
    return this.#shipped.get(id)?.done.promise ?? Promise.resolve();
  }

  /** Its files are about to go: what is left of it is waited for, but not for long. */
  async forget(id: string, patienceMs: number): Promise<void> {
    const shipped = this.#shipped.get(id);
    if (shipped === undefined) return;
    const late = Promise.withResolvers<void>();
    const timer = this.#clock.after(patienceMs, () => late.resolve());
    await Promise.race([shipped.done.promise, late.promise]);
    timer.cancel();
    if (!shipped.isDone) {
      this.#logger.warn({ id }, 'a container is removed before all of its log was passed on');
    }
    this.#shipped.delete(id);
    this.#post({ kind: 'forget', id });
    if (this.#shipped.size === 0) await this.#stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    await this.#stop();
  }

  #start(): void {
    if (this.#isDisposed) return;
    const worker = new Worker(this.#entry, {
      name: 'log-shipper',
      resourceLimits: {
        maxOldGenerationSizeMb: SHIP_HEAP_MAX_MIB,
        maxYoungGenerationSizeMb: SHIP_YOUNG_MAX_MIB,
      },
    });
    this.#worker = worker;
    worker.on('message', (message: FromShipper) => this.#hear(message));
    worker.on('error', (error) =>
      this.#logger.error({ error: errorMessage(error) }, 'the thread that passes logs on failed'),
    );
    worker.once('exit', () => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      const restart = (): void => {
        if (this.#worker === undefined && this.#shipped.size > 0) this.#start();
      };
      this.#clock.after(SHIP_RESTART_MS, restart, { unref: true });
    });
    worker.unref();
    for (const { job, isEnded } of this.#shipped.values()) this.#send(job, isEnded);
  }

  async #stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #send(job: ShipJob, isEnded: boolean): void {
    this.#post({ kind: 'begin', job });
    if (isEnded) this.#post({ kind: 'ended', id: job.id });
  }

  #post(message: ToShipper): void {
    this.#worker?.postMessage(message);
  }

  #hear(message: FromShipper): void {
    const shipped = this.#shipped.get(message.id);
    if (shipped === undefined) return;
    const { id, name, plan } = shipped.job;
    const about = { container: id, name, driver: plan.driver };
    switch (message.kind) {
      case 'done':
        shipped.isDone = true;
        shipped.done.resolve();
        break;
      case 'trouble':
        this.#logger.warn(
          { ...about, error: message.message },
          'a log cannot be passed on for now',
        );
        break;
      case 'dropped': {
        shipped.dropped = message.lines;
        const now = this.#clock.monotonic();
        if (now - shipped.toldAt < SHIP_TROUBLE_MS) break;
        shipped.toldAt = now;
        this.#logger.warn(
          { ...about, lines: message.lines },
          'lines of a log were dropped: its driver takes fewer than the container prints',
        );
        break;
      }
      default:
        unreachable(message);
    }
  }
}

/** The build rewrites exactly this literal to the bundle's name (scripts/build.ts). */
const DEFAULT_ENTRY = './main.ts';

export function shipperEntry(): string {
  return fileURLToPath(new URL(DEFAULT_ENTRY, import.meta.url));
}
