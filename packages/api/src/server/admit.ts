/** Who is calling, and may they? The one place where authorization is enforced. */
import type { Metadata } from '@grpc/grpc-js';
import { SwarmError } from '@swarmd/base';

import type { Call, PeerIdentity } from '../contract/call.ts';
import { getOrigin } from '../origin.ts';
import type { Access } from '../service/definition.ts';

/** Where a call came in, and what the connection proved. */
export type Connection =
  { readonly kind: 'local' } | { readonly kind: 'cluster'; readonly peer?: PeerIdentity };

export type Caller = Pick<Call, 'peer' | 'local' | 'forwardedBy'>;

/**
 * The caller in whose name the call is made: that of the connection, or the origin that a manager
 * names. The origin must itself be allowed to make the call.
 * @throws SwarmError `unauthenticated`, `permission-denied`
 */
export function admit(
  connection: Connection,
  method: { readonly path: string; readonly access: Access },
  metadata: Metadata,
): Caller {
  const origin = getOrigin(metadata);
  if (connection.kind === 'local') {
    if (origin !== undefined) throw denied(method.path, 'local callers have no origin to name');
    return { local: true };
  }
  const { peer } = connection;
  if (origin === undefined) {
    authorize(peer, method);
    return peer === undefined ? {} : { peer };
  }
  if (peer?.role !== 'manager') throw denied(method.path, 'only managers pass calls on');
  if (method.access === 'nobody') throw denied(method.path, 'it is for local callers');
  if (!origin.local) authorize(origin.peer, method);
  return {
    forwardedBy: peer,
    ...(origin.local ? { local: true } : {}),
    ...(origin.peer === undefined ? {} : { peer: origin.peer }),
  };
}

function authorize(
  peer: PeerIdentity | undefined,
  method: { readonly path: string; readonly access: Access },
): void {
  const { access, path } = method;
  if (access === 'anyone') return;
  if (access === 'nobody') throw denied(path, 'it is for local callers');
  if (peer === undefined) {
    throw new SwarmError(
      'unauthenticated',
      `${path} needs a certificate of this cluster; join it first (swarmctl swarm join)`,
    );
  }
  if (access === 'manager' && peer.role !== 'manager') {
    throw denied(path, `it is for managers, and node ${peer.nodeId} is a ${peer.role}`);
  }
}

function denied(path: string, why: string): SwarmError {
  return new SwarmError('permission-denied', `${path} is refused: ${why}`);
}
