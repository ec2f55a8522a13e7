/** One simulated member: a real replica with its log, and the main thread's half beside it. */
import { errorCode, errorMessage, silentLogger, unreachable, type Random } from '@swarmd/base';

import type {
  ConfState,
  HardState,
  Input,
  RaftConfig,
  RaftId,
  Ready,
  Status,
} from '../../core/types.ts';
import { boot, type Booted } from '../../node/boot.ts';
import { Replica } from '../../node/replica.ts';
import { StateMachineFeed, type FeedMessage } from '../../node/state-machine-feed.ts';
import type { AppliedEntry, RaftOptions, RaftTiming } from '../../node/types.ts';
import type { FromWorker, ToWorker } from '../../node/worker-protocol.ts';
import { CommandMachine } from './command-machine.ts';
import { ObservedCore } from './observed-core.ts';
import { SimClock } from './sim-clock.ts';
import type { DiskMoment, DiskPart, SimDisk } from './sim-disk.ts';
import { SimLink, type LinkWorld } from './sim-link.ts';

export const CLUSTER_ID = 'simulated';

/** When a crash is most awkward. */
export const MOMENTS = [
  'write',
  'synced',
  'send',
  'apply',
  'restore',
  'compaction',
  'truncation',
  'snapshot write',
  'snapshot rename',
  'snapshot frame',
] as const;

export type Moment = (typeof MOMENTS)[number] | DiskMoment;

export interface MemberWorld extends LinkWorld {
  now(): number;
  after(delayMs: number, run: () => void): void;
  stepped(member: SimMember): void;
  wrote(member: SimMember, ready: Ready, termBefore: number | undefined): void;
  durable(member: SimMember, hard: HardState): void;
  booted(member: SimMember, booted: Booted): void;
  applied(member: SimMember, entry: AppliedEntry, digest: number): void;
  restored(member: SimMember, index: number, digest: number): void;
  writeDone(id: number, index: number): void;
  /** `certain`: it was promised that nothing happened. */
  writeRefused(id: number, certain: boolean): void;
  readDone(id: number, applied: number): void;
  moment(member: SimMember, what: Moment): void;
  /** It has stopped itself, or would not start. */
  stopped(member: SimMember, error: { code: string; message: string }): void;
  /** A snapshot that the log of this member refers to has no file. */
  missing(id: RaftId, file: string): void;
  /** Milliseconds that the disk takes for one thing now. */
  diskDelayMs(id: RaftId, on: DiskPart): number;
}

export interface SimMemberOptions {
  readonly disk: SimDisk;
  readonly random: Random;
  readonly timing: RaftTiming;
  readonly limits: Partial<RaftConfig>;
  readonly snapshotEvery: number;
  readonly drift: number;
}

/** Between the threads. */
const HOP_MS = 0.05;
/** Snapshots of some hundred commands have some frames. */
const FRAME_BYTES = 200;

/** One life, from start to crash. */
interface Life {
  readonly clock: SimClock;
  alive: boolean;
  replica?: Replica;
  core?: ObservedCore;
  link?: SimLink;
  machine?: CommandMachine;
  ready: boolean;
  /** What the main thread has not handled yet. */
  readonly inbox: (() => void)[];
}

export class SimMember {
  readonly id: RaftId;
  readonly disk: SimDisk;
  readonly #world: MemberWorld;
  readonly #options: SimMemberOptions;
  #life: Life | undefined;
  /** What waits for the end of a pause. */
  #paused: (() => void)[] | undefined;
  /** Nothing is handled on the main thread before this time. */
  #mainBusyUntil = 0;
  #reads: { readonly id: number; readonly index: number }[] = [];
  /** Removed, or damaged: it does not come back. */
  gone = false;
  /** Its disk holds a log, be it an empty one. */
  everStarted = false;

  constructor(id: RaftId, world: MemberWorld, options: SimMemberOptions) {
    this.id = id;
    this.disk = options.disk;
    this.#world = world;
    this.#options = options;
  }

  get running(): boolean {
    return this.#life !== undefined;
  }

  /** Replayed its log, and takes part. */
  get ready(): boolean {
    return this.#life?.ready === true;
  }

  /** Undefined while nobody gets through to it. */
  get link(): SimLink | undefined {
    const link = this.#life?.link;
    return link?.listening === true ? link : undefined;
  }

  get commands(): readonly string[] {
    return this.#life?.machine?.commands ?? [];
  }

  get appliedIndex(): number {
    return this.#life?.machine?.index ?? 0;
  }

  status(): Status | undefined {
    return this.#life?.core?.status();
  }

  conf(): ConfState | undefined {
    return this.#life?.core?.confState();
  }

  termOf(index: number): number | undefined {
    return this.#life?.core?.termOf(index);
  }

  /** `join`: its disk may be empty. */
  start(start: 'join' | 'restart'): void {
    const life: Life = { clock: this.#clockOf(() => life), alive: true, ready: false, inbox: [] };
    this.#life = life;
    this.#reads = [];
    this.#run(life, start).catch((error: unknown) => {
      this.#stop(life, { code: errorCode(error), message: errorMessage(error) });
    });
  }

  crash(): void {
    if (this.#life) this.#life.alive = false;
    this.#life = undefined;
    this.#paused = undefined;
  }

  /** Straight into the core, past the main thread: what only tests do. */
  step(input: Input): void {
    this.#life?.core?.step(input);
  }

  /** As the main thread asks. */
  ask(message: Extract<ToWorker, { kind: 'propose' | 'read' | 'change' | 'transfer' }>): void {
    const life = this.#life;
    if (life?.ready) this.#toReplica(life, message);
    else if (message.kind === 'propose') this.#world.writeRefused(message.id, true);
  }

  /** Nothing happens until `resume`; what arrives meanwhile waits in its sockets. */
  pause(): void {
    this.#paused ??= [];
  }

  resume(): void {
    const waiting = this.#paused ?? [];
    this.#paused = undefined;
    for (const run of waiting) run();
  }

  blockMain(ms: number): void {
    this.#mainBusyUntil = Math.max(this.#mainBusyUntil, this.#world.now() + ms);
  }

  /** Runs `fn` in this member's time: after a pause; `else` if it is not there (any more). */
  deliver(fn: () => void, otherwise: () => void): void {
    const life = this.#life;
    if (life === undefined || this.link === undefined) otherwise();
    else this.#guard(life, fn);
  }

  async #run(life: Life, start: 'join' | 'restart'): Promise<void> {
    const { random, limits } = this.#options;
    const options = this.#raftOptions(start);
    const storage = this.disk.mount({
      later: (fn, on) => {
        this.#world.after(this.#world.diskDelayMs(this.id, on), () => this.#guard(life, fn));
      },
      moment: (what) => this.#world.moment(this, what),
      missing: (file) => this.#world.missing(this.id, file),
    });
    const booted = await boot({ options, storage, random, limits });
    if (!life.alive) return;
    this.everStarted = true;
    this.#world.booted(this, booted);
    const core = new ObservedCore(booted.core, (index) => booted.log.term(index), {
      stepped: () => this.#world.stepped(this),
      wrote: (ready, before) => this.#world.wrote(this, ready, before),
      durable: (hard) => this.#world.durable(this, hard),
    });
    life.core = core;
    const machine = new CommandMachine({
      applied: (entry, digest) => this.#world.applied(this, entry, digest),
      restored: (index, digest) => this.#world.restored(this, index, digest),
    });
    life.machine = machine;
    const feed: StateMachineFeed = new StateMachineFeed(machine, {
      clock: life.clock,
      post: (message) => this.#toReplica(life, message),
      nextTurn: (step) =>
        this.#toMain(life, () => {
          step();
          this.#serveReads(feed.applied);
        }),
      frameBytes: FRAME_BYTES,
    });
    const replica = new Replica(
      options,
      { ...booted, core },
      {
        clock: life.clock,
        random,
        logger: silentLogger,
        post: (message) => this.#toMain(life, () => this.#handle(life, message, feed)),
        soon: (fn) => this.#world.after(0, () => this.#guard(life, fn)),
        makeNetwork: (context) => (life.link = new SimLink(context, this.#world)),
        onFailure: (error) => {
          this.#stop(life, { code: errorCode(error), message: errorMessage(error) });
        },
      },
    );
    life.replica = replica;
    await replica.run();
  }

  #raftOptions(start: 'join' | 'restart'): RaftOptions {
    const { timing, snapshotEvery } = this.#options;
    return {
      directory: '',
      clusterId: CLUSTER_ID,
      nodeId: `node${this.id}`,
      raftId: this.id,
      start,
      listen: { host: '', port: 0 },
      advertise: `member${this.id}`,
      tls: { certificatePem: '', keyPem: '', caPem: '' },
      timing,
      snapshotEvery,
    };
  }

  #clockOf(life: () => Life): SimClock {
    return new SimClock(this.#world, this.#options.drift, (run) => this.#guard(life(), run));
  }

  #guard(life: Life, run: () => void): void {
    if (!life.alive) return;
    if (this.#paused === undefined) run();
    else this.#paused.push(() => this.#guard(life, run));
  }

  #toReplica(life: Life, message: Exclude<ToWorker, { kind: 'stop' }> | ToWorker): void {
    if (message.kind === 'stop') return;
    this.#world.after(HOP_MS, () => this.#guard(life, () => life.replica?.receive(message)));
  }

  /** In order: what comes while the thread is busy waits in line. */
  #toMain(life: Life, handle: () => void): void {
    life.inbox.push(handle);
    if (life.inbox.length === 1) this.#world.after(HOP_MS, () => this.#drainMain(life));
  }

  #drainMain(life: Life): void {
    const busyMs = this.#mainBusyUntil - this.#world.now();
    if (busyMs > 0) {
      this.#world.after(busyMs, () => this.#drainMain(life));
      return;
    }
    this.#guard(life, () => {
      const [handle] = life.inbox;
      if (handle === undefined) return;
      handle();
      life.inbox.shift();
      if (life.inbox.length > 0) this.#world.after(HOP_MS, () => this.#drainMain(life));
    });
  }

  #handle(life: Life, message: FromWorker, feed: StateMachineFeed): void {
    switch (message.kind) {
      case 'ready':
        life.ready = true;
        break;
      case 'refused':
        this.#world.writeRefused(message.id, isCertain(message.error.code));
        break;
      case 'readIndex':
        this.#reads.push({ id: message.id, index: message.index });
        this.#serveReads(feed.applied);
        break;
      case 'ping':
        this.#toReplica(life, { kind: 'pong' });
        break;
      case 'status':
      case 'done':
      case 'report':
      case 'log':
      case 'failed':
      case 'stopped':
        break;
      case 'apply':
      case 'takeSnapshot':
      case 'snapshotCredit':
      case 'dropSnapshot':
      case 'restoreBegin':
      case 'restoreFrame':
      case 'restoreEnd':
        this.#feed(message, feed);
        break;
      default:
        unreachable(message);
    }
  }

  #feed(message: FeedMessage, feed: StateMachineFeed): void {
    feed.handle(message);
    if (message.kind === 'apply') {
      for (const { id, index } of message.batch.done) this.#world.writeDone(id, index);
    }
    this.#serveReads(feed.applied);
  }

  #serveReads(applied: number): void {
    const due = this.#reads.filter((read) => read.index <= applied);
    this.#reads = this.#reads.filter((read) => read.index > applied);
    for (const read of due) this.#world.readDone(read.id, applied);
  }

  #stop(life: Life, error: { code: string; message: string }): void {
    if (!life.alive) return;
    this.crash();
    this.#world.stopped(this, error);
  }
}

/** Refusals that say "nothing was changed". */
function isCertain(code: string): boolean {
  return code === 'unavailable' || code === 'resource-exhausted' || code === 'failed-precondition';
}
