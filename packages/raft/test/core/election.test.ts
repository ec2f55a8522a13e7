/** Scenarios 1 to 12 of the Raft checklist. */
import { describe, expect, test } from 'vitest';
import type { VoteMessage } from '../../src/core/types.ts';
import { ELECTION_TICKS, entry, TestGroup, voters } from './support/group.ts';

const NO_COMMIT = { term: 0, index: 0 };

function voteRequest(overrides: Partial<VoteMessage>): VoteMessage {
  return {
    kind: 'vote',
    from: 2,
    to: 1,
    term: 5,
    last: { term: 4, index: 9 },
    transfer: false,
    commit: NO_COMMIT,
    ...overrides,
  };
}

describe('election', () => {
  test('1: the leader dies: a new one within two timeouts, nothing committed is lost', () => {
    const group = TestGroup.of(3);
    group.elect(1);
    group.propose(1, 'kept');
    group.settle();
    group.split([2, 3]);
    group.tick(2 * ELECTION_TICKS, 2, 3);
    expect(group.leaders()).toContain(2);
    expect(group.node(2).texts()).toEqual(['kept']);
    expect(group.node(2).status().term).toBeGreaterThan(group.node(1).status().term);
  });

  test('2: timeouts are drawn from [E, 2E) for every campaign, so that split votes resolve', () => {
    const drawn = new Set<number>();
    for (let dice = 0; dice < 1; dice += 0.05) {
      const group = new TestGroup([{ id: 1, conf: voters(1, 2), dice }]);
      let ticks = 0;
      while (group.node(1).status().role === 'follower') {
        group.tick(1);
        ticks++;
      }
      drawn.add(ticks);
    }
    expect(Math.min(...drawn)).toBe(ELECTION_TICKS);
    expect(Math.max(...drawn)).toBe(2 * ELECTION_TICKS - 1);
    expect(drawn.size).toBe(ELECTION_TICKS);
  });

  test.each([
    { last: { term: 3, index: 99 }, granted: false, why: 'an older last term, however long' },
    { last: { term: 4, index: 2 }, granted: false, why: 'the same last term, but shorter' },
    { last: { term: 4, index: 3 }, granted: true, why: 'as much' },
    { last: { term: 5, index: 2 }, granted: true, why: 'a newer last term, however short' },
  ])('3: a log with $why: granted is $granted', ({ last, granted }) => {
    const entries = [entry(2, 2), entry(4, 3)];
    const hard = { term: 4, vote: 0, commit: 1 };
    const group = new TestGroup([{ id: 1, conf: voters(1, 2, 3), entries, hard }]);
    group.node(1).step({ kind: 'message', message: voteRequest({ term: 6, last }) });
    group.node(1).work();
    expect(group.collect()).toMatchObject([{ kind: 'voteReply', to: 2, reject: !granted }]);
  });

  test('4: a vote leaves only when it is durable, and a restart remembers it', () => {
    // Not held back with everything else, but because it is a vote.
    const config = { holdUntilTermIsDurable: false };
    const group = new TestGroup([{ id: 1, conf: voters(1, 2, 3), config }]);
    const node = group.node(1);
    node.slowDisk = true;
    node.step({ kind: 'message', message: voteRequest({}) });
    node.work();
    expect(group.collect()).toEqual([]);
    node.persist();
    expect(group.collect()).toMatchObject([{ kind: 'voteReply', reject: false }]);
    node.slowDisk = false;
    node.restart();
    node.step({ kind: 'message', message: voteRequest({ from: 3 }) });
    node.step({ kind: 'message', message: voteRequest({ from: 2 }) });
    node.work();
    expect(group.collect()).toMatchObject([
      { kind: 'voteReply', to: 3, reject: true },
      { kind: 'voteReply', to: 2, reject: false },
    ]);
  });

  test('5: a member that was cut off comes back without raising the term', () => {
    const group = TestGroup.of(3);
    group.elect(1);
    const { term } = group.node(1).status();
    group.split([1, 2]);
    group.tick(5 * ELECTION_TICKS);
    group.heal();
    group.tick(2);
    expect(group.leaders()).toEqual([1]);
    expect(group.nodes.map((node) => node.status().term)).toEqual([term, term, term]);
  });

  test('6: a leader without its quorum steps down within two timeouts, in its term', () => {
    const group = TestGroup.of(3);
    group.elect(1);
    const { term } = group.node(1).status();
    group.split([1], [2], [3]);
    group.tick(2 * ELECTION_TICKS, 1);
    expect(group.node(1).status()).toMatchObject({ role: 'follower', term, leader: 0 });
  });

  test('who has heard the leader of a term has no vote left in it', () => {
    const group = TestGroup.of(3);
    group.node(2).step({
      kind: 'message',
      message: { kind: 'heartbeat', from: 1, to: 2, term: 7, commit: 1, readSeq: 0 },
    });
    expect(group.node(2).status()).toMatchObject({ term: 7, vote: 0, leader: 1 });
    const message = voteRequest({ from: 3, to: 2, term: 7, last: { term: 6, index: 99 } });
    group.node(2).step({ kind: 'message', message });
    expect(group.node(2).status()).toMatchObject({ term: 7, vote: 0, leader: 1 });
  });

  test('7: a higher term does not disturb members that hear their leader', () => {
    const group = TestGroup.of(3);
    group.elect(1);
    const { term } = group.node(2).status();
    const message = voteRequest({ from: 9, to: 2, term: 50, last: { term: 49, index: 99 } });
    group.node(2).step({ kind: 'message', message });
    group.settle();
    expect(group.node(2).status()).toMatchObject({ term, leader: 1 });
    // Unless the leader itself wants to go.
    group.node(2).step({ kind: 'message', message: { ...message, transfer: true } });
    expect(group.node(2).status().term).toBe(50);
  });

  test('8: a member stuck at a higher term is freed by its answer to the leader', () => {
    const group = TestGroup.of(3, { preVote: false });
    group.elect(1);
    group.split([1, 2]);
    group.tick(2 * ELECTION_TICKS);
    expect(group.node(3).status().term).toBeGreaterThan(group.node(1).status().term);
    group.heal();
    group.tick(4 * ELECTION_TICKS);
    const [leader] = group.leaders();
    expect(group.nodes.map((node) => node.status().leader)).toEqual([leader, leader, leader]);
  });

  test('9: a promoted learner that does not know it grants its vote', () => {
    const conf = { ...voters(1, 2), learners: [3] };
    const group = new TestGroup([{ id: 3, conf }]);
    group.node(3).step({ kind: 'message', message: voteRequest({ to: 3 }) });
    group.settle();
    expect(group.node(3).status()).toMatchObject({ learner: true, vote: 2, term: 5 });
  });

  test('10: the own pre-vote, durable only after the election has begun, counts for nothing', () => {
    const group = TestGroup.of(3);
    const node = group.node(1);
    node.slowDisk = true;
    node.step({ kind: 'campaign' });
    node.work();
    const reply = { from: 2, to: 1, term: 2, reject: false, commit: NO_COMMIT };
    node.step({ kind: 'message', message: { ...reply, kind: 'preVoteReply' } });
    node.step({ kind: 'message', message: { ...reply, from: 3, kind: 'preVoteReply' } });
    expect(node.status().role).toBe('candidate');
    node.work();
    node.persist();
    node.step({ kind: 'message', message: { ...reply, from: 3, kind: 'voteReply', reject: true } });
    expect(node.status().role).toBe('candidate');
  });

  test('11: a single voter elects itself only after its own write', () => {
    const group = TestGroup.of(1, { preVote: false });
    const node = group.node(1);
    node.slowDisk = true;
    node.step({ kind: 'campaign' });
    node.work();
    expect(node.status().role).toBe('candidate');
    node.persist();
    expect(node.status().role).toBe('leader');
  });

  test('12: members with and without pre-vote elect a leader together', () => {
    const conf = voters(1, 2, 3);
    const group = new TestGroup(
      [1, 2, 3].map((id) => ({ id, conf, config: { preVote: id !== 2 } })),
    );
    for (const dead of [0, 1, 2, 3]) {
      const alive = [1, 2, 3].filter((id) => id !== dead);
      group.split(alive);
      group.tick(6 * ELECTION_TICKS);
      expect(group.leaders().filter((id) => alive.includes(id))).toHaveLength(1);
    }
  });
});
