/** Why a task cannot stay where it is, as users read it. */
import type { ReasonCode } from '../reasons.ts';

export const LOSS_TEXT = {
  'node-down': 'its node is down',
  'node-drained': 'its node is being drained',
  'node-removed': 'its node was removed from the cluster',
  'node-lost': 'its node has been down for a day',
  'node-unsuitable': 'its node no longer meets the constraints',
  'node-overcommitted': 'its node has less than its tasks reserve',
  preempted: 'a more important task needs its place',
} as const satisfies Partial<Record<ReasonCode, string>>;
