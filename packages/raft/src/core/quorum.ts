/**
 * Arithmetic of majorities. A joint decision needs a majority of both halves; an empty half agrees
 * with everything, so that one set of functions serves both (Raft thesis, section 4.3).
 */
import type { RaftId } from './types.ts';

export type VoteResult = 'won' | 'lost' | 'pending';

export interface Voters {
  readonly incoming: ReadonlySet<RaftId>;
  /** Empty unless joint. */
  readonly outgoing: ReadonlySet<RaftId>;
}

/** The largest index that a majority has reached; Infinity for no voters at all. */
export function majorityIndex(
  voters: ReadonlySet<RaftId>,
  reached: (id: RaftId) => number | undefined,
): number {
  if (voters.size === 0) return Infinity;
  const indexes = [...voters].map((id) => reached(id) ?? 0).sort((a, b) => b - a);
  return indexes[Math.floor(voters.size / 2)] ?? 0;
}

export function jointIndex(voters: Voters, reached: (id: RaftId) => number | undefined): number {
  return Math.min(majorityIndex(voters.incoming, reached), majorityIndex(voters.outgoing, reached));
}

export function majorityVote(
  voters: ReadonlySet<RaftId>,
  votes: ReadonlyMap<RaftId, boolean>,
): VoteResult {
  if (voters.size === 0) return 'won';
  let granted = 0;
  let missing = 0;
  for (const id of voters) {
    const vote = votes.get(id);
    if (vote === undefined) missing++;
    else if (vote) granted++;
  }
  const needed = Math.floor(voters.size / 2) + 1;
  if (granted >= needed) return 'won';
  return granted + missing >= needed ? 'pending' : 'lost';
}

export function jointVote(voters: Voters, votes: ReadonlyMap<RaftId, boolean>): VoteResult {
  const incoming = majorityVote(voters.incoming, votes);
  const outgoing = majorityVote(voters.outgoing, votes);
  if (incoming === outgoing) return incoming;
  return incoming === 'lost' || outgoing === 'lost' ? 'lost' : 'pending';
}

/** Everybody who has a vote in either half, ascending. */
export function allVoters(voters: Voters): RaftId[] {
  return [...new Set([...voters.incoming, ...voters.outgoing])].sort((a, b) => a - b);
}
