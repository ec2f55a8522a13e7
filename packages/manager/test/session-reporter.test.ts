import type { LiveNode } from '@swarmd/api';
import { silentLogger, SwarmError } from '@swarmd/base';
import { ManualClock, until } from '@swarmd/base/testing';
import { asId, type NodeId } from '@swarmd/model';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { SessionReporter, type HeardSession } from '../src/dispatcher/session-reporter.ts';
import { SESSION_REPORT_MAX_NODES } from '../src/limits.ts';

const PERIOD_MS = 500;
const description = {
  hostname: 'h',
  platform: { os: 'linux', architecture: 'amd64' },
  resources: { nanoCpus: 1, memoryBytes: 1, generic: [] },
  engineVersion: '1',
  labels: {},
  networks: [],
  addresses6: [],
};

class FakeSession implements HeardSession {
  readonly nodeId: NodeId;
  heardAt = 1;
  toldAt = 0;
  descriptionIsNews = true;
  isBeingDescribed = false;

  constructor(name: string) {
    this.nodeId = asId('node', name);
  }

  live(): LiveNode {
    const head = { nodeId: this.nodeId, address: 'a', agentAddress: 'b' };
    return this.descriptionIsNews ? { ...head, description } : head;
  }
}

interface Report {
  readonly described: readonly string[];
  readonly heard: readonly string[];
  readonly answer: () => void;
  readonly refuse: () => void;
}

let clock: ManualClock;
let sessions: FakeSession[];
let reports: Report[];
let announce: () => void;
let stop: () => Promise<void>;

/** The report that is still to be answered and looks like this. */
const waiting = async (what: string, is: (report: Report) => boolean): Promise<Report> => {
  await until(what, () => reports.some(is));
  const at = reports.findIndex(is);
  return reports.splice(at, 1)[0]!;
};
const describing = (what: string): Promise<Report> =>
  waiting(what, ({ described }) => described.length > 0);
const telling = (what: string): Promise<Report> =>
  waiting(what, ({ described }) => described.length === 0);

beforeEach(() => {
  clock = new ManualClock();
  sessions = [];
  reports = [];
  const controller = new AbortController();
  const reporter = new SessionReporter({
    dispatcher: {
      heardSessions: () => sessions.filter(({ heardAt, toldAt }) => heardAt > toldAt),
      lost: [],
      toldLost: () => undefined,
      onChange: (listener) => {
        announce = listener;
        return { [Symbol.dispose]: () => undefined };
      },
    },
    clock,
    logger: silentLogger,
    heartbeatPeriodMs: () => PERIOD_MS * 2,
    onLeaderChange: () => ({ [Symbol.dispose]: () => undefined }),
    report: ({ live }, signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('over')), { once: true });
        const named = (is: boolean): string[] =>
          live.filter((one) => (one.description !== undefined) === is).map((one) => one.nodeId);
        const error = new SwarmError('unavailable', 'no leader');
        reports.push({
          described: named(true),
          heard: named(false),
          answer: resolve,
          refuse: () => reject(error),
        });
      }),
  });
  const running = reporter.run(controller.signal).catch(() => undefined);
  stop = async () => {
    controller.abort();
    await running;
  };
});
afterEach(() => stop());

it('goes on telling who is heard while descriptions are being written', async () => {
  sessions.push(new FakeSession('known'), new FakeSession('other'));
  sessions[0]!.descriptionIsNews = false;
  announce();
  const written = await describing('the other is described');
  expect(written.described).toEqual(['other']);
  const first = await telling('both are heard');
  expect(first.heard).toEqual(['known', 'other']);
  first.answer();
  await until('it was taken', () => sessions[1]!.toldAt === 1);
  // Nobody has written the description yet, and it is not sent again.
  for (let period = 2; period < 5; period += 1) {
    for (const session of sessions) session.heardAt = period;
    clock.advance(PERIOD_MS);
    const next = await telling('both are heard again');
    expect(next.heard).toEqual(['known', 'other']);
    next.answer();
    await until('it was taken', () => sessions[1]!.toldAt === period);
  }
  expect(reports).toEqual([]);
  written.answer();
  await until('it is known', () => !sessions[1]!.descriptionIsNews);
});

it('describes those that came meanwhile together, and again what failed', async () => {
  sessions.push(new FakeSession('first'));
  announce();
  const first = await describing('the first is described');
  for (let at = 0; at < SESSION_REPORT_MAX_NODES + 1; at += 1) {
    sessions.push(new FakeSession(`n${at}`));
    announce();
  }
  first.answer();
  const pages = [await describing('one page'), await describing('another page')];
  expect(pages.map(({ described }) => described.length)).toEqual([SESSION_REPORT_MAX_NODES, 1]);
  pages[0]?.answer();
  pages[1]?.refuse();
  await until('the page is known', () => !sessions[1]!.descriptionIsNews);
  const last = sessions.at(-1)!;
  expect(last.descriptionIsNews).toBe(true);
  await until('the next period describes it', () => {
    clock.advance(PERIOD_MS);
    return reports.some(({ described }) => described.length > 0);
  });
  const again = await describing('it is described again');
  expect(again.described).toEqual([last.nodeId]);
});

it('says that it is well when nobody is heard', async () => {
  for (let period = 0; period < 3; period += 1) {
    await until('a report', () => {
      clock.advance(PERIOD_MS);
      return reports.length > 0;
    });
    const report = await telling('an empty report');
    expect(report.heard).toEqual([]);
    report.answer();
  }
});
