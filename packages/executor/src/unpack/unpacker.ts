/**
 * The executor's side of the unpacking process: starts it with the first job, ends it when idle,
 * turns its messages into promises. A process that dies fails its jobs with `unavailable`, which the
 * puller retries.
 */
import { fork, type ChildProcess } from 'node:child_process';

import { abortReason, SwarmError, type Clock, type Timer } from '@swarmd/base';

import { UNPACKER_IDLE_MS } from '../limits.ts';
import type { FromUnpacker, ToUnpacker, UnpackJob } from './protocol.ts';
import type { UnpackedLayer } from './unpack-layer.ts';

interface Waiting {
  readonly resolve: (unpacked: UnpackedLayer) => void;
  readonly reject: (error: Error) => void;
  readonly onBytes: (bytes: number) => void;
}

export class Unpacker implements Disposable {
  readonly #entry: string;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  #child: ChildProcess | undefined;
  #idle: Timer | undefined;
  #jobs = 0;

  /** `entry` is the file of `unpack/main.ts`, or of its bundle. */
  constructor(entry: string, clock: Clock) {
    this.#entry = entry;
    this.#clock = clock;
  }

  /**
   * @param onBytes told now and then how much of the blob is here.
   * @throws what `resumedBlob` and `unpackLayer` throw.
   */
  async unpack(
    job: UnpackJob,
    onBytes: (bytes: number) => void,
    signal: AbortSignal,
  ): Promise<UnpackedLayer> {
    if (signal.aborted) throw abortReason(signal);
    this.#idle?.cancel();
    const id = (this.#jobs += 1);
    const cancel = (): void => this.#send({ kind: 'cancel', job: id });
    try {
      return await new Promise<UnpackedLayer>((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject, onBytes });
        this.#child ??= this.#start();
        this.#send({ kind: 'unpack', job: id, unpack: job });
        signal.addEventListener('abort', cancel, { once: true });
      });
    } catch (error) {
      throw signal.aborted ? abortReason(signal) : error;
    } finally {
      signal.removeEventListener('abort', cancel);
      this.#waiting.delete(id);
      this.#rest();
    }
  }

  [Symbol.dispose](): void {
    this.#idle?.cancel();
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }

  #start(): ChildProcess {
    const child = fork(this.#entry, [], {
      // Buffers die young here; without this they wait in a heap that has room for them.
      execArgv: ['--max-semi-space-size=1'],
      env: { ...process.env, MALLOC_ARENA_MAX: '2' },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    child.on('message', (message: FromUnpacker) => this.#received(message));
    const lost = (why: string): void => {
      if (this.#child === child) this.#child = undefined;
      const error = new SwarmError('unavailable', `the unpacking process ${why}`);
      for (const waiting of this.#waiting.values()) waiting.reject(error);
    };
    child.on('error', (error) => lost(`failed: ${error.message}`));
    child.on('exit', (code, signal) => {
      if (this.#child === child) lost(`ended with ${signal ?? `exit code ${code}`}`);
    });
    return child;
  }

  #received(message: FromUnpacker): void {
    const waiting = this.#waiting.get(message.job);
    if (message.kind === 'progress') waiting?.onBytes(message.bytes);
    else if (message.kind === 'done') waiting?.resolve(message.unpacked);
    else waiting?.reject(new SwarmError(message.code, message.message));
  }

  #send(message: ToUnpacker): void {
    const child = this.#child;
    if (child?.connected !== true) return;
    child.send(message, () => undefined);
  }

  /** A process that waits for work costs 50 MiB; one that is started costs 50 ms. */
  #rest(): void {
    if (this.#waiting.size > 0) return;
    this.#idle?.cancel();
    this.#idle = this.#clock.after(
      UNPACKER_IDLE_MS,
      () => {
        const child = this.#child;
        this.#child = undefined;
        child?.kill('SIGKILL');
      },
      { unref: true },
    );
  }
}
