/** Logs that survive the loss of the manager they come through. */
import type { Call, LogRequest, Logs, LogSelector, TaskLogChunk } from '@swarmd/api';
import { Backoff, errorCode, sleep, type Clock, type ErrorCode, type Random } from '@swarmd/base';

const PAUSE = { firstMs: 100, maxMs: 2_000 } as const;
/** Nobody answers, or whoever answered went away. */
const PASSING: readonly ErrorCode[] = ['unavailable', 'cancelled', 'unknown-outcome', 'internal'];
/** A manager that has just come back may not have caught up yet. */
const UNKNOWN_FOR_MS = 10_000;
/** Who does not follow gets what is there, or an error, within this. */
const READ_FOR_MS = 30_000;

export interface SteadyLogsDeps {
  readonly logs: Logs;
  readonly clock: Clock;
  readonly random: Random;
  /** Told once each time nobody answers. */
  readonly onBreak: (error: unknown) => void;
}

/**
 * Each line once, in the order of its task, whatever becomes of the manager that passes them on: the
 * subscription is begun again behind what has come.
 * @throws SwarmError when the first attempt fails, or going on cannot help.
 */
export async function* steadyLogs(
  { logs, clock, random, onBreak }: SteadyLogsDeps,
  request: { readonly selector: LogSelector; readonly options: LogRequest },
  call: Call,
): AsyncGenerator<TaskLogChunk> {
  const after: Record<string, string> = {};
  const backoff = new Backoff(PAUSE, random);
  const patienceMs = request.options.follow ? Number.POSITIVE_INFINITY : READ_FOR_MS;
  let brokenAt: number | undefined;
  for (;;) {
    try {
      for await (const chunk of logs.subscribe({ ...request, after }, call)) {
        if (chunk.cursor !== '') after[chunk.taskId] = chunk.cursor;
        brokenAt = undefined;
        backoff.reset();
        yield chunk;
      }
      return;
    } catch (error) {
      const code = errorCode(error);
      const now = clock.monotonic();
      const brokenFor = now - (brokenAt ?? now);
      const isUnknown =
        code === 'not-found' && brokenAt !== undefined && brokenFor < UNKNOWN_FOR_MS;
      const isPassing = PASSING.includes(code) && brokenFor < patienceMs;
      if (call.signal.aborted || (!isPassing && !isUnknown)) throw error;
      if (brokenAt === undefined) onBreak(error);
      brokenAt ??= now;
    }
    await sleep(clock, backoff.nextMs(), call.signal);
  }
}
