/** Real members on loopback, each in its worker thread, around a state machine that keeps a list. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { silentLogger, type Logger } from '@swarmd/base';
import { freePort, until } from '@swarmd/base/testing';
import { systemClock } from '@swarmd/base/system';

import { startRaft } from '../../src/node/start-raft.ts';
import { raftService } from '../../src/node/transport/proto.ts';
import { connectToPeer } from '../../src/node/transport/raft-client.ts';
import type { Raft, RaftOptions, RaftTls } from '../../src/node/types.ts';
import { TestCa } from './certificates.ts';
import { consoleLogger } from './console-logger.ts';
import { ListMachine } from './list-machine.ts';

export const CLUSTER_ID = 'test-cluster';
/** Of tests that start several members, each of which loads its code anew. */
export const TEST_MS = 120_000;
// Generous: the machine may be busy with other things.
const WAIT_MS = 30_000;

export interface TestMember {
  readonly name: string;
  readonly raftId: number;
  readonly options: RaftOptions;
  readonly machine: ListMachine;
  readonly raft: Raft;
}

export class TestCluster implements AsyncDisposable {
  readonly ca = new TestCa();
  readonly directory = mkdtempSync(join(tmpdir(), 'raft-cluster-'));
  readonly members = new Map<string, TestMember>();
  readonly #defaults: Partial<RaftOptions>;
  readonly #logger: Logger;
  #lastId = 0;

  constructor(defaults: Partial<RaftOptions> = {}) {
    this.#defaults = defaults;
    this.#logger = process.env['RAFT_TEST_LOG'] === '1' ? consoleLogger('') : silentLogger;
  }

  /** A cluster of `size` voters. */
  static async of(size: number, defaults: Partial<RaftOptions> = {}): Promise<TestCluster> {
    const cluster = new TestCluster(defaults);
    try {
      await cluster.start('m1', 'bootstrap');
      for (let i = 2; i <= size; i += 1) await cluster.join(`m${i}`);
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  async start(
    name: string,
    start: RaftOptions['start'],
    more: Partial<RaftOptions> = {},
  ): Promise<TestMember> {
    const former = this.members.get(name)?.options;
    const options = former ?? (await this.#optionsFor(name));
    return await this.#run(name, { ...options, ...more, start });
  }

  /** Adds a learner, starts it, and promotes it once it has caught up. */
  async join(name: string): Promise<TestMember> {
    const member = await this.joinAsLearner(name);
    await until(`${name} has caught up`, () => {
      const status = this.#leader()?.raft.status();
      const own = status?.progress.find((peer) => peer.raftId === member.raftId);
      return status !== undefined && own?.recentlyActive === true && own.match >= status.commit;
    });
    const leader = await this.untilLeader();
    await leader.raft.changeMembership({ kind: 'promote', raftId: member.raftId }, deadline());
    return member;
  }

  async joinAsLearner(name: string): Promise<TestMember> {
    const options = await this.#optionsFor(name);
    const { raftId, nodeId, advertise: address } = options;
    const member = { raftId, nodeId, address, role: 'learner' as const };
    const change = { kind: 'add-learner' as const, member };
    const leader = await this.untilLeader();
    await leader.raft.changeMembership(change, deadline());
    return await this.#run(name, { ...options, start: 'join' });
  }

  member(name: string): TestMember {
    const member = this.members.get(name);
    if (member === undefined) throw new Error(`no member ${name}`);
    return member;
  }

  /** Stops in good order. */
  async stop(name: string): Promise<void> {
    await this.member(name).raft[Symbol.asyncDispose]();
    this.#gone(name);
  }

  async restart(name: string): Promise<TestMember> {
    return await this.start(name, 'restart');
  }

  running(): TestMember[] {
    return [...this.members.values()].filter((member) => !this.#stopped.has(member.name));
  }

  /** For where nothing can have taken it from its place; otherwise see `untilLeader`. */
  leader(): TestMember {
    const leader = this.#leader();
    if (leader === undefined) throw new Error('no leader');
    return leader;
  }

  async untilLeader(): Promise<TestMember> {
    return await until('there is a leader', () => this.#leader());
  }

  async untilEqual(names?: readonly string[]): Promise<void> {
    const members = names?.map((name) => this.member(name)) ?? this.running();
    await until('all members have applied the same', () => {
      const applied = new Set(members.map((member) => member.machine.applied));
      const commits = Math.max(...members.map((member) => member.raft.status().commit));
      const digests = new Set(members.map((member) => member.machine.digest));
      return applied.size === 1 && applied.has(commits) && digests.size === 1;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.running().map((member) => member.raft[Symbol.asyncDispose]()));
    rmSync(this.directory, { recursive: true, force: true });
    this.ca[Symbol.dispose]();
  }

  readonly #stopped = new Set<string>();

  #gone(name: string): void {
    this.#stopped.add(name);
  }

  #leader(): TestMember | undefined {
    return this.running()
      .filter((member) => member.raft.status().role === 'leader')
      .sort((a, b) => b.raft.status().term - a.raft.status().term)[0];
  }

  async #optionsFor(name: string): Promise<RaftOptions> {
    this.#lastId += 1;
    const port = await freePort();
    return {
      directory: join(this.directory, name),
      clusterId: CLUSTER_ID,
      nodeId: name,
      raftId: this.#lastId,
      start: 'join',
      listen: { host: '127.0.0.1', port },
      advertise: `127.0.0.1:${port}`,
      tls: this.ca.issue({ cluster: CLUSTER_ID, node: name }),
      ...this.#defaults,
    };
  }

  async #run(name: string, options: RaftOptions): Promise<TestMember> {
    const machine = new ListMachine();
    const logger = this.#logger.child({ name });
    const raft = await startRaft(options, machine, { clock: systemClock, logger });
    const member = { name, raftId: options.raftId, options, machine, raft };
    this.members.set(name, member);
    this.#stopped.delete(name);
    return member;
  }
}

/** What `target` says to a stream that starts so: 'accepted', or why not. */
export async function sayHello(
  target: TestMember,
  tls: RaftTls,
  claim: { from: number; nodeId: string },
): Promise<string> {
  const peer = { address: target.options.advertise, nodeId: target.name };
  const client = connectToPeer(raftService(undefined), peer, { tls, clusterId: CLUSTER_ID });
  const hello = {
    clusterId: CLUSTER_ID,
    to: target.raftId,
    address: '127.0.0.1:9',
    incarnation: 0,
  };
  try {
    return await new Promise<string>((resolve) => {
      const stream = client.deliver((error) => resolve(error?.details ?? 'accepted'));
      stream.on('metadata', () => resolve('accepted'));
      stream.on('error', () => undefined);
      stream.write({ hello: { ...hello, ...claim } });
    });
  } finally {
    client.close();
  }
}

/** For calls that must succeed soon. */
export function deadline(ms = WAIT_MS): AbortSignal {
  return AbortSignal.timeout(ms);
}
