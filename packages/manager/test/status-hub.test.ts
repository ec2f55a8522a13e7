import type { StatusReport } from '@swarmd/api';
import { asId } from '@swarmd/model';
import { describe, expect, it } from 'vitest';

import { StatusHub } from '../src/dispatcher/status-hub.ts';
import { STATUS_BATCH_MAX, STATUS_REPORTS_MAX } from '../src/limits.ts';

const status = { state: 'running', timestamp: 0, message: '', error: '' } as const;

function reportOf(node: string, updates = 1): StatusReport {
  const taskIds = Array.from({ length: updates }, (_, at) => asId('task', `${node}-${at}`));
  return {
    nodeId: asId('node', node),
    updates: taskIds.map((taskId) => ({ taskId, status })),
  };
}

/** A leader that answers when it is told to. */
function setUp() {
  const delivered: { nodes: string[]; answer: (error?: Error) => void }[] = [];
  const hub = new StatusHub({
    nextTurn: queueMicrotask,
    deliver: (reports) =>
      new Promise((resolve, reject) => {
        const answer = (error?: Error): void => (error === undefined ? resolve() : reject(error));
        delivered.push({ nodes: reports.map(({ nodeId }) => nodeId), answer });
      }),
  });
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return { hub, delivered, turn };
}

describe('statuses on their way to the leader', () => {
  it('of one turn go together, and what comes meanwhile goes next', async () => {
    const { hub, delivered, turn } = setUp();
    const first = [hub.report(reportOf('a')), hub.report(reportOf('b'))];
    await turn();
    const second = [hub.report(reportOf('c')), hub.report(reportOf('d'))];
    await turn();
    expect(delivered.map(({ nodes }) => nodes)).toEqual([['a', 'b']]);
    delivered[0]?.answer();
    await Promise.all(first);
    await turn();
    expect(delivered.map(({ nodes }) => nodes)).toEqual([
      ['a', 'b'],
      ['c', 'd'],
    ]);
    delivered[1]?.answer();
    await Promise.all(second);
  });

  it('do not wait for a slow commit once a report is full, but for many', async () => {
    const { hub, delivered, turn } = setUp();
    const all = Array.from({ length: STATUS_REPORTS_MAX + 2 }, (_, at) =>
      hub.report(reportOf(`n${at}`, STATUS_BATCH_MAX)),
    );
    await turn();
    expect(delivered).toHaveLength(STATUS_REPORTS_MAX);
    for (let at = 0; at < all.length; at += 1) {
      delivered[at]?.answer();
      await turn();
    }
    await Promise.all(all);
  });

  it('that were refused are told so to those that gave them', async () => {
    const { hub, delivered, turn } = setUp();
    const refused = hub.report(reportOf('a')).catch((error: unknown) => error);
    await turn();
    delivered[0]?.answer(new Error('no leader'));
    expect(String(await refused)).toContain('no leader');
    const taken = hub.report(reportOf('a'));
    await turn();
    delivered[1]?.answer();
    await taken;
  });
});
