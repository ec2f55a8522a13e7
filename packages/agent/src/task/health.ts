/**
 * Runs a container's health check: Docker's rules. Failures within the start period do not count
 * until the first success, `retries` failures in a row make the container unhealthy, one success
 * makes it healthy. The last results are kept for people.
 */
import { errorCode, errorMessage, sleep, type Clock } from '@swarmd/base';
import type { HealthcheckSpec, HealthReport, HealthResult } from '@swarmd/model';

import { HEALTH_OUTPUT_MAX_CHARS, HEALTH_RESULTS_KEPT } from '../limits.ts';
import type { ExecRequest, ExecResult } from '../ports.ts';

export interface HealthOptions {
  readonly check: HealthcheckSpec;
  /** By an earlier life of the agent: it begins as healthy, without a start period. */
  readonly wasHealthy: boolean;
  readonly clock: Clock;
  readonly exec: (request: ExecRequest, signal: AbortSignal) => Promise<ExecResult>;
  /** Whether all its processes are stopped on purpose: then it is not asked. */
  readonly isPaused: () => Promise<boolean>;
  readonly onHealthy: () => void;
}

export class HealthWatch {
  readonly #options: HealthOptions;
  #report: HealthReport;

  constructor(options: HealthOptions) {
    this.#options = options;
    const state = options.wasHealthy ? 'healthy' : 'starting';
    this.#report = { state, failingStreak: 0, results: [] };
  }

  get report(): HealthReport {
    return this.#report;
  }

  /** Resolves with the reason when the container is unhealthy; rejects when `signal` aborts. */
  async run(signal: AbortSignal): Promise<string> {
    const { check, clock } = this.#options;
    const startedAt = clock.monotonic();
    const isStarting = (): boolean =>
      this.#report.state === 'starting' && clock.monotonic() - startedAt < check.startPeriodMs;
    for (;;) {
      await sleep(clock, isStarting() ? check.startIntervalMs : check.intervalMs, signal);
      if (await this.#options.isPaused()) continue;
      const result = await this.#check(signal);
      this.#note(result, isStarting());
      const { state, failingStreak } = this.#report;
      if (state !== 'unhealthy') continue;
      return `unhealthy: ${failingStreak} checks failed in a row, the last one: ${describe(result)}`;
    }
  }

  #note(result: HealthResult, isExcused: boolean): void {
    const { check, onHealthy } = this.#options;
    const before = this.#report;
    const results = [...before.results, result].slice(-HEALTH_RESULTS_KEPT);
    if (result.exitCode === 0) {
      this.#report = { state: 'healthy', failingStreak: 0, results };
      if (before.state === 'starting') onHealthy();
      return;
    }
    const failingStreak = before.failingStreak + (isExcused ? 0 : 1);
    const state = failingStreak >= check.retries ? 'unhealthy' : before.state;
    this.#report = { state, failingStreak, results };
  }

  async #check(signal: AbortSignal): Promise<HealthResult> {
    const { check, clock, exec } = this.#options;
    const { timeoutMs } = check;
    const startedAt = clock.now();
    const ended = (exitCode: number, said: string): HealthResult => ({
      startedAt,
      endedAt: clock.now(),
      exitCode,
      output: said.trim().slice(-HEALTH_OUTPUT_MAX_CHARS),
    });
    try {
      const result = await exec({ argv: healthArgv(check.test), timeoutMs }, signal);
      if (result.timedOut) return ended(-1, `no result within ${timeoutMs} ms`);
      return ended(result.code, result.output);
    } catch (error) {
      if (signal.aborted || errorCode(error) === 'cancelled') throw error;
      return ended(-1, errorMessage(error));
    }
  }
}

function describe({ exitCode, output }: HealthResult): string {
  if (exitCode === -1) return output;
  return `exit code ${exitCode}${output === '' ? '' : `: ${output}`}`;
}

/** `["CMD", arg...]` as it is, `["CMD-SHELL", line]` by the container's shell. */
export function healthArgv(test: readonly string[]): readonly string[] {
  const [kind, ...rest] = test;
  if (kind === 'CMD-SHELL') return ['/bin/sh', '-c', rest.join(' ')];
  return kind === 'CMD' ? rest : test;
}
