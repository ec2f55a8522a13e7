/** Scenarios 50 to 57 of the Raft checklist, as far as the core alone can show them. */
import { describe, expect, test } from 'vitest';
import type { Message } from '../../src/core/types.ts';
import { ELECTION_TICKS, TestGroup } from './support/group.ts';

function ledGroup(): TestGroup {
  const group = TestGroup.of(3);
  group.elect(1);
  return group;
}

describe('reads', () => {
  test('50: a leader that was replaced without knowing it answers no reads', () => {
    const group = ledGroup();
    group.split([1], [2, 3]);
    // Stopped like a suspended process: its own clock stands still.
    group.tick(3 * ELECTION_TICKS, 2, 3);
    group.propose(group.leaders().find((id) => id !== 1) ?? 0, 'new');
    group.settle();
    group.node(1).step({ kind: 'readIndex', id: 7 });
    group.settle();
    group.heal();
    group.tick(2);
    expect(group.node(1).reads).toEqual([]);
    expect(group.node(1).dropped).toEqual([{ id: 7, why: 'leaderChanged' }]);
  });

  test.each([1, 3])(
    "51: in a group of %i reads wait for a commit of the leader's own term",
    (count) => {
      const group = TestGroup.of(count);
      group.node(1).slowDisk = true;
      group.passes = ({ kind }) => kind !== 'append';
      group.node(1).step({ kind: 'campaign' });
      // Own pre-vote and vote become durable, its first entry does not.
      for (let at = 0; at < 4 && group.leaders().length === 0; at++) {
        group.settle();
        group.node(1).persist();
        group.settle();
      }
      expect(group.leaders()).toEqual([1]);
      group.node(1).step({ kind: 'readIndex', id: 7 });
      group.node(1).work();
      expect(group.node(1).reads).toEqual([]);
      group.heal();
      group.node(1).slowDisk = false;
      group.node(1).persist();
      group.tick(2);
      expect(group.node(1).reads).toEqual([{ id: 7, index: 2 }]);
    },
  );

  test('52: late answers to older heartbeats confirm older reads only', () => {
    const group = ledGroup();
    const late: Message[] = [];
    group.passes = (message) => {
      if (message.kind !== 'heartbeatReply') return true;
      late.push(message);
      return false;
    };
    const leader = group.node(1);
    leader.step({ kind: 'readIndex', id: 7 });
    group.settle();
    // The same id again, as a client might: it is another read.
    leader.step({ kind: 'readIndex', id: 7 });
    leader.work();
    for (const message of late) leader.step({ kind: 'message', message });
    leader.work();
    expect(leader.reads).toEqual([{ id: 7, index: 2 }]);
    group.heal();
    group.tick(1);
    expect(leader.reads).toHaveLength(2);
  });

  test('52: reads that arrive together share one round of heartbeats', () => {
    const group = ledGroup();
    let heartbeats = 0;
    group.passes = ({ kind }) => {
      if (kind === 'heartbeat') heartbeats++;
      return true;
    };
    for (let id = 1; id <= 100; id++) group.node(1).step({ kind: 'readIndex', id });
    group.settle();
    expect(group.node(1).reads).toHaveLength(100);
    expect(heartbeats).toBe(2);
  });

  test('53: a follower reads through its leader, and without one is told at once', () => {
    const group = ledGroup();
    group.propose(1, 'a');
    group.settle();
    group.node(3).step({ kind: 'readIndex', id: 8 });
    group.settle();
    expect(group.node(3).reads).toEqual([{ id: 8, index: 3 }]);
    group.node(3).step({ kind: 'forgetLeader' });
    expect(group.node(3).step({ kind: 'readIndex', id: 9 })).toBe('noLeader');
    group.settle();
    expect(group.node(3).dropped).toEqual([{ id: 9, why: 'noLeader' }]);
  });

  test('54: reads that wait are given up when leadership ends', () => {
    const group = ledGroup();
    group.split([1], [2, 3]);
    for (const id of [1, 2, 3]) group.node(1).step({ kind: 'readIndex', id });
    group.tick(2 * ELECTION_TICKS, 1);
    expect(group.node(1).dropped.map(({ id }) => id)).toEqual([1, 2, 3]);
    group.heal();
    group.tick(3 * ELECTION_TICKS);
    group.elect(1);
    expect(group.node(1).reads).toEqual([]);
  });

  test('54: a smaller quorum after a change confirms what waits', () => {
    const group = ledGroup();
    group.passes = ({ kind }) => kind !== 'heartbeatReply';
    const steps = [
      { kind: 'remove', id: 2 },
      { kind: 'remove', id: 3 },
    ] as const;
    group.node(1).step({ kind: 'readIndex', id: 5 });
    group.settle();
    expect(group.node(1).reads).toEqual([]);
    const change = { transition: 'auto', steps, context: new Uint8Array() } as const;
    group.node(1).step({ kind: 'proposeConfChange', id: 1, change });
    group.settle();
    expect(group.node(1).reads).toEqual([{ id: 5, index: 2 }]);
  });
});

describe('transfer', () => {
  test.each([
    { to: 2, leader: 2, what: 'a caught-up member' },
    { to: 1, leader: 1, what: 'itself' },
    { to: 9, leader: 1, what: 'a stranger' },
  ])('55: to $what: $leader leads', ({ to, leader }) => {
    const group = ledGroup();
    group.node(1).step({ kind: 'transfer', to });
    group.settle();
    expect(group.leaders()).toEqual([leader]);
    expect(group.propose(leader, 'on')).toBe('accepted');
  });

  test('55: to a member that lags: it catches up first', () => {
    const group = ledGroup();
    group.split([1, 2]);
    group.propose(1, 'a');
    group.settle();
    group.heal();
    group.node(1).step({ kind: 'transfer', to: 3 });
    group.tick(2);
    expect(group.leaders()).toEqual([3]);
    expect(group.node(3).texts()).toEqual(['a']);
  });

  test('55: to a learner: nothing happens', () => {
    const group = ledGroup();
    group.change(1, { kind: 'addLearner', id: 3 });
    group.settle();
    group.node(1).step({ kind: 'transfer', to: 3 });
    expect(group.node(1).status().transferTarget).toBe(0);
  });

  test('55: asked on a follower, it is passed on; a second wish replaces the first', () => {
    const group = ledGroup();
    group.split([1, 2]);
    group.propose(1, 'a');
    group.settle();
    group.node(1).step({ kind: 'transfer', to: 3 });
    group.node(2).step({ kind: 'transfer', to: 2 });
    group.settle();
    expect(group.leaders()).toEqual([2]);
  });

  test('56: proposals are refused meanwhile, and taken again after one timeout', () => {
    const group = ledGroup();
    group.split([1, 2]);
    group.propose(1, 'a');
    group.settle();
    group.node(1).step({ kind: 'transfer', to: 3 });
    expect(group.propose(1, 'b')).toBe('transferring');
    group.tick(ELECTION_TICKS, 1);
    expect(group.leaders()).toEqual([1]);
    expect(group.propose(1, 'b')).toBe('accepted');
  });

  test('57: a newer term ends a transfer', () => {
    const group = ledGroup();
    group.split([1, 2]);
    group.propose(1, 'a');
    group.settle();
    group.node(1).step({ kind: 'transfer', to: 3 });
    const { term } = group.node(1).status();
    const address = { from: 2, to: 1, term: term + 1 };
    const append = { previous: { term: 1, index: 1 }, entries: [], commit: 0 };
    group.node(1).step({ kind: 'message', message: { ...address, ...append, kind: 'append' } });
    expect(group.node(1).status()).toMatchObject({
      role: 'follower',
      transferTarget: 0,
      leader: 2,
    });
  });
});
