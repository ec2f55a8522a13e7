/**
 * Writes that survive the loss of a leader: each gets an id of its own and is repeated under it while
 * nobody says what became of it. The managers know the id, so it takes effect once.
 */
import type { Call, Control } from '@swarmd/api';
import {
  Backoff,
  errorCode,
  errorMessage,
  sleep,
  SwarmError,
  type Clock,
  type ErrorCode,
  type Ids,
  type Random,
} from '@swarmd/base';

/** An election and the restart of a manager fit in; the managers remember ids for much longer. */
const REPEAT_FOR_MS = 15_000;
const PAUSE = { firstMs: 100, maxMs: 1_000 } as const;

/** Nothing has happened; or nobody knows. */
const REPEATED: readonly ErrorCode[] = ['unavailable', 'unknown-outcome', 'deadline-exceeded'];

export interface RepeatDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
}

type Method = (request: unknown, call: Call) => Promise<unknown>;

/** The same API; what creates, updates or removes is repeated when need be. */
export function repeatingWrites(control: Control, deps: RepeatDeps): Control {
  return new Proxy(control, {
    get(target, name) {
      const method = Reflect.get(target, name) as Method;
      if (typeof name !== 'string' || !/^(create|update|remove)/.test(name)) return method;
      return (request: unknown, call: Call) =>
        repeated((attempt) => method.call(target, request, attempt), call, deps);
    },
  });
}

async function repeated<T>(
  attempt: (call: Call) => Promise<T>,
  call: Call,
  deps: RepeatDeps,
): Promise<T> {
  const { clock, random, ids } = deps;
  const once: Call = { ...call, requestId: call.requestId ?? ids.next() };
  const backoff = new Backoff(PAUSE, random);
  const deadline = clock.monotonic() + REPEAT_FOR_MS;
  let isUnclear = false;
  for (;;) {
    try {
      return await attempt(once);
    } catch (error) {
      const code = errorCode(error);
      if (call.signal.aborted || !REPEATED.includes(code)) throw error;
      isUnclear ||= code !== 'unavailable';
      if (clock.monotonic() >= deadline) throw isUnclear ? unclear(error) : error;
    }
    await sleep(clock, backoff.nextMs(), call.signal);
  }
}

function unclear(cause: unknown): SwarmError {
  return new SwarmError(
    'unknown-outcome',
    `nobody could say whether it was done (${errorMessage(cause)}); ` +
      `look at what is there before you repeat it`,
    { cause },
  );
}
