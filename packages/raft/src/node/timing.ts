/**
 * How fast members notice that one of them is silent, by what lies between them. A heartbeat must
 * come and be answered several times within an election timeout, whatever the network does to one of
 * them; a round trip is no more than a fifth of the timeout (thesis, section 3.9: a message takes far
 * less than a timeout). The tick is the same everywhere: it is how finely timeouts are drawn.
 */
import type { RaftOptions, RaftTiming } from './types.ts';

/**
 * lan: a heartbeat every 100 ms, elections after 1 to 2 s; for round trips up to 50 ms, with a margin
 * for pauses of garbage collection and disks. wan: 250 ms and 2.5 to 5 s; for round trips up to
 * 500 ms. Members with different profiles work together: a vote is refused while the leader is heard.
 */
export const RAFT_TIMINGS = {
  lan: { tickMs: 50, heartbeatTicks: 2, electionTicks: 20 },
  wan: { tickMs: 50, heartbeatTicks: 5, electionTicks: 50 },
} as const satisfies Record<string, RaftTiming>;

export type RaftProfile = keyof typeof RAFT_TIMINGS;

export function timingOf({ timing }: Pick<RaftOptions, 'timing'>): RaftTiming {
  return timing ?? RAFT_TIMINGS.lan;
}

/** The shortest silence of a leader after which another one is elected. */
export function electionMsOf(timing: RaftTiming): number {
  return timing.tickMs * timing.electionTicks;
}
