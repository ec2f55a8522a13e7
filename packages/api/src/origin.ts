/** In whose name a manager passes a call on, as metadata: "local", "joiner" or "node/ID/ROLE/CLUSTER". */
import type { Metadata } from '@grpc/grpc-js';
import { SwarmError } from '@swarmd/base';
import { asId } from '@swarmd/model';

import type { Origin } from './contract/call.ts';

const ORIGIN_KEY = 'swarm-origin';

export function setOrigin(metadata: Metadata, origin: Origin): void {
  const { peer, local } = origin;
  const value =
    peer === undefined
      ? local
        ? 'local'
        : 'joiner'
      : `node/${peer.nodeId}/${peer.role}/${peer.clusterId}`;
  metadata.set(ORIGIN_KEY, value);
}

/** Undefined when the call is not passed on. Whether to believe it is the caller's decision. */
export function getOrigin(metadata: Metadata): Origin | undefined {
  const [value] = metadata.get(ORIGIN_KEY);
  if (value === undefined) return undefined;
  if (value === 'local') return { local: true };
  if (value === 'joiner') return { local: false };
  const [kind, nodeId, role, clusterId, ...rest] = String(value).split('/');
  if (
    kind !== 'node' ||
    nodeId === undefined ||
    (role !== 'worker' && role !== 'manager') ||
    clusterId === undefined ||
    rest.length > 0
  ) {
    throw new SwarmError('invalid-argument', `metadata ${ORIGIN_KEY} is malformed`);
  }
  const peer = {
    nodeId: asId('node', nodeId),
    role,
    clusterId: asId('cluster', clusterId),
  } as const;
  return { peer, local: false };
}
