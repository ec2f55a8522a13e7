import { describe, expect, it } from 'vitest';
import type { RaftMember, RaftStatus } from '@swarmd/raft';

import { checkRemoval } from '../src/membership/quorum.ts';

/** Members 1..n are voters; 1 leads; `reachable` names those besides 1 that answer. */
function status(voters: number, reachable: readonly number[]): RaftStatus {
  const members: RaftMember[] = Array.from({ length: voters }, (_, at) => ({
    raftId: at + 1,
    nodeId: `n${at + 1}`,
    address: `10.0.0.${at + 1}:4243`,
    role: 'voter',
  }));
  return {
    raftId: 1,
    role: 'leader',
    term: 2,
    leader: 1,
    commit: 9,
    applied: 9,
    first: 1,
    last: 9,
    members,
    progress: members.map(({ raftId }) => ({
      raftId,
      state: 'replicate',
      match: 9,
      next: 10,
      recentlyActive: reachable.includes(raftId),
    })),
  };
}

describe('may a manager be removed?', () => {
  it.each([
    { voters: 2, reachable: [2], leaving: 2 },
    { voters: 2, reachable: [], leaving: 2 },
    { voters: 3, reachable: [2, 3], leaving: 3 },
    { voters: 3, reachable: [2], leaving: 3 },
    { voters: 5, reachable: [2, 3], leaving: 5 },
  ])('$voters voters, 1 and $reachable reachable: $leaving may leave', (given) => {
    const now = status(given.voters, given.reachable);
    expect(checkRemoval(now, now.members[given.leaving - 1]!)).toBeUndefined();
  });

  it.each([
    { voters: 1, reachable: [], leaving: 1 },
    { voters: 2, reachable: [], leaving: 1 },
    { voters: 3, reachable: [2], leaving: 2 },
    { voters: 5, reachable: [2, 3], leaving: 2 },
  ])('$voters voters, 1 and $reachable reachable: $leaving may not leave', (given) => {
    const now = status(given.voters, given.reachable);
    expect(checkRemoval(now, now.members[given.leaving - 1]!)?.message).toMatch(
      /last manager|quorum would be lost/,
    );
  });

  it('a learner never counts', () => {
    const now = status(1, []);
    expect(checkRemoval(now, { ...now.members[0]!, raftId: 7, role: 'learner' })).toBeUndefined();
  });
});
