import { silentLogger } from '@swarmd/base';
import { ManualClock } from '@swarmd/base/testing';
import * as fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';

import { decodeConfChange } from '../../src/core/conf-change-codec.ts';
import type { ProgressStatus, Status } from '../../src/core/types.ts';
import { packBatch, unpackBatch } from '../../src/node/apply-batch.ts';
import { packChunks, unpackChunks } from '../../src/node/chunk-frames.ts';
import {
  bootstrapEntry,
  checkChange,
  confChangeOf,
  MemberBook,
} from '../../src/node/membership.ts';
import { Reads } from '../../src/node/reads.ts';
import type { MembershipChange } from '../../src/node/types.ts';
import { StateMachineFeed } from '../../src/node/state-machine-feed.ts';
import { Ticker } from '../../src/node/ticker.ts';
import { Watchdog } from '../../src/node/watchdog.ts';

describe('chunks of a state machine', () => {
  test('keep their boundaries through frames', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200_000 }), { maxLength: 12 }), (chunks) => {
        const frames = [...packChunks(chunks)];
        const back = [...unpackChunks(frames)];
        expect(back.map((c) => Buffer.from(c))).toEqual(chunks.map((c) => Buffer.from(c)));
      }),
      { numRuns: 30 },
    );
  });

  test('one that is too large is refused', () => {
    expect(() => [...packChunks([new Uint8Array(16 * 1024 * 1024 + 1)])]).toThrow(/limit is/u);
  });
});

describe("the state machine's feed", () => {
  const turns: (() => void)[] = [];
  const posted: string[] = [];
  const seen: string[] = [];
  const chunks = ['a', 'b', 'c'].map((text) => Buffer.from(text));
  let feed: StateMachineFeed;
  /** Milliseconds that a frame takes. */
  let frameMs = 0;
  beforeEach(() => {
    frameMs = 5;
    let now = 0;
    for (const list of [turns, posted, seen]) list.length = 0;
    feed = new StateMachineFeed(
      {
        apply: () => undefined,
        snapshot: () => chunks,
        restore: (index) => ({
          take: (chunk) => void seen.push(Buffer.from(chunk).toString()),
          finish: () => void seen.push(`stands at ${index}`),
        }),
      },
      {
        clock: { monotonic: () => now },
        post: ({ kind }) => {
          posted.push(kind);
          now += frameMs;
        },
        nextTurn: (step) => turns.push(step),
        frameBytes: 5,
      },
    );
  });

  /** What one turn of the event loop brings; as many steps as were asked for before it. */
  const turn = (): string[] => {
    const from = posted.length;
    for (const step of turns.splice(0)) step();
    return posted.slice(from);
  };

  test('a snapshot is taken in with a turn for each frame that takes long, and counts when it is whole', () => {
    feed.handle({ kind: 'restoreBegin', index: 7 });
    for (const frame of packChunks(chunks, 10)) feed.handle({ kind: 'restoreFrame', frame });
    feed.handle({ kind: 'restoreEnd' });
    expect([posted, seen]).toEqual([[], []]);
    expect([turn(), seen.join()]).toEqual([['restoreCredit'], 'a,b']);
    expect([turn(), seen.join()]).toEqual([['restoreCredit'], 'a,b,c']);
    expect(feed.applied).toBe(0);
    expect(turn()).toEqual(['restored']);
    expect([seen.at(-1), feed.applied, turns.length]).toEqual(['stands at 7', 7, 0]);
  });

  test('a picture is read with a turn for each frame that takes long, however much room there is for more', () => {
    feed.handle({ kind: 'takeSnapshot' });
    for (let credit = 0; credit < 5; credit += 1) feed.handle({ kind: 'snapshotCredit' });
    expect(posted).toEqual(['snapshotBegin']);
    for (let frame = 0; frame < 3; frame += 1) expect(turn()).toEqual(['snapshotFrame']);
    expect(turn()).toEqual(['snapshotEnd']);
    expect([turn(), turns.length]).toEqual([[], 0]);
  });

  test('frames that take little share a turn', () => {
    frameMs = 1.5;
    feed.handle({ kind: 'takeSnapshot' });
    for (let credit = 0; credit < 4; credit += 1) feed.handle({ kind: 'snapshotCredit' });
    expect(turn()).toEqual(['snapshotFrame', 'snapshotFrame', 'snapshotFrame']);
    expect(turn()).toEqual(['snapshotEnd']);
  });

  test('what was asked of a picture that was dropped is not taken from the next one', () => {
    feed.handle({ kind: 'takeSnapshot' });
    feed.handle({ kind: 'snapshotCredit' });
    feed.handle({ kind: 'dropSnapshot' });
    feed.handle({ kind: 'takeSnapshot' });
    feed.handle({ kind: 'snapshotCredit' });
    expect([turn(), turns.length]).toEqual([['snapshotFrame'], 0]);
  });
});

test('a batch of entries survives packing; membership changes come out empty', () => {
  const normal = { index: 7, term: 2, kind: 'normal' as const, data: Buffer.from('seven') };
  const change = { ...bootstrapEntry({ raftId: 1, nodeId: 'a', address: 'x' }), index: 8 };
  const more = { index: 9, term: 3, kind: 'normal' as const, data: Buffer.from('nine') };
  const unpacked = unpackBatch(packBatch([normal, change, more], []));
  expect(unpacked.map((e) => [e.index, e.term, Buffer.from(e.data).toString()])).toEqual([
    [7, 2, 'seven'],
    [8, 1, ''],
    [9, 3, 'nine'],
  ]);
});

describe('membership', () => {
  const members = [1, 2, 3].map((raftId) => ({
    raftId,
    nodeId: `m${raftId}`,
    address: `10.0.0.${raftId}:4243`,
  }));

  function statusWith(peers: readonly Partial<ProgressStatus>[], voters: number[]): Status {
    return {
      id: 1,
      last: 5_000,
      conf: { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
      progress: peers.map((peer) => ({
        recentActive: true,
        learner: false,
        match: 5_000,
        ...peer,
      })),
    } as unknown as Status;
  }

  const verdict = (change: MembershipChange, status: Status, removed: number[] = []): string =>
    checkChange(change, new MemberBook({ members, removed }), status)?.code ?? 'fine';

  const dead = { recentActive: false };
  test.each([
    { what: 'all alive', peers: [{ id: 2 }, { id: 3 }], raftId: 2, expected: 'fine' },
    { what: 'a dead one', peers: [{ id: 2, ...dead }, { id: 3 }], raftId: 2, expected: 'fine' },
    {
      what: 'a live one while another is dead',
      peers: [{ id: 2 }, { id: 3, ...dead }],
      raftId: 2,
      expected: 'failed-precondition',
    },
    {
      what: 'itself while another is dead',
      peers: [{ id: 2 }, { id: 3, ...dead }],
      raftId: 1,
      expected: 'failed-precondition',
    },
  ])('37: removal of a voter of three: $what', ({ peers, raftId, expected }) => {
    expect(verdict({ kind: 'remove', raftId }, statusWith(peers, [1, 2, 3]))).toBe(expected);
  });

  test.each([
    ['a voter', { id: 2 }, 'failed-precondition'],
    ['far behind', { id: 2, learner: true, match: 100 }, 'failed-precondition'],
    ['silent', { id: 2, learner: true, recentActive: false }, 'failed-precondition'],
    ['caught up', { id: 2, learner: true, match: 4_990 }, 'fine'],
  ])('39: promotion of one that is %s', (_, peer, expected) => {
    expect(verdict({ kind: 'promote', raftId: 2 }, statusWith([peer], [1]))).toBe(expected);
  });

  test('the last voter stays', () => {
    expect(verdict({ kind: 'remove', raftId: 1 }, statusWith([], [1]))).toBe('failed-precondition');
  });

  test('the book follows the changes in the log', () => {
    const book = new MemberBook({ members: [], removed: [] });
    book.apply(decodeConfChange(bootstrapEntry(members[0]!)));
    const added = { ...members[1]!, role: 'learner' as const };
    const changes: MembershipChange[] = [
      { kind: 'add-learner', member: added },
      { kind: 'set-address', raftId: 2, address: 'elsewhere:1' },
      { kind: 'promote', raftId: 2 },
    ];
    for (const change of changes) book.apply(confChangeOf(change, book));
    expect(book.members()).toEqual([members[0], { ...members[1], address: 'elsewhere:1' }]);
    book.apply(confChangeOf({ kind: 'remove', raftId: 2 }, book));
    expect(book.members()).toEqual([members[0]]);
    expect(book.isRemoved(2)).toBe(true);
    expect(book.removed()).toEqual([2]);
  });
});

describe('ticker', () => {
  /** What runs after the sockets were read waits in `turn` until the loop comes to it. */
  function ticking() {
    const clock = new ManualClock();
    const lateness: number[] = [];
    const turn: (() => void)[] = [];
    const tick = (ms: number): void => void lateness.push(ms);
    const ticker = new Ticker({ clock, soon: (fn) => turn.push(fn), tick }, 50);
    const loop = (): void => {
      for (const run of turn.splice(0)) run();
    };
    return { clock, lateness, ticker, loop };
  }

  test('67: after a stall of any length one tick comes, and the next one a whole tick later', () => {
    const { clock, lateness, loop } = ticking();
    clock.advance(50);
    loop();
    expect(lateness).toEqual([0]);
    // The timer fires, and nothing else does for half a minute.
    clock.advance(30_000);
    loop();
    expect(lateness).toEqual([0, 29_950]);
    clock.advance(49);
    loop();
    expect(lateness).toHaveLength(2);
    clock.advance(1);
    loop();
    expect(lateness).toHaveLength(3);
  });

  test('a little late keeps the rhythm', () => {
    const { clock, lateness, loop, ticker } = ticking();
    for (let i = 0; i < 10; i += 1) {
      clock.advance(60 - (lateness.at(-1) ?? 0));
      loop();
    }
    expect(lateness).toEqual(Array.from({ length: 10 }, () => 10));
    ticker[Symbol.dispose]();
    clock.advance(1_000);
    loop();
    expect(lateness).toHaveLength(10);
  });
});

describe('watchdog', () => {
  function watched() {
    const clock = new ManualClock();
    const seen: string[] = [];
    const watchdog = new Watchdog({
      clock,
      logger: silentLogger,
      ping: () => seen.push('ping'),
      handOver: () => seen.push(`hand over at ${clock.monotonic()}`),
    });
    const run = (ms: number, state: { leads: boolean; writeAgeMs: number }): void => {
      for (let t = 0; t < ms; t += 50) {
        clock.advance(50);
        watchdog.check(state);
      }
    };
    return { watchdog, seen, run };
  }

  test('67: a leader whose main thread is stuck hands over, once a minute at most', () => {
    const { seen, run } = watched();
    run(30_000, { leads: true, writeAgeMs: 0 });
    expect(seen).toEqual(['ping', 'hand over at 6000']);
    run(60_000, { leads: true, writeAgeMs: 0 });
    expect(seen).toHaveLength(3);
  });

  test('one that answers keeps leading', () => {
    const { watchdog, seen, run } = watched();
    for (let i = 0; i < 60; i += 1) {
      run(1_000, { leads: true, writeAgeMs: 0 });
      watchdog.pong();
    }
    expect(new Set(seen)).toEqual(new Set(['ping']));
  });

  test('63: a leader whose disk hangs hands over, a follower cannot', () => {
    const { watchdog, seen, run } = watched();
    run(1_000, { leads: false, writeAgeMs: 9_000 });
    watchdog.pong();
    run(500, { leads: true, writeAgeMs: 9_000 });
    expect(seen).toEqual(['ping', 'hand over at 1050']);
  });
});

test('reads that nobody could answer are asked again as soon as somebody leads', () => {
  const asked: number[] = [];
  const reads = new Reads(100, {
    clock: new ManualClock(),
    retryMs: 500,
    ask: (attempt) => asked.push(attempt),
    answer: () => undefined,
  });
  reads.add(1);
  reads.add(2);
  reads.confirmed(101, 5);
  reads.askAnew();
  expect(asked).toEqual([101, 102, 103]);
});

test('52: an answer to an earlier attempt confirms nothing', () => {
  const clock = new ManualClock();
  const asked: number[] = [];
  const answered: [number, number][] = [];
  const reads = new Reads(100, {
    clock,
    retryMs: 500,
    ask: (attempt) => asked.push(attempt),
    answer: (id, index) => answered.push([id, index]),
  });
  reads.add(1);
  clock.advance(500);
  reads.retry();
  expect(asked).toEqual([101, 102]);
  reads.confirmed(101, 5);
  expect(answered).toEqual([]);
  reads.confirmed(102, 7);
  expect(answered).toEqual([[1, 7]]);
  clock.advance(1_000);
  reads.retry();
  expect(asked).toHaveLength(2);
});
