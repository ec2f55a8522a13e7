/**
 * Errors every package may raise. Expected outcomes of pure code are values, not errors; a failed
 * operation throws a SwarmError; a broken invariant asserts and crashes the process.
 */

/** The closed set of failure codes. `api/src/status.ts` is the only place that maps them to gRPC. */
export type ErrorCode =
  | 'invalid-argument'
  | 'not-found'
  | 'already-exists'
  | 'failed-precondition'
  /** The object was changed since the version the caller read. */
  | 'out-of-date'
  | 'permission-denied'
  | 'unauthenticated'
  | 'resource-exhausted'
  | 'unimplemented'
  /** Nobody can answer now (no leader, no connection); the operation did not take effect. */
  | 'unavailable'
  | 'deadline-exceeded'
  | 'cancelled'
  /** The write may or may not have taken effect (leader lost while committing). */
  | 'unknown-outcome'
  /** Stored or received bytes fail their checksum or digest. */
  | 'data-loss'
  | 'internal';

/**
 * A failed operation. `message` is written for the user who caused it: what was wrong, where, and
 * what to do next.
 */
export class SwarmError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'SwarmError';
    this.code = code;
  }
}

/** The code of any thrown value: a SwarmError's own, `cancelled` for aborts, else `internal`. */
export function errorCode(error: unknown): ErrorCode {
  if (error instanceof SwarmError) return error.code;
  if (error instanceof Error && error.name === 'AbortError') return 'cancelled';
  return 'internal';
}

/** One line for a log or a status: the message of an Error, or the value as text. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Crashes on a broken invariant. Stays on in production. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** A broken invariant: never caught to continue, only to stop cleanly. */
export class AssertionError extends Error {
  constructor(message: string) {
    super(`invariant broken: ${message}`);
    this.name = 'AssertionError';
  }
}

/** Ends every `switch` over a union: a forgotten member is a type error. */
export function unreachable(value: never): never {
  throw new AssertionError(`unexpected variant ${JSON.stringify(value)}`);
}
