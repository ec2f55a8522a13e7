import { expect, test } from 'vitest';

import { productionConfig } from '../../src/core/config.ts';
import { MemoryLog } from '../../src/core/memory-log.ts';
import { RaftCore } from '../../src/core/raft-core.ts';
import type { AppendMessage, Entry, Message, Ready } from '../../src/core/types.ts';
import { Driver } from '../../src/node/driver.ts';
import { EMPTY_CONF } from '../../src/wal/header.ts';

const SELF = 1;
const START = { index: 1, term: 1, confState: { ...EMPTY_CONF, voters: [SELF, 2, 3] } };

function append(from: number, term: number, entries: readonly number[]): AppendMessage {
  const list = entries.map((index): Entry => ({
    index,
    term,
    kind: 'normal',
    data: Uint8Array.of(term),
  }));
  return { kind: 'append', from, to: SELF, term, previous: START, entries: list, commit: 1 };
}

test('58: what was replaced before it was written is acknowledged to nobody', () => {
  const hard = { term: 1, vote: 0, commit: 1 };
  const core = new RaftCore({
    config: productionConfig(SELF, START.index),
    random: { next: () => 0.5 },
    log: new MemoryLog({ snapshot: START }),
    hard,
    conf: START.confState,
  });
  const readys: Ready[] = [];
  const sent: Message[] = [];
  const driver = new Driver(core, hard, {
    send: (messages) => sent.push(...messages),
    onReady: (ready) => readys.push(ready),
    onInstalled: () => undefined,
    onTurn: () => undefined,
    soon: () => undefined,
    onFailure: (error) => {
      throw error;
    },
  });
  // The disk is busy: both wait for the next write, which makes one batch of them.
  driver.step({ kind: 'message', message: append(2, 3, [2, 3]) });
  driver.turn();
  driver.step({ kind: 'message', message: append(3, 4, [2]) });
  driver.turn();
  driver.persisted(readys);
  const acknowledged = sent.filter((message) => message.kind === 'appendReply');
  expect(acknowledged).toMatchObject([{ to: 3, term: 4, index: 2, reject: false }]);
});
