/** What makes attempts of one request known as such, as metadata: `swarm-request-id`. */
import type { Metadata } from '@grpc/grpc-js';
import { SwarmError } from '@swarmd/base';

import { REQUEST_ID_MAX_CHARS } from './limits.ts';

const REQUEST_ID_KEY = 'swarm-request-id';

export function setRequestId(metadata: Metadata, requestId: string): void {
  metadata.set(REQUEST_ID_KEY, requestId);
}

/** @throws SwarmError `invalid-argument` */
export function getRequestId(metadata: Metadata): string | undefined {
  const [value] = metadata.get(REQUEST_ID_KEY);
  if (value === undefined) return undefined;
  const requestId = String(value);
  if (requestId !== '' && requestId.length <= REQUEST_ID_MAX_CHARS) return requestId;
  throw new SwarmError(
    'invalid-argument',
    `metadata ${REQUEST_ID_KEY} must have 1 to ${REQUEST_ID_MAX_CHARS} characters`,
  );
}
