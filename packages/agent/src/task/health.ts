/**
 * Runs a container's health check: docker's rules. Failures within the start period do not count,
 * `retries` failures in a row make the container unhealthy, one success makes it healthy.
 */
import { errorMessage, sleep, type Clock } from '@swarmd/base';
import type { HealthcheckSpec } from '@swarmd/model';

import { HEALTH_OUTPUT_MAX_CHARS } from '../limits.ts';
import type { ExecRequest, ExecResult } from '../ports.ts';

export interface HealthOptions {
  readonly check: HealthcheckSpec;
  readonly clock: Clock;
  readonly exec: (request: ExecRequest, signal: AbortSignal) => Promise<ExecResult>;
  readonly onHealthy: () => void;
}

/** Resolves with the reason when the container is unhealthy; rejects when `signal` aborts. */
export async function watchHealth(options: HealthOptions, signal: AbortSignal): Promise<string> {
  const { check, clock } = options;
  const startedAt = clock.monotonic();
  let healthy = false;
  let failures = 0;
  for (;;) {
    const starting = !healthy && clock.monotonic() - startedAt < check.startPeriodMs;
    await sleep(clock, starting ? check.startIntervalMs : check.intervalMs, signal);
    const failure = await runCheck(options, signal);
    if (failure === undefined) {
      failures = 0;
      if (!healthy) options.onHealthy();
      healthy = true;
      continue;
    }
    if (!healthy && clock.monotonic() - startedAt < check.startPeriodMs) continue;
    failures += 1;
    if (failures >= check.retries) {
      return `unhealthy: ${failures} checks failed in a row, the last one: ${failure}`;
    }
  }
}

/** Undefined when the check succeeded, else what it said. */
async function runCheck(options: HealthOptions, signal: AbortSignal): Promise<string | undefined> {
  const { timeoutMs } = options.check;
  try {
    const result = await options.exec({ argv: healthArgv(options.check.test), timeoutMs }, signal);
    if (result.timedOut) return `no result within ${timeoutMs} ms`;
    if (result.code === 0) return undefined;
    const output = result.output.trim().slice(-HEALTH_OUTPUT_MAX_CHARS);
    return `exit code ${result.code}${output === '' ? '' : `: ${output}`}`;
  } catch (error) {
    if (signal.aborted) throw error;
    return errorMessage(error);
  }
}

/** `["CMD", arg...]` as it is, `["CMD-SHELL", line]` by the container's shell. */
export function healthArgv(test: readonly string[]): readonly string[] {
  const [kind, ...rest] = test;
  if (kind === 'CMD-SHELL') return ['/bin/sh', '-c', rest.join(' ')];
  return kind === 'CMD' ? rest : test;
}
