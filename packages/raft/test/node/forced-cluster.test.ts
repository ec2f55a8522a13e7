import { errorMessage } from '@swarmd/base';
import { afterEach, describe, expect, test } from 'vitest';

import { decodeConfChange, encodeConfChange } from '../../src/core/conf-change-codec.ts';
import type { ConfChange, ConfChangeStep, ConfState, Entry } from '../../src/core/types.ts';
import { forceCluster, type Survivor } from '../../src/node/forced-cluster.ts';
import { EMPTY_BOOK, memberContext } from '../../src/node/membership.ts';
import { EMPTY_CONF } from '../../src/wal/header.ts';
import { CLUSTER_ID, deadline, sayHello, TestCluster, TEST_MS } from './cluster.ts';

let cluster: TestCluster | undefined;

afterEach(async () => {
  await cluster?.[Symbol.asyncDispose]();
  cluster = undefined;
});

const bytes = (text: string): Uint8Array => Buffer.from(text);

test(
  '40: force-new-cluster: the survivor leads alone with all it has; the others are refused',
  { timeout: TEST_MS },
  async () => {
    cluster = await TestCluster.of(3, { snapshotEvery: 20 });
    const { raft } = await cluster.untilLeader();
    for (let i = 0; i < 50; i += 1) await raft.propose(bytes(`before ${i}`), deadline());
    await cluster.untilEqual();
    for (const name of ['m1', 'm2', 'm3']) await cluster.stop(name);

    const survivor = await cluster.start('m2', 'restart', { forceNewCluster: true });
    expect(survivor.raft.status()).toMatchObject({ role: 'leader', members: [{ nodeId: 'm2' }] });
    await survivor.raft.propose(bytes('after'), deadline());
    expect(survivor.machine.items).toHaveLength(51);

    // The others come back with what they have, and hear that they are out.
    const former = await cluster.restart('m3');
    const why = await former.raft.failed.catch((error: unknown) => errorMessage(error));
    expect(why).toMatch(/member 3 was removed from cluster test-cluster.*joins anew/u);
    await cluster.stop('m3');

    // A flag that stays set changes nothing, and new members come in as ever.
    const { term } = survivor.raft.status();
    await cluster.stop('m2');
    const again = await cluster.start('m2', 'restart', { forceNewCluster: true });
    expect(again.raft.status().members).toHaveLength(1);
    expect(again.raft.status().term).toBe(term + 1);
    for (let i = 0; i < 50; i += 1) await again.raft.propose(bytes(`later ${i}`), deadline());
    await cluster.join('m4');
    await cluster.untilEqual(['m2', 'm4']);

    // A member that the others took in behind the survivor's back is a stranger of another
    // cluster with the same id; m4 has heard of that by a snapshot.
    const stranger = cluster.ca.issue({ cluster: CLUSTER_ID, node: 'm9' });
    for (const name of ['m2', 'm4']) {
      const answer = await sayHello(cluster.member(name), stranger, { from: 9, nodeId: 'm9' });
      expect(answer).toBe('member 9 was removed from the cluster');
    }
  },
);

describe('40: the changes that found a new cluster', () => {
  const self = { raftId: 1, nodeId: 'a', address: 'a:1' };
  const members = [
    self,
    { raftId: 2, nodeId: 'b', address: 'b:1' },
    { raftId: 3, nodeId: 'c', address: 'c:1' },
  ];
  const conf = (part: Partial<ConfState>): ConfState => ({ ...EMPTY_CONF, ...part });

  function survivor(part: Partial<Survivor>): Survivor {
    return {
      self,
      hard: { term: 4, vote: 2, commit: 10 },
      conf: conf({ voters: [1, 2, 3] }),
      book: { members, removed: [] },
      entries: [],
      last: 10,
      ...part,
    };
  }

  function change(index: number, steps: ConfChangeStep[], more: Partial<ConfChange> = {}): Entry {
    const content: ConfChange = { transition: 'auto', steps, context: new Uint8Array(), ...more };
    return { index, term: 4, kind: 'confChange', data: encodeConfChange(content) };
  }

  /** In words: `-2` removes 2, `+1` makes 1 a voter, `leave` ends a joint membership. */
  function words(entries: readonly Entry[]): string {
    const signs = { addVoter: '+', remove: '-', addLearner: '~', update: '=' };
    return entries
      .map(decodeConfChange)
      .map(({ steps }) => steps.map(({ kind, id }) => `${signs[kind]}${id}`).join() || 'leave')
      .join(' ');
  }

  const cases: [string, Partial<Survivor>, string][] = [
    ['a voter', {}, '+1 -2 -3'],
    ['a learner', { conf: conf({ voters: [2, 3], learners: [1] }) }, '+1 -2 -3'],
    [
      'a joint membership',
      {
        conf: conf({ voters: [1, 2], votersOutgoing: [1, 3], learnersNext: [3], autoLeave: true }),
      },
      'leave +1 -2 -3',
    ],
    [
      'on its way out of a joint membership',
      { conf: conf({ voters: [2, 3], votersOutgoing: [1, 3], autoLeave: true }) },
      'leave +1 -2 -3',
    ],
    [
      'a member that was added in the tail of the log',
      {
        entries: [
          change(10, [{ kind: 'addLearner', id: 7 }], {
            context: memberContext({ members: [{ raftId: 7, nodeId: 'g', address: 'g:1' }] }),
          }),
        ],
      },
      '+1 -2 -3 -7',
    ],
    [
      'another member that is a learner only',
      {
        conf: conf({ voters: [1], learners: [2] }),
        book: { members: members.slice(0, 2), removed: [3] },
      },
      '+1 -2',
    ],
  ];

  test.each(cases)('for %s', (_, part, expected) => {
    const forced = forceCluster(survivor(part), 77);
    expect(words(forced?.append ?? [])).toBe(expected);
    expect(forced?.append[0]).toMatchObject({ index: 11, term: 5 });
    const commit = 10 + (forced?.append.length ?? 0);
    expect(forced?.hard).toEqual({ term: 5, vote: 1, commit });
  });

  test('none for one that is alone already', () => {
    const alone = { conf: conf({ voters: [1] }), book: { members: [self], removed: [2, 3] } };
    expect(forceCluster(survivor(alone), 77)).toBeUndefined();
  });

  test('none for one that the log does not know of', () => {
    const newcomer = { conf: EMPTY_CONF, book: EMPTY_BOOK, last: 0 };
    expect(() => forceCluster(survivor(newcomer), 77)).toThrow(/holds nothing to found a cluster/u);
  });
});
