/** What the meter makes of counters and of pages that tasks serve; the pages come over real HTTP. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { TaskUsage } from '@swarmd/api';
import { silentLogger } from '@swarmd/base';
import { ManualClock } from '@swarmd/base/testing';
import { asId, type TaskId } from '@swarmd/model';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { METER_PERIOD_MS } from '../src/limits.ts';
import { Meter } from '../src/meter/meter.ts';
import { sumOfMetric } from '../src/meter/prometheus.ts';
import { until } from './support/until.ts';

describe('a page of metrics', () => {
  it.each<[string, string, number | undefined]>([
    ['one sample', 'queue 7', 7],
    ['labels, all added up', 'queue{a="1"} 2\nqueue{a="2 }",b=""} 3.5 1700000000000', 5.5],
    ['comments and others', '# HELP queue 9\n# TYPE queue gauge\nqueue_total 9\nqueue 1e1', 10],
    ['line ends of Windows', 'queue 4\r\nother 5\r\n', 4],
    ['no number', 'queue NaN\nqueue +Inf\nqueue', undefined],
    ['not there', 'other 1', undefined],
    ['nothing', '', undefined],
  ])('%s', (_what, text, value) => {
    expect(sumOfMetric(text, 'queue')).toBe(value);
  });
});

const id = asId('task', 't1');

describe('the meter', () => {
  let clock: ManualClock;
  let cpuNs: number;
  let isThere: boolean;
  let looks: number;
  let answer: { code: number; text: string };
  let server: Server;
  let meter: Meter;
  let told: (readonly TaskUsage[])[];

  beforeEach(async () => {
    clock = new ManualClock();
    cpuNs = 0;
    isThere = true;
    looks = 0;
    told = [];
    answer = { code: 200, text: 'inflight 12' };
    server = createServer((request, response) => {
      response.writeHead(request.url === '/metrics' ? answer.code : 404).end(answer.text);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    meter = new Meter({
      stats: async () => {
        looks += 1;
        if (!isThere) throw new Error('no such container');
        return { timestamp: clock.now(), cpuNs, memoryBytes: 64 };
      },
      addressOf: () => '127.0.0.1',
      clock,
      logger: silentLogger,
    });
    meter.onUsage((tasks) => told.push(tasks));
  });

  afterEach(async () => {
    await meter[Symbol.asyncDispose]();
    server.close();
  });

  /** Some work of the task, then the next look. */
  async function look(usedNs: number): Promise<void> {
    const before = looks;
    cpuNs += usedNs;
    await until('it waits', () => clock.nextTimerInMs() === METER_PERIOD_MS);
    clock.advance(METER_PERIOD_MS);
    await until('it has looked', () => looks > before);
  }

  it('tells rates from the second look on, as long as it is asked', async () => {
    meter.measure([{ taskId: id }]);
    await until('it has looked', () => looks === 1);
    expect(told).toEqual([]);
    await look((METER_PERIOD_MS / 2) * 1e6);
    await until('it has told', () => told.length === 1);
    expect(told[0]).toEqual([{ taskId: id, nanoCpus: 5e8, memoryBytes: 64 }]);
    meter.measure([]);
    await until('it waits', () => clock.nextTimerInMs() === METER_PERIOD_MS);
    clock.advance(METER_PERIOD_MS);
    await until('nothing runs', () => clock.nextTimerInMs() === undefined);
    expect(looks).toBe(2);
  });

  it('says nothing of a task that is gone, and begins anew when it is back', async () => {
    meter.measure([{ taskId: id }]);
    await until('it has looked', () => looks === 1);
    isThere = false;
    await look(0);
    isThere = true;
    await look(1e9);
    await look(0);
    await until('it has told', () => told.length === 1);
    expect(told[0]?.[0]?.nanoCpus).toBe(0);
  });

  it('asks the task itself; without an answer the rest is told all the same', async () => {
    const { port } = server.address() as AddressInfo;
    const metric = { name: 'inflight', port, path: '/metrics', target: 5 };
    const known: [TaskId, number | undefined][] = [];
    meter.measure([{ taskId: id, metric }]);
    await until('it has looked', () => looks === 1);
    for (const next of [answer, { code: 500, text: '' }, { code: 200, text: 'other 1' }, answer]) {
      answer = next;
      const before = told.length;
      await look(0);
      await until('it has told', () => told.length > before);
      known.push([id, told.at(-1)?.[0]?.metric]);
    }
    expect(known.map(([, value]) => value)).toEqual([12, undefined, undefined, 12]);
  });
});
