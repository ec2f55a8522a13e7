import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { freePort } from '@swarmd/base/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';

import type { MembershipChange, RaftOptions } from '../../src/node/types.ts';
import { TestCa } from './certificates.ts';
import { CLUSTER_ID } from './cluster.ts';
import type { FromMember, MemberReport, ToMember } from './member-process.ts';

const WAIT_MS = 40_000;

/** A member in its own process. */
class ProcessMember {
  readonly options: RaftOptions;
  #child: ChildProcess | undefined;
  #lastId = 0;
  readonly #waiting = new Map<number, (answer: FromMember) => void>();

  constructor(options: RaftOptions) {
    this.options = options;
  }

  async start(start: RaftOptions['start']): Promise<void> {
    const child = fork(join(import.meta.dirname, 'member-process.ts'), {
      serialization: 'advanced',
    });
    this.#child = child;
    child.on('message', (answer: FromMember) => this.#settle(answer.id, answer));
    child.on('exit', () => {
      for (const id of this.#waiting.keys()) this.#settle(id, { id, error: 'killed' });
    });
    await this.#ask({ kind: 'start', options: { ...this.options, start } }, 0);
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  async propose(text: string): Promise<void> {
    await this.#ask({ kind: 'propose', id: this.#nextId(), text });
  }

  async change(change: MembershipChange): Promise<void> {
    await this.#ask({ kind: 'change', id: this.#nextId(), change });
  }

  /** Keeps the main thread busy. */
  async block(ms: number): Promise<void> {
    await this.#ask({ kind: 'block', id: this.#nextId(), ms });
  }

  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  async report(kind: 'read' | 'report' = 'report'): Promise<MemberReport> {
    const { report } = await this.#ask({ kind, id: this.#nextId() });
    if (report === undefined) throw new Error('no report');
    return report;
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  #settle(id: number, answer: FromMember): void {
    const settle = this.#waiting.get(id);
    this.#waiting.delete(id);
    settle?.(answer);
  }

  async #ask(message: ToMember, id = this.#lastId): Promise<FromMember> {
    const answer = await new Promise<FromMember>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child?.send(message);
      if (this.#child === undefined) this.#settle(id, { id, error: 'not running' });
    });
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer;
  }
}

let directory = '';
let ca: TestCa;
let members: ProcessMember[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'raft-crash-'));
  ca = new TestCa();
  members = [];
  for (const raftId of [1, 2, 3]) {
    const nodeId = `m${raftId}`;
    const port = await freePort();
    members.push(
      new ProcessMember({
        directory: join(directory, nodeId),
        clusterId: CLUSTER_ID,
        nodeId,
        raftId,
        start: 'join',
        listen: { host: '127.0.0.1', port },
        advertise: `127.0.0.1:${port}`,
        tls: ca.issue({ cluster: CLUSTER_ID, node: nodeId }),
        snapshotEvery: 100,
      }),
    );
  }
});

afterEach(async () => {
  await Promise.all(members.map((member) => member.kill()));
  rmSync(directory, { recursive: true, force: true });
  ca[Symbol.dispose]();
});

async function eventually<T>(what: string, attempt: () => Promise<T | undefined>): Promise<T> {
  const end = performance.now() + WAIT_MS;
  for (let last: unknown; ; await new Promise((resolve) => setTimeout(resolve, 10))) {
    try {
      const value = await attempt();
      if (value !== undefined) return value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) throw new Error(`${what} took too long: ${String(last)}`);
  }
}

async function leader(among: readonly ProcessMember[] = members): Promise<ProcessMember> {
  return await eventually('finding a leader', async () => {
    for (const member of among.filter((m) => m.running)) {
      if ((await member.report()).status.role === 'leader') return member;
    }
    return undefined;
  });
}

async function foundCluster(): Promise<void> {
  const [first, ...others] = members as [ProcessMember, ...ProcessMember[]];
  await first.start('bootstrap');
  for (const { options, ...rest } of others.map((m) => ({ member: m, options: m.options }))) {
    const { raftId, nodeId, advertise: address } = options;
    const member = { raftId, nodeId, address, role: 'learner' } as const;
    await (await leader()).change({ kind: 'add-learner', member });
    await rest.member.start('join');
    await eventually('promoting', async () => {
      await (await leader()).change({ kind: 'promote', raftId });
      return true;
    });
  }
}

test(
  '1/58/65: kill -9 of any member at any time loses nothing acknowledged',
  { timeout: 180_000 },
  async () => {
    await foundCluster();
    const acknowledged: string[] = [];
    const stop = new AbortController();
    const writer = async (name: string): Promise<void> => {
      for (let i = 0; !stop.signal.aborted; i += 1) {
        const text = `${name} ${i}`;
        try {
          await (await leader()).propose(text);
          acknowledged.push(text);
        } catch {
          // Unknown outcome: it may turn up or not.
          continue;
        }
      }
    };
    const writers = Promise.all(['a', 'b', 'c', 'd'].map(writer));
    const untilMore = async (count: number): Promise<void> => {
      const goal = acknowledged.length + count;
      await eventually('progress', () => Promise.resolve(acknowledged.length >= goal || undefined));
    };
    await untilMore(80);
    const victim = await leader();
    await victim.kill();
    await untilMore(80);
    await victim.start('restart');
    const follower = members.find((member) => member !== victim) as ProcessMember;
    await follower.kill();
    await untilMore(80);
    await follower.start('restart');
    await untilMore(50);
    // All at once.
    stop.abort();
    await Promise.all(members.map((member) => member.kill()));
    await writers.catch(() => undefined);
    await Promise.all(members.map((member) => member.start('restart')));
    await eventually('the end', async () => {
      await (await leader()).propose('the end');
      return true;
    });
    const reports = await eventually('equal members', async () => {
      const all = await Promise.all(members.map((member) => member.report()));
      return all.every((r) => r.items.at(-1) === 'the end') ? all : undefined;
    });
    const [first, ...others] = reports.map((report) => report.items);
    for (const items of others) expect(items).toEqual(first);
    const known = new Set(first);
    expect(acknowledged.filter((text) => !known.has(text))).toEqual([]);
    expect(first?.length).toBe(known.size);
    expect(acknowledged.length).toBeGreaterThan(200);
  },
);

test(
  '67: a main thread that is busy for long costs no leadership',
  { timeout: 180_000 },
  async () => {
    await foundCluster();
    const first = await leader();
    const { term } = (await first.report()).status;
    await first.block(3_000);
    const { status } = await first.report();
    expect({ role: status.role, term: status.term }).toEqual({ role: 'leader', term });
  },
);

test(
  '67: a leader whose main thread is stuck hands over, and its heartbeats come until then',
  { timeout: 180_000 },
  async () => {
    await foundCluster();
    const former = await leader();
    const { term } = (await former.report()).status;
    const others = members.filter((member) => member !== former);
    // Answered when it is over, or killed.
    const blocked = former.block(120_000).catch(() => undefined);
    const next = await leader(others);
    await next.propose('meanwhile');
    // Not by an election, which silence would have brought about: handed over, once.
    expect((await next.report()).status.term).toBe(term + 1);
    await former.kill();
    await blocked;
  },
);

test('50: a leader that was paused serves no stale read', { timeout: 180_000 }, async () => {
  await foundCluster();
  const former = await leader();
  const others = members.filter((member) => member !== former);
  former.pause();
  try {
    await eventually('writing through a new leader', async () => {
      await (await leader(others)).propose('meanwhile');
      return true;
    });
    // Waits in the pipe, and is the first thing it sees.
    const read = former.report('read');
    former.resume();
    expect((await read).items).toContain('meanwhile');
  } finally {
    former.resume();
  }
});
