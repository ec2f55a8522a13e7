/**
 * Errors between our codes and gRPC statuses, in both directions. The exact code travels in the
 * trailers (`swarm-code`); the gRPC status is for callers that do not know it.
 */
import { Metadata, status, type ServiceError, type StatusObject } from '@grpc/grpc-js';
import { errorCode, errorMessage, SwarmError, type ErrorCode } from '@swarmd/base';

import { STATUS_MESSAGE_MAX_CHARS } from './limits.ts';

const CODE_KEY = 'swarm-code';

const STATUS_OF: Readonly<Record<ErrorCode, status>> = {
  'invalid-argument': status.INVALID_ARGUMENT,
  'not-found': status.NOT_FOUND,
  'already-exists': status.ALREADY_EXISTS,
  'failed-precondition': status.FAILED_PRECONDITION,
  'out-of-date': status.ABORTED,
  'permission-denied': status.PERMISSION_DENIED,
  unauthenticated: status.UNAUTHENTICATED,
  'resource-exhausted': status.RESOURCE_EXHAUSTED,
  unimplemented: status.UNIMPLEMENTED,
  unavailable: status.UNAVAILABLE,
  'deadline-exceeded': status.DEADLINE_EXCEEDED,
  cancelled: status.CANCELLED,
  'unknown-outcome': status.UNKNOWN,
  'data-loss': status.DATA_LOSS,
  internal: status.INTERNAL,
};

/** For statuses that did not come with our code: from gRPC itself, or from a stranger. */
const CODE_OF = new Map<status, ErrorCode>([
  ...Object.entries(STATUS_OF).map(([code, number]) => [number, code as ErrorCode] as const),
  [status.UNKNOWN, 'internal'],
  [status.OUT_OF_RANGE, 'invalid-argument'],
]);

/** What gRPC says when a request has not left this machine. */
const NEVER_SENT = /^(No connection established|Name resolution failed|Failed to connect)/;

/** What it says when a stream ended without a status. */
const LOST = /^Received RST_STREAM with code \d+ \(Call ended without gRPC status\)/;

/**
 * The status to end a call with. Only SwarmErrors tell the caller their message; what else went wrong
 * is our fault, to be logged by the caller of this function and not shown.
 */
export function toStatus(error: unknown): Pick<StatusObject, 'code' | 'details' | 'metadata'> {
  const code = errorCode(error);
  const metadata = new Metadata();
  metadata.set(CODE_KEY, code);
  const expected = error instanceof SwarmError || code === 'cancelled';
  const details = expected
    ? errorMessage(error).slice(0, STATUS_MESSAGE_MAX_CHARS)
    : 'something went wrong inside the server; its log says more';
  return { code: STATUS_OF[code], details, metadata };
}

/** `what` was called (for the message). `writes`: a lost connection leaves the outcome unknown. */
export function fromStatus(
  error: Pick<ServiceError, 'code' | 'details'> & { metadata?: Metadata },
  call: { readonly what: string; readonly writes: boolean },
): SwarmError {
  const [sent] = error.metadata?.get(CODE_KEY) ?? [];
  if (typeof sent === 'string' && Object.hasOwn(STATUS_OF, sent)) {
    return new SwarmError(sent as ErrorCode, error.details, { cause: error });
  }
  const code = LOST.test(error.details) ? 'unavailable' : (CODE_OF.get(error.code) ?? 'internal');
  const unclear = code === 'unavailable' && call.writes && !NEVER_SENT.test(error.details);
  const message = `${call.what}: ${plain(error.details)}`;
  return new SwarmError(unclear ? 'unknown-outcome' : code, message, { cause: error });
}

/** gRPC's words without their ornaments. */
function plain(details: string): string {
  return details
    .replace(/ ?Resolution note: $/, '')
    .replace(/^No connection established\. Last error: (Error: )?/, 'no connection: ');
}
