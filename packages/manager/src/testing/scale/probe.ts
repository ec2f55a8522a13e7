/**
 * How long this thread lets others wait: between two ticks of a short timer. By the wall clock a tick
 * also waits for whoever else uses the machine; by this thread's own CPU time it does not.
 */
import { performance } from 'node:perf_hooks';

import { systemClock } from '@swarmd/base/system';

const TICK_MS = 5;

export interface Stall {
  /** Milliseconds beyond the tick. */
  readonly wallMs: number;
  /** Milliseconds of CPU time between two ticks. */
  readonly cpuMs: number;
}

export class StallProbe {
  #wallMs = 0;
  #cpuMs = 0;

  start(): void {
    const look = (lastWall: number, lastCpu: number): void => {
      const wall = performance.now();
      const cpu = threadCpuMs();
      this.#wallMs = Math.max(this.#wallMs, wall - lastWall - TICK_MS);
      this.#cpuMs = Math.max(this.#cpuMs, cpu - lastCpu);
      systemClock.after(TICK_MS, () => look(wall, cpu), { unref: true });
    };
    look(performance.now(), threadCpuMs());
  }

  /** The longest since it was asked last. */
  take(): Stall {
    const stall = { wallMs: this.#wallMs, cpuMs: this.#cpuMs };
    this.#wallMs = 0;
    this.#cpuMs = 0;
    return stall;
  }
}

/** CPU time of this thread, in milliseconds. */
export function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
