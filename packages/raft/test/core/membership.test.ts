/** Scenarios 29 to 48 of the Raft checklist, as far as the core alone can show them. */
import { describe, expect, test } from 'vitest';
import { EMPTY_CONF_STATE } from '../../src/core/membership.ts';
import type { ConfChangeStep } from '../../src/core/types.ts';
import { ELECTION_TICKS, entry, TestGroup, voters } from './support/group.ts';

const learner = (id: number): ConfChangeStep => ({ kind: 'addLearner', id });
const voter = (id: number): ConfChangeStep => ({ kind: 'addVoter', id });
const removal = (id: number): ConfChangeStep => ({ kind: 'remove', id });

function ledGroup(count: number, config = {}): TestGroup {
  const group = TestGroup.of(count, config);
  group.elect(1);
  return group;
}

/** Adds an empty node, whose driver takes a snapshot for it when that is asked for. */
function join(group: TestGroup, id: number): void {
  group.add({ id, conf: EMPTY_CONF_STATE });
  group.tick(2);
  for (const node of group.nodes) if (node.snapshotFrom > 0) node.compact();
  group.tick(2);
}

describe('membership', () => {
  test('29: add, promote, demote and remove while commands go through', () => {
    const group = ledGroup(3);
    const texts: string[] = [];
    const write = (): void => {
      texts.push(`w${texts.length}`);
      group.propose(1, texts.at(-1) ?? '');
    };
    for (const steps of [[learner(4)], [voter(4)], [learner(3)], [removal(2)]]) {
      write();
      group.change(1, ...steps);
      write();
      group.settle();
      if (!group.nodes.some(({ id }) => id === 4)) join(group, 4);
    }
    group.tick(2);
    expect(group.node(1).core.confState()).toMatchObject({ voters: [1, 4], learners: [3] });
    expect(group.node(4).core.confState()).toEqual(group.node(1).core.confState());
    expect(group.node(1).texts()).toEqual(texts);
    expect(group.node(3).texts()).toEqual(texts);
  });

  test('30: a second change is refused while one is not applied', () => {
    const group = ledGroup(3);
    expect(group.change(1, learner(4))).toBe('accepted');
    expect(group.change(1, learner(5))).toBe('confChangeRefused');
    group.settle();
    expect(group.node(1).dropped).toEqual([{ id: 2, why: 'confChangeRefused' }]);
    expect(group.change(1, learner(5))).toBe('accepted');
    group.settle();
    expect(group.node(2).core.confState().learners).toEqual([4, 5]);
  });

  test('31: a new leader takes no change before it has applied what it found in its log', () => {
    const group = ledGroup(3);
    group.node(2).applies = false;
    group.propose(1, 'a');
    group.settle();
    group.node(1).step({ kind: 'transfer', to: 2 });
    group.settle();
    expect(group.leaders()).toEqual([2]);
    expect(group.change(2, learner(4))).toBe('confChangeRefused');
    group.settle();
    group.node(2).apply();
    expect(group.change(2, learner(4))).toBe('accepted');
    group.settle();
    expect(group.node(3).core.confState().learners).toEqual([4]);
  });

  test('32: no campaign with a committed change that is not applied, not even when asked', () => {
    const group = ledGroup(3);
    group.node(2).applies = false;
    group.change(1, learner(4));
    group.settle();
    const { term } = group.node(2).status();
    group.node(2).step({ kind: 'campaign' });
    group.node(1).step({ kind: 'transfer', to: 2 });
    group.settle();
    expect(group.node(2).status()).toMatchObject({ role: 'follower', term });
    group.node(2).apply();
    group.node(2).step({ kind: 'campaign' });
    expect(group.node(2).status().role).toBe('pre-candidate');
  });

  test('33: in a joint membership both majorities are needed to commit', () => {
    const group = ledGroup(3);
    for (const id of [4, 5]) {
      group.change(1, learner(id));
      group.settle();
      join(group, id);
    }
    const steps = [voter(4), voter(5), removal(2), removal(3)];
    const change = { transition: 'explicit', steps, context: new Uint8Array() } as const;
    group.node(1).step({ kind: 'proposeConfChange', id: 3, change });
    group.settle();
    expect(group.node(1).core.confState()).toMatchObject({
      voters: [1, 4, 5],
      votersOutgoing: [1, 2, 3],
    });
    const committed = (): number => group.node(1).status().commit;
    const before = committed();
    // All of the new half, only the leader of the old one.
    group.split([1, 4, 5]);
    group.propose(1, 'a');
    group.settle();
    expect(committed()).toBe(before);
    group.split([1, 2, 4]);
    group.tick(2);
    expect(committed()).toBe(before + 1);
  });

  test('34: a new leader finishes the automatic leave exactly once', () => {
    const group = ledGroup(3);
    const leaves = (): number =>
      group.node(2).applied.filter(({ kind, data }) => kind === 'confChange' && data.length === 0)
        .length;
    // Joint on all, but the leave stays with the leader.
    group.passes = ({ kind, ...rest }) =>
      kind !== 'append' ||
      !('entries' in rest) ||
      rest.entries.every((at) => at.kind === 'normal' || at.data.length > 0);
    group.change(1, learner(2), learner(4));
    group.settle();
    expect(group.node(3).core.confState().votersOutgoing).toEqual([1, 2, 3]);
    group.split([2, 3]);
    group.tick(3 * ELECTION_TICKS);
    group.heal();
    group.tick(3);
    expect(group.node(1).core.confState()).toMatchObject({ voters: [1, 3], learners: [2, 4] });
    expect(leaves()).toBe(1);
  });

  test('35: a leader removes itself, steps down, and the others go on', () => {
    const group = ledGroup(3);
    group.change(1, removal(1));
    group.settle();
    expect(group.node(1).status().role).toBe('follower');
    group.tick(3 * ELECTION_TICKS);
    const [leader = 0] = group.leaders();
    expect([2, 3]).toContain(leader);
    group.propose(leader, 'on');
    group.settle();
    expect(group.node(2).texts()).toEqual(['on']);
    expect(group.node(1).texts()).toEqual([]);
  });

  test('38: the only electable member learns the commit index from those it asks', () => {
    // 1 has everything, but does not know that the change to {1, 2, 3} is committed; 2 does, and
    // with a shorter log cannot win. Without that knowledge neither could stand.
    const change = {
      index: 2,
      term: 1,
      kind: 'confChange',
      data: new Uint8Array([8, 0, 18, 4, 8, 0, 16, 3]),
    } as const;
    const conf = voters(1, 2);
    const entries = [change, entry(1, 3, 'more')];
    const group = new TestGroup([
      { id: 1, conf, entries, hard: { term: 1, vote: 0, commit: 1 } },
      { id: 2, conf, entries: [change], hard: { term: 1, vote: 0, commit: 2 } },
    ]);
    group.settle();
    expect(group.node(2).core.confState().voters).toEqual([1, 2, 3]);
    group.node(2).step({ kind: 'campaign' });
    group.settle();
    expect(group.node(1).core.confState().voters).toEqual([1, 2, 3]);
    group.elect(1);
    expect(group.leaders()).toEqual([1]);
  });

  test('39: losing a dead learner needs no vote of it', () => {
    const group = ledGroup(3);
    group.change(1, learner(9));
    group.settle();
    group.change(1, removal(9));
    group.tick(2 * ELECTION_TICKS);
    expect(group.node(1).core.confState().learners).toEqual([]);
    expect(group.leaders()).toEqual([1]);
  });
});

describe('snapshots', () => {
  function withStraggler(): TestGroup {
    const group = ledGroup(3);
    group.split([1, 2]);
    for (const text of ['a', 'b', 'c']) group.propose(1, text);
    group.settle();
    group.node(1).compact();
    group.heal();
    return group;
  }

  test('41: a member behind the compacted log gets a snapshot and goes on from the log', () => {
    const group = withStraggler();
    group.tick(3);
    expect(group.node(3).log.snapshot()?.index).toBe(5);
    group.propose(1, 'd');
    group.settle();
    expect(group.node(3).texts()).toEqual(['d']);
    expect(group.node(1).status().progress[2]).toMatchObject({ state: 'replicate', match: 6 });
  });

  test('44: a snapshot that is lost without a report does not silence the peer for ever', () => {
    const group = withStraggler();
    group.passes = ({ kind }) => kind !== 'snapshot';
    group.tick(3);
    expect(group.node(1).status().progress[2]?.state).toBe('snapshot');
    group.heal();
    group.tick(2400);
    expect(group.node(1).status().progress[2]?.state).toBe('replicate');
    group.propose(1, 'd');
    group.settle();
    expect(group.node(3).texts()).toEqual(['d']);
  });

  test('44: a failed snapshot is no meeting point', () => {
    const group = withStraggler();
    group.passes = ({ kind }) => kind !== 'snapshot';
    group.tick(3);
    group.node(1).step({ kind: 'snapshotStatus', peer: 3, ok: false });
    expect(group.node(1).status().progress[2]).toMatchObject({ state: 'probe', next: 3 });
  });

  test('45: an old snapshot is ignored, one of the own log only moves the commit index', () => {
    const group = ledGroup(3);
    group.passes = ({ kind, to }) => to !== 3 || kind === 'append';
    group.node(3).applies = false;
    group.propose(1, 'a');
    group.settle();
    const node = group.node(3);
    const { last, commit, term } = node.status();
    const confState = voters(1, 2, 3);
    const message = { kind: 'snapshot', from: 1, to: 3, term } as const;
    const old = { index: 1, term: 1, confState };
    node.step({ kind: 'message', message: { ...message, snapshot: old } });
    expect(node.status()).toMatchObject({ last, commit, first: 2 });
    // Nor one of which the log knows nothing any more.
    node.log.setSnapshot({ ...node.log.snapshot(), index: commit, term, confState });
    node.log.compact(commit);
    node.step({ kind: 'message', message: { ...message, snapshot: old } });
    expect(node.status()).toMatchObject({ last, commit, first: commit + 1 });
    const own = { index: last, term: node.log.term(last) ?? 0, confState };
    node.step({ kind: 'message', message: { ...message, snapshot: own } });
    expect(node.status()).toMatchObject({ last, commit: last, first: commit + 1 });
  });

  test('47: a newcomer gets a snapshot that names it, or one is asked for', () => {
    const group = ledGroup(3);
    group.node(1).compact();
    group.change(1, learner(4));
    group.settle();
    group.add({ id: 4, conf: EMPTY_CONF_STATE });
    group.tick(2);
    expect(group.node(4).log.last()).toBe(0);
    expect(group.node(1).snapshotFrom).toBe(3);
    group.node(1).compact();
    group.tick(2);
    expect(group.node(4).log.snapshot()).toMatchObject({ index: 3, confState: { learners: [4] } });
  });

  test('48: a change that a snapshot has overtaken in the apply queue is not applied again', () => {
    const group = ledGroup(3);
    group.node(3).applies = false;
    group.change(1, learner(4));
    group.settle();
    group.split([1, 2]);
    group.change(1, removal(4));
    group.settle();
    group.node(1).compact();
    group.heal();
    group.tick(3);
    expect(group.node(3).core.confState().learners).toEqual([]);
    group.node(3).apply();
    expect(group.node(3).core.confState().learners).toEqual([]);
  });
});
