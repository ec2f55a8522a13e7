/** Exit codes that scripts can rely on. */
import { errorCode, unreachable, type ErrorCode } from '@swarmd/base';

export const EXIT = {
  ok: 0,
  /** The operation failed. */
  failed: 1,
  /** Unknown flag, missing argument, or a value that cannot be right. */
  usage: 2,
  notFound: 3,
  /** No daemon, no leader, or no answer in time. */
  unreachable: 4,
  /** Refused as things are: name taken, port in use, out of date, paused update. */
  refused: 5,
  interrupted: 130,
} as const;

/** A program that was run elsewhere has ended with a code of its own: that becomes ours. */
export class ExitWith extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`exit code ${code}`);
    this.code = code;
  }
}

/** The exit code for a failure. */
export function exitCodeOf(error: unknown): number {
  return codeToExit(errorCode(error));
}

function codeToExit(code: ErrorCode): number {
  switch (code) {
    case 'invalid-argument':
      return EXIT.usage;
    case 'not-found':
      return EXIT.notFound;
    case 'unavailable':
    case 'deadline-exceeded':
      return EXIT.unreachable;
    case 'already-exists':
    case 'failed-precondition':
    case 'out-of-date':
    case 'permission-denied':
    case 'unauthenticated':
    case 'resource-exhausted':
      return EXIT.refused;
    case 'cancelled':
      return EXIT.interrupted;
    case 'unimplemented':
    case 'unknown-outcome':
    case 'data-loss':
    case 'internal':
      return EXIT.failed;
    default:
      return unreachable(code);
  }
}
