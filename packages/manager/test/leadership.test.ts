import { SwarmError, silentLogger, type Scope } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';
import type { RaftMember } from '@swarmd/raft';
import { afterEach, describe, expect, it } from 'vitest';

import { Leadership } from '../src/leadership/leadership.ts';
import { until } from '@swarmd/base/testing';
import { FakeRaft, NO_MACHINE } from './support/fake-raft.ts';

const ME: RaftMember = { raftId: 1, nodeId: 'a', address: 'a:1', role: 'voter' };

describe('leadership', () => {
  const stack: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const resource of stack.splice(0).reverse()) await resource[Symbol.asyncDispose]();
  });

  function start(open: (scope: Scope) => Promise<string>): {
    raft: FakeRaft;
    leadership: Leadership<string>;
  } {
    const raft = new FakeRaft(NO_MACHINE, [ME]);
    const leadership = new Leadership({ raft, clock: systemClock, logger: silentLogger, open });
    stack.push(leadership);
    return { raft, leadership };
  }

  it('opens the duties on election and disposes them on loss', async () => {
    const events: string[] = [];
    const { raft, leadership } = start((scope) => {
      events.push('open');
      scope.defer(() => void events.push('closed'));
      return Promise.resolve('duties');
    });
    expect(leadership.reign).toBeUndefined();
    raft.lead(2);
    const reign = await until('reign', () => leadership.reign);
    expect(reign).toMatchObject({ term: 2, duties: 'duties' });
    raft.follow(9, 3);
    expect(leadership.reign).toBeUndefined();
    await until('closed', () => events.includes('closed'));
    expect(reign.signal.aborted).toBe(true);
    expect(events).toEqual(['open', 'closed']);
  });

  it('a reign of another term is another reign', async () => {
    let opened = 0;
    const { raft, leadership } = start(() => Promise.resolve(`reign ${(opened += 1)}`));
    raft.lead(2);
    await until('first', () => leadership.reign);
    raft.lead(5);
    expect(leadership.reign).toBeUndefined();
    const second = await until('second', () => leadership.reign);
    expect(second).toMatchObject({ term: 5, duties: 'reign 2' });
  });

  it('a duty that fails ends the reign and hands leadership over', async () => {
    const { raft, leadership } = start((scope) => {
      scope.spawn('broken', () => Promise.reject(new SwarmError('internal', 'broke')));
      return Promise.resolve('duties');
    });
    raft.lead(2);
    await until('handed over', () => raft.transfers.length === 1);
    expect(leadership.reign).toBeUndefined();
  });

  it('duties that cannot be taken up hand leadership over', async () => {
    const { raft, leadership } = start(() => Promise.reject(new SwarmError('internal', 'no')));
    raft.lead(2);
    await until('handed over', () => raft.transfers.length === 1);
    expect(leadership.reign).toBeUndefined();
  });
});
