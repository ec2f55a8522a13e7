/** Scenarios 13 to 28 of the Raft checklist, as far as the core alone can show them. */
import { describe, expect, test } from 'vitest';
import type { Entry, Message } from '../../src/core/types.ts';
import { ELECTION_TICKS, entry, TestGroup, voters } from './support/group.ts';

/** A log with entries of these terms from index 2 on. */
function logOf(...terms: number[]): Entry[] {
  return terms.map((term, at) => entry(term, at + 2, `${term}`));
}

function termsOf(group: TestGroup, id: number): (number | undefined)[] {
  const { log } = group.node(id);
  return Array.from({ length: log.last() - 1 }, (_, at) => log.term(at + 2));
}

/** Leader 1 of a group of three, with everything of it acknowledged. */
function ledGroup(config = {}): TestGroup {
  const group = TestGroup.of(3, config);
  group.elect(1);
  return group;
}

describe('log repair', () => {
  test('13: the logs of figure 7 converge', () => {
    const logs = [
      [1, 1, 4, 4, 5, 5, 6, 6, 6],
      [1, 1, 4, 4, 5, 5, 6, 6],
      [1, 1],
      [1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
      [1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
      [1, 1, 4, 4, 4, 4],
      [1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    const conf = voters(1, 2, 3, 4, 5, 6, 7);
    const hard = { term: 7, vote: 0, commit: 1 };
    const group = new TestGroup(
      logs.map((terms, at) => ({ id: at + 1, conf, hard, entries: logOf(...terms) })),
    );
    group.elect(1);
    group.tick(3);
    for (const { id } of group.nodes) expect(termsOf(group, id)).toEqual(termsOf(group, 1));
  });

  test('14: a long divergent tail costs one probe for each term in it', () => {
    const conf = voters(1, 2, 3);
    const many = (term: number): number[] => Array.from({ length: 50 }, () => term);
    const hard = { term: 9, vote: 0, commit: 1 };
    const group = new TestGroup([
      { id: 1, conf, hard, entries: logOf(...many(2), ...many(5), ...many(9)) },
      { id: 2, conf, hard, entries: logOf(...many(2), ...many(3), ...many(4), ...many(6)) },
      { id: 3, conf, hard, entries: logOf(...many(2), ...many(5), ...many(9)) },
    ]);
    let refused = 0;
    group.passes = (message) => {
      if (message.kind === 'appendReply' && message.reject) refused++;
      return true;
    };
    group.elect(1);
    group.tick(2);
    expect(termsOf(group, 2)).toEqual(termsOf(group, 1));
    expect(refused).toBeLessThanOrEqual(4);
  });

  test('15: late, repeated and reordered answers never move match back', () => {
    const group = ledGroup();
    const old: Message[] = [];
    group.passes = (message) => {
      old.push(message);
      return true;
    };
    for (const text of ['a', 'b', 'c']) {
      group.propose(1, text);
      group.settle();
    }
    const before = group.node(1).status().progress;
    for (const message of [...old].reverse()) {
      group.node(message.to).step({ kind: 'message', message });
    }
    group.settle();
    expect(
      group
        .node(1)
        .status()
        .progress.map(({ match }) => match),
    ).toEqual(before.map(({ match }) => match));
    expect(group.node(3).texts()).toEqual(['a', 'b', 'c']);
  });

  test('16: entries that contradict committed ones stop the member', () => {
    const group = ledGroup();
    const { term, commit } = group.node(2).status();
    const append: Message = {
      kind: 'append',
      from: 3,
      to: 2,
      term: term + 1,
      previous: { term: 1, index: 1 },
      entries: [entry(term + 1, 2, 'other')],
      commit: 2,
    };
    expect(commit).toBe(2);
    const node = group.node(2);
    // Below the commit index the answer is the commit index itself.
    node.step({ kind: 'message', message: append });
    node.work();
    expect(group.collect()).toMatchObject([{ kind: 'appendReply', index: 2, reject: false }]);
    expect(() =>
      node.step({
        kind: 'message',
        message: { ...append, commit: 99, previous: { term, index: 2 }, entries: [] },
      }),
    ).not.toThrow();
    const heartbeat: Message = {
      kind: 'heartbeat',
      from: 3,
      to: 2,
      term: term + 1,
      commit: 99,
      readSeq: 0,
    };
    expect(() => node.step({ kind: 'message', message: heartbeat })).toThrow(
      /corrupted, truncated or lost/,
    );
  });

  test('17: a window whose messages were all lost recovers after a heartbeat', () => {
    const group = ledGroup({ maxInflightMessages: 2 });
    group.split([1, 2]);
    for (const text of ['a', 'b', 'c', 'd']) group.propose(1, text);
    group.settle();
    expect(group.node(1).status().progress[2]).toMatchObject({
      inflightFull: 'messages',
      paused: true,
    });
    group.heal();
    group.tick(3);
    expect(group.node(3).texts()).toEqual(['a', 'b', 'c', 'd']);
  });

  test('18: a caught-up follower in probe returns to replicate', () => {
    const group = ledGroup();
    group.node(1).step({ kind: 'unreachable', peer: 2 });
    expect(group.node(1).status().progress[1]?.state).toBe('probe');
    group.tick(1);
    expect(group.node(1).status().progress[1]?.state).toBe('replicate');
  });

  test('19: an append does not commit what a follower has beyond it from an older leader', () => {
    const conf = voters(1, 2, 3);
    const group = new TestGroup([
      { id: 2, conf, entries: [entry(1, 2), entry(2, 3, 'of another')] },
    ]);
    const append = { kind: 'append', from: 1, to: 2, term: 3, entries: [], commit: 3 } as const;
    const message = { ...append, previous: { term: 1, index: 2 } };
    group.node(2).step({ kind: 'message', message });
    expect(group.node(2).status()).toMatchObject({ commit: 2, last: 3 });
  });

  test('19: heartbeats do not commit what a follower has not acknowledged', () => {
    const group = ledGroup();
    group.passes = (message) => message.to !== 3 || message.kind !== 'append';
    group.propose(1, 'a');
    group.tick(2);
    expect(group.node(1).status().commit).toBe(3);
    expect(group.node(3).status()).toMatchObject({ commit: 2, last: 2 });
  });

  test('20: acknowledgements of an older term are ignored', () => {
    const group = ledGroup();
    const late: Message[] = [];
    group.passes = (message) => {
      if (message.kind !== 'appendReply') return true;
      late.push(message);
      return false;
    };
    group.propose(1, 'old');
    group.settle();
    group.heal();
    group.node(1).step({ kind: 'transfer', to: 2 });
    group.tick(1);
    group.elect(1);
    const [leader] = group.leaders();
    const node = group.node(leader ?? 0);
    const before = node.status().progress;
    for (const message of late)
      node.step({ kind: 'message', message: { ...message, to: node.id } });
    expect(node.status().progress).toEqual(before);
  });

  test('21: an entry larger than a message still travels, alone', () => {
    const group = ledGroup({ maxMessageBytes: 10 });
    const sizes: number[] = [];
    group.passes = (message) => {
      if (message.kind === 'append') sizes.push(message.entries.length);
      return true;
    };
    group.propose(1, 'x'.repeat(500));
    group.propose(1, 'y'.repeat(500));
    group.settle();
    expect(group.node(3).texts()).toHaveLength(2);
    expect(Math.max(...sizes)).toBe(1);
  });

  test('22: a peer that never hears of a commit learns it with the next heartbeat', () => {
    const group = ledGroup();
    group.passes = (message) =>
      message.kind !== 'append' || message.to !== 3 || message.entries.length > 0;
    group.propose(1, 'a');
    group.settle();
    expect(group.node(3).texts()).toEqual([]);
    group.tick(1);
    expect(group.node(3).texts()).toEqual(['a']);
  });
});

describe('commit safety', () => {
  test('23: an entry of an older term is not committed by being on a majority (figure 8)', () => {
    const conf = voters(1, 2, 3, 4, 5);
    const hard = { term: 3, vote: 0, commit: 1 };
    const group = new TestGroup(
      [1, 2, 3, 4, 5].map((id) => ({ id, conf, hard, entries: id <= 3 ? logOf(2) : [] })),
    );
    // The old entry is known to be on a majority; the leader's own first one reaches nobody.
    group.passes = ({ kind }) => kind !== 'append';
    const leader = group.elect(1);
    const { term } = leader.status();
    const reply = { kind: 'appendReply', to: 1, term, index: 2, reject: false } as const;
    for (const from of [2, 3]) {
      const hint = { term: 0, index: 0 };
      leader.step({ kind: 'message', message: { ...reply, from, hint } });
    }
    expect(leader.status()).toMatchObject({ role: 'leader', commit: 1 });
    group.heal();
    group.tick(2);
    expect(group.node(1).status().commit).toBe(3);
  });

  test('24: the leader counts itself only when its own write is durable', () => {
    const group = ledGroup();
    group.node(1).slowDisk = true;
    group.split([1, 2]);
    group.propose(1, 'a');
    group.settle();
    expect(group.node(1).status().commit).toBe(2);
    group.node(1).persist();
    expect(group.node(1).status().commit).toBe(3);
  });

  test('25: a single member commits nothing before its own write is durable', () => {
    const group = TestGroup.of(1);
    group.elect(1);
    const node = group.node(1);
    node.slowDisk = true;
    group.propose(1, 'a');
    group.settle();
    expect(node.status().commit).toBe(2);
    expect(node.texts()).toEqual([]);
    node.persist();
    group.settle();
    expect(node.texts()).toEqual(['a']);
  });

  test('26: writes of a leader with a minority never become visible', () => {
    const group = ledGroup();
    group.split([1], [2, 3]);
    group.propose(1, 'lost');
    group.tick(3 * ELECTION_TICKS);
    const [leader = 0] = group.leaders();
    group.propose(leader, 'kept');
    group.heal();
    group.tick(3);
    expect(group.nodes.map((node) => node.texts())).toEqual([['kept'], ['kept'], ['kept']]);
  });

  test('27: a proposal is reported with its place, which tells whether it came through', () => {
    const group = ledGroup();
    group.split([1], [2, 3]);
    group.propose(1, 'lost');
    group.settle();
    const [place] = group.node(1).proposed;
    group.tick(3 * ELECTION_TICKS);
    group.propose(group.leaders()[0] ?? 0, 'kept');
    group.heal();
    group.tick(3);
    const there = group.node(1).applied.find(({ index }) => index === place?.index);
    expect(there?.term).not.toBe(place?.term);
  });

  test('68: proposals beyond the uncommitted limit are refused, one always gets through', () => {
    const group = ledGroup({ maxUncommittedBytes: 10 });
    group.split([1]);
    expect(group.propose(1, 'x'.repeat(100))).toBe('accepted');
    expect(group.propose(1, 'y')).toBe('tooMuchUncommitted');
    group.heal();
    group.tick(1);
    expect(group.propose(1, 'y')).toBe('accepted');
    group.settle();
    expect(group.node(1).dropped).toEqual([{ id: 1, why: 'tooMuchUncommitted' }]);
    expect(group.node(3).texts()).toHaveLength(2);
  });
});
