/**
 * The outside world as constructor arguments: time, chance, identifiers, logging. Real versions are
 * in `system/`, deterministic ones in `testing.ts`.
 */

/** A pending timer; disposing or cancelling it more than once is harmless. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall-clock time in milliseconds since the Unix epoch. Never used to measure durations. */
  now(): number;
  /** Monotonic time in milliseconds from an arbitrary origin. */
  monotonic(): number;
  /** Calls `fn` once after `delayMs`. Real timers keep the process alive unless `unref` is set. */
  after(delayMs: number, fn: () => void, options?: { unref?: boolean }): Timer;
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}

export interface Ids {
  /** A new object id: 25 characters of lower-case base36, unique without coordination. */
  next(): string;
}

/** The subset of pino that packages use, so that they need not depend on it. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(bindings: object): Logger;
}

/** Logs nowhere: the default for code that runs without a daemon. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};
