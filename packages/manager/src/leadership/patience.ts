/** What is waited for an election must be longer than one takes, also where Raft is given more time. */
import { electionMsOf, RAFT_TIMINGS, type RaftTiming } from '@swarmd/raft';

/** A timeout is drawn up to twice its least value; the votes and a new leader's first entry come on top. */
const ELECTION_TIMEOUTS = 3;

/** `leastMs`, or as long as an election may take with `timing`. */
export function beyondElections(leastMs: number, timing: RaftTiming = RAFT_TIMINGS.lan): number {
  return Math.max(leastMs, electionMsOf(timing) * ELECTION_TIMEOUTS);
}
