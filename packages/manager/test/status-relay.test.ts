import type { TaskStatusUpdate } from '@swarmd/api';
import { silentLogger, SwarmError } from '@swarmd/base';
import { systemClock, systemRandom } from '@swarmd/base/system';
import { asId, type TaskState } from '@swarmd/model';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { StatusRelay } from '../src/dispatcher/status-relay.ts';
import { until } from '@swarmd/base/testing';

const update = (task: string, state: TaskState): TaskStatusUpdate => ({
  taskId: asId('task', task),
  status: { state, timestamp: 0, message: '', error: '' },
});

describe('statuses on their way to the leader', () => {
  let stop: AbortController;
  let running: Promise<void>;
  const reported: string[][] = [];
  const settled: number[] = [];
  const answers: (() => Promise<void>)[] = [];

  let relay: StatusRelay;
  beforeEach(() => {
    for (const list of [reported, settled, answers]) list.length = 0;
    stop = new AbortController();
    relay = new StatusRelay({
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      report: (updates) => {
        reported.push(updates.map((one) => `${one.taskId} ${one.status.state}`));
        return (answers.shift() ?? (() => Promise.resolve()))();
      },
      settled: (sequence) => settled.push(sequence),
    });
    running = relay.run(stop.signal).catch(() => undefined);
  });
  afterEach(async () => {
    stop.abort();
    await running;
  });

  it('acknowledges after the leader took them', async () => {
    let take = (): void => undefined;
    answers.push(() => new Promise((resolve) => (take = resolve)));
    await relay.add({ sequence: 3, updates: [update('a', 'running')] }, stop.signal);
    await until('reported', () => reported.length === 1);
    expect(settled).toEqual([]);
    take();
    await until('settled', () => settled.length === 1);
    expect(settled).toEqual([3]);
  });

  it('sends the newest of each task while one report is under way', async () => {
    let take = (): void => undefined;
    answers.push(() => new Promise((resolve) => (take = resolve)));
    await relay.add({ sequence: 1, updates: [update('a', 'preparing')] }, stop.signal);
    await until('reported', () => reported.length === 1);
    await relay.add({ sequence: 2, updates: [update('a', 'ready')] }, stop.signal);
    await relay.add(
      { sequence: 3, updates: [update('a', 'running'), update('b', 'running')] },
      stop.signal,
    );
    take();
    await until('settled', () => settled.at(-1) === 3);
    expect(reported).toEqual([['a preparing'], ['a running', 'b running']]);
  });

  it('repeats until the leader takes them', async () => {
    answers.push(
      () => Promise.reject(new SwarmError('unavailable', 'no leader')),
      () => Promise.reject(new SwarmError('unknown-outcome', 'lost')),
    );
    await relay.add({ sequence: 1, updates: [update('a', 'running')] }, stop.signal);
    await until('settled', () => settled.length === 1);
    expect(reported).toEqual([['a running'], ['a running'], ['a running']]);
  });

  it('does not repeat what is refused for good', async () => {
    answers.push(() => Promise.reject(new SwarmError('invalid-argument', 'nonsense')));
    await relay.add({ sequence: 1, updates: [update('a', 'running')] }, stop.signal);
    await until('settled', () => settled.length === 1);
    expect(reported).toHaveLength(1);
  });
});
