/**
 * Answers from one manager's own copy of the state. The request says `swarm-stale: 1` in its metadata;
 * the answer's trailers say how old the copy is: `swarm-applied-index`, `swarm-age-ms`.
 */
import type { Metadata } from '@grpc/grpc-js';

import type { ReplicaState } from './contract/call.ts';

const STALE_KEY = 'swarm-stale';
const INDEX_KEY = 'swarm-applied-index';
const AGE_KEY = 'swarm-age-ms';

export function setStale(metadata: Metadata): void {
  metadata.set(STALE_KEY, '1');
}

export function isStale(metadata: Metadata): boolean {
  return metadata.get(STALE_KEY)[0] === '1';
}

export function setReplicaState(metadata: Metadata, { index, ageMs }: ReplicaState): void {
  metadata.set(INDEX_KEY, String(index));
  metadata.set(AGE_KEY, String(Math.round(ageMs)));
}

/** Undefined when the answer is not from such a copy. */
export function getReplicaState(metadata: Metadata): ReplicaState | undefined {
  const [index] = metadata.get(INDEX_KEY);
  const [age] = metadata.get(AGE_KEY);
  if (index === undefined || age === undefined) return undefined;
  return { index: Number(index), ageMs: Number(age) };
}
