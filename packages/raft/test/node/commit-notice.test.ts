import { ManualClock } from '@swarmd/base/testing';
import { expect, test } from 'vitest';

import type { Message } from '../../src/core/types.ts';
import { COMMIT_NOTICE_MS } from '../../src/node/limits.ts';
import { CommitNotice } from '../../src/node/transport/commit-notice.ts';

function append(commit: number, entries: number): Message {
  const index = 10 + commit;
  return {
    from: 1,
    to: 2,
    term: 3,
    kind: 'append',
    previous: { term: 3, index },
    commit,
    entries: Array.from({ length: entries }, (_, i) => ({
      term: 3,
      index: index + 1 + i,
      kind: 'normal',
      data: Uint8Array.of(i),
    })),
  };
}

const HEARTBEAT: Message = { from: 1, to: 2, term: 3, kind: 'heartbeat', commit: 9, readSeq: 1 };

function noticed() {
  const clock = new ManualClock();
  const sent: string[] = [];
  const notice = new CommitNotice(clock, (message) => {
    sent.push(`${clock.now()} ms: commit ${message.commit}`);
  });
  return { clock, sent, notice };
}

test('a peer is told of a commit when no entries follow', () => {
  const { clock, sent, notice } = noticed();
  expect(notice.keeps(append(1, 0))).toBe(true);
  clock.advance(COMMIT_NOTICE_MS - 1);
  expect(sent).toEqual([]);
  clock.advance(1);
  expect(sent).toEqual(['3 ms: commit 1']);
  clock.advance(100);
  expect(sent).toHaveLength(1);
});

test('entries that follow tell it instead', () => {
  const { clock, sent, notice } = noticed();
  notice.keeps(append(1, 0));
  expect(notice.keeps(append(1, 2))).toBe(false);
  clock.advance(100);
  expect(sent).toEqual([]);
});

test('of several the newest is sent, as soon as the first would have been', () => {
  const { clock, sent, notice } = noticed();
  notice.keeps(append(1, 0));
  clock.advance(2);
  notice.keeps(append(2, 0));
  clock.advance(100);
  expect(sent).toEqual(['3 ms: commit 2']);
});

test('one after entries has all its time, although a timer is set already', () => {
  const { clock, sent, notice } = noticed();
  notice.keeps(append(1, 0));
  clock.advance(1);
  notice.keeps(append(1, 1));
  clock.advance(1);
  notice.keeps(append(2, 0));
  clock.advance(100);
  expect(sent).toEqual(['5 ms: commit 2']);
});

test('other messages neither wait nor make one superfluous', () => {
  const { clock, sent, notice } = noticed();
  notice.keeps(append(1, 0));
  expect(notice.keeps(HEARTBEAT)).toBe(false);
  clock.advance(100);
  expect(sent).toEqual(['3 ms: commit 1']);
});

test('a closed link sends nothing', () => {
  const { clock, sent, notice } = noticed();
  notice.keeps(append(1, 0));
  notice[Symbol.dispose]();
  clock.advance(100);
  expect(sent).toEqual([]);
});
