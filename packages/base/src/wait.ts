/** Waiting with a deadline and a signal. */
import { SwarmError } from './errors.ts';
import type { Clock } from './ports.ts';

/** Resolves after `delayMs`, or rejects at once with the signal's reason when it aborts. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(abortReason(signal));
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(abortReason(signal));
    };
    const timer = clock.after(delayMs, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** Calls `fn` again and again, `periodMs` after it last returned, until disposed. Keeps no process alive. */
export function every(clock: Clock, periodMs: number, fn: () => void): Disposable {
  const tick = (): void => {
    fn();
    if (!isOver) timer = clock.after(periodMs, tick, { unref: true });
  };
  let isOver = false;
  let timer = clock.after(periodMs, tick, { unref: true });
  return {
    [Symbol.dispose]: () => {
      isOver = true;
      timer.cancel();
    },
  };
}

/** What an aborted signal should be thrown as: its own reason, always an Error. */
export function abortReason(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error
    ? reason
    : new SwarmError('cancelled', 'the operation was cancelled');
}

/**
 * A signal that aborts with either of two, until it is disposed. As `AbortSignal.any`, at a fraction of its
 * cost for calls that come by the thousand.
 */
export function eitherSignal(
  a: AbortSignal,
  b: AbortSignal,
): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const onA = (): void => controller.abort(a.reason);
  const onB = (): void => controller.abort(b.reason);
  if (a.aborted) onA();
  else if (b.aborted) onB();
  a.addEventListener('abort', onA, { once: true });
  b.addEventListener('abort', onB, { once: true });
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      a.removeEventListener('abort', onA);
      b.removeEventListener('abort', onB);
    },
  };
}

/**
 * What `work` comes to, unless the signal aborts before; what was begun then comes to its end by itself.
 * @throws the signal's reason.
 */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(abortReason(signal));
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([aborted, work]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/**
 * Runs `fn` with a signal that aborts after `timeoutMs` or with `signal`.
 * It does not wait for an `fn` that ignores its signal.
 * @throws SwarmError `deadline-exceeded` naming `what` when the time is up; the signal's reason.
 */
export async function withDeadline<T>(
  options: { clock: Clock; timeoutMs: number; what: string; signal?: AbortSignal },
  fn: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { clock, timeoutMs, what, signal } = options;
  if (signal?.aborted === true) throw abortReason(signal);
  const controller = new AbortController();
  const onAbort = (): void =>
    controller.abort(signal === undefined ? undefined : abortReason(signal));
  signal?.addEventListener('abort', onAbort, { once: true });
  const timer = clock.after(timeoutMs, () =>
    controller.abort(
      new SwarmError('deadline-exceeded', `${what} took longer than ${timeoutMs} ms`),
    ),
  );
  const aborted = new Promise<never>((_, reject) => {
    const fail = (): void => reject(abortReason(controller.signal));
    controller.signal.addEventListener('abort', fail, { once: true });
  });
  try {
    return await Promise.race([fn(controller.signal), aborted]);
  } finally {
    timer.cancel();
    signal?.removeEventListener('abort', onAbort);
  }
}
