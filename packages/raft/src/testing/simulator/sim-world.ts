/** One simulated group: members, network, disks, clients and the judge, on one queue of events. */
import { assert } from '@swarmd/base';

import type { HardState, Message, RaftId, Ready } from '../../core/types.ts';
import type { Booted } from '../../node/boot.ts';
import type { AppliedEntry, MembershipChange } from '../../node/types.ts';
import { decodeHeader, HEADER_KEY, type LogHeader } from '../../wal/header.ts';
import { entryKey } from '../../wal/record.ts';
import type { Dice } from '@swarmd/base/testing';
import { EventQueue } from './event-queue.ts';
import { found } from './founders.ts';
import { History, commandOf } from './history.ts';
import { Invariants } from './invariants.ts';
import type { Plan } from './plan.ts';
import { SimDisk, type DiskPart } from './sim-disk.ts';
import type { SimLink } from './sim-link.ts';
import { SimMember, type MemberWorld, type Moment } from './sim-member.ts';
import { SimNetwork } from './sim-network.ts';
import { Violation } from './violation.ts';

/** The id of proposals that clients do not ask for. */
export const NOT_A_WRITE = 0;

export type Trace = (line: string) => void;

export class SimWorld implements MemberWorld {
  readonly chance: Dice;
  readonly plan: Plan;
  readonly events = new EventQueue();
  readonly history = new History();
  readonly invariants: Invariants;
  readonly network: SimNetwork;
  readonly #members = new Map<RaftId, SimMember>();
  readonly #trace: Trace | undefined;
  /** By member: when it is to crash next. */
  readonly #traps = new Map<RaftId, Moment>();
  /** Disks that answer nothing before this time. */
  readonly #hungUntil = new Map<RaftId, number>();
  #violation: Error | undefined;
  steps = 0;
  /** How often what happened, for those who wonder whether a simulation means anything. */
  readonly counts = new Map<string, number>();
  maxDiskMs: number;
  garble: number;

  constructor(options: { chance: Dice; plan: Plan; trace?: Trace }) {
    this.chance = options.chance;
    this.plan = options.plan;
    this.#trace = options.trace;
    this.maxDiskMs = this.plan.maxDiskMs;
    this.garble = this.plan.garble;
    this.invariants = new Invariants({
      termOf: (id, index) => this.#durableTerm(id, index),
      hardOf: (id) => this.#durableHeader(id)?.hard,
    });
    this.network = new SimNetwork(
      this,
      { ...this.plan.network },
      {
        arrive: (message) => this.#arrive(message),
        lost: (message) => this.#lost(message),
      },
    );
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  /** Founders start with the first snapshot. */
  async begin(): Promise<void> {
    const { voters } = this.plan;
    for (const id of voters) {
      const disk = new SimDisk(this.chance);
      const storage = disk.mount({
        later: (fn) => this.after(0, fn),
        moment: () => undefined,
        missing: (file) => this.missing(id, file),
      });
      const progress = { done: false };
      const founding = found(storage, id, voters).finally(() => (progress.done = true));
      for (await settled(); !progress.done; await settled()) this.events.step(this.events.now);
      await founding;
      this.#add(id, disk).start('restart');
    }
  }

  get members(): SimMember[] {
    return [...this.#members.values()];
  }

  member(id: RaftId): SimMember | undefined {
    return this.#members.get(id);
  }

  /** A newcomer with nothing at all. */
  addMember(id: RaftId): void {
    this.#add(id, new SimDisk(this.chance)).start('join');
  }

  /** The member that leads the highest term, as far as the members themselves know. */
  leader(): SimMember | undefined {
    let best: SimMember | undefined;
    for (const member of this.members) {
      const status = member.status();
      if (status?.role !== 'leader') continue;
      if (status.term > (best?.status()?.term ?? 0)) best = member;
    }
    return best;
  }

  now(): number {
    return this.events.now;
  }

  after(delayMs: number, run: () => void): void {
    this.events.after(delayMs, run);
  }

  log(what: () => string): void {
    this.#trace?.(`${this.events.now.toFixed(1).padStart(8)} ${what()}`);
  }

  /** What promises have to do is done after each event. @throws what went wrong in one of them. */
  async runUntil(endMs: number, done: () => boolean = () => false): Promise<void> {
    while (!done() && this.events.step(endMs)) {
      this.steps++;
      await settled();
      if (this.#violation) throw this.#violation;
    }
  }

  write(member: SimMember): void {
    const id = this.history.ask();
    this.log(() => `client: ${commandOf(id)} to ${member.id}`);
    member.ask({ kind: 'propose', id, data: bufferOf(commandOf(id)) });
  }

  read(member: SimMember): void {
    member.ask({ kind: 'read', id: this.history.ask() });
  }

  change(member: SimMember, change: MembershipChange): void {
    this.log(() => `operator: ${JSON.stringify(change)} to ${member.id}`);
    member.ask({ kind: 'change', id: this.history.ask(), change });
  }

  crash(member: SimMember, kind: 'kill' | 'power'): void {
    this.log(() => `crash of ${member.id} (${kind})`);
    this.count(`crash (${kind})`);
    member.crash();
    member.disk.crash(kind);
  }

  restart(member: SimMember): void {
    if (member.running || member.gone) return;
    this.log(() => `restart of ${member.id}`);
    this.invariants.restarted(member.id);
    member.disk.repair();
    member.start(member.everStarted ? 'restart' : 'join');
  }

  /** A crash at the next such moment, or just after it. */
  trap(member: SimMember, moment: Moment): void {
    this.#traps.set(member.id, moment);
  }

  clearTraps(): void {
    this.#traps.clear();
  }

  moment(member: SimMember, what: Moment): void {
    if (what === 'snapshot rename') this.count('snapshot taken');
    if (this.#traps.get(member.id) !== what) return;
    this.#traps.delete(member.id);
    this.count(`crash at ${what}`);
    this.after(this.chance.happens(0.3) ? 0 : this.chance.next() * 5, () => {
      if (member.running) this.crash(member, this.chance.happens(0.5) ? 'kill' : 'power');
      this.after(this.chance.between(5, 1_500), () => this.restart(member));
    });
  }

  hangDisk(id: RaftId, ms: number): void {
    this.log(() => `disk of ${id} hangs for ${ms} ms`);
    this.#hungUntil.set(id, this.events.now + ms);
    this.count('hanging disk');
  }

  healDisks(): void {
    this.#hungUntil.clear();
  }

  // What members ask of their world.

  send(message: Message): void {
    this.#judge(() => this.invariants.sent(message));
    const sender = this.#members.get(message.from);
    if (sender && message.kind !== 'heartbeat') this.moment(sender, 'send');
    this.network.send(message);
  }

  carry(way: { from: RaftId; to: RaftId }, outcome: { pass: () => void; lost: () => void }): void {
    this.network.carry(way, {
      pass: () => this.#at(way.to, outcome.pass, outcome.lost),
      lost: outcome.lost,
    });
  }

  linkOf(id: RaftId): SimLink | undefined {
    return this.#members.get(id)?.link;
  }

  garbles(): boolean {
    return this.chance.happens(this.garble);
  }

  /** If the answer gets through. */
  refuse(removed: RaftId, by: RaftId): void {
    const nothing = (): void => undefined;
    const pass = (): void => this.linkOf(removed)?.removed(by);
    this.carry({ from: by, to: removed }, { pass, lost: nothing });
  }

  framePassed(from: RaftId, to: RaftId): void {
    for (const id of [from, to]) {
      const member = this.#members.get(id);
      if (member) this.moment(member, 'snapshot frame');
    }
  }

  forgets(): boolean {
    return this.chance.happens(0.2);
  }

  stepped(member: SimMember): void {
    const status = member.status();
    const conf = member.conf();
    if (!status || !conf) return;
    const termOf = (index: number): number | undefined =>
      index > status.last ? undefined : member.termOf(index);
    this.#judge(() => this.invariants.observe({ id: member.id, status, conf, termOf }));
  }

  wrote(member: SimMember, ready: Ready, termBefore: number | undefined): void {
    const { soft, hard, append } = ready;
    if (soft || hard) {
      this.log(
        () => `${member.id}: ${JSON.stringify({ ...soft, ...hard, append: append.length })}`,
      );
    }
    this.#judge(() => this.invariants.written(member.id, append, termBefore));
    if (hard || append.length > 0) this.moment(member, 'write');
  }

  /** Only now does a vote count: one that a crash takes back was never given. */
  durable(member: SimMember, hard: HardState): void {
    this.moment(member, 'synced');
    if (hard.vote === 0) return;
    this.#judge(() => this.invariants.voted(member.id, hard.term, hard.vote));
  }

  /** It has found its log good: then it must be all that was ever promised, and nothing else. */
  booted(member: SimMember, { hard, log }: Booted): void {
    const { promisedBatch } = member.disk;
    const batch = member.disk.storedBatch() ?? 0;
    if (member.disk.damaged) this.count('damage was harmless');
    this.log(() => `${member.id} starts with ${JSON.stringify({ ...hard, last: log.last() })}`);
    this.#judge(() => {
      if (batch < promisedBatch) {
        const what = `batch ${batch} instead of ${promisedBatch}`;
        throw new Violation('damage-noticed', `member ${member.id} takes part with ${what}`);
      }
      const entries = log.entries(log.first(), log.last() + 1, Infinity);
      this.invariants.written(member.id, entries, log.term(log.first() - 1));
    });
  }

  applied(member: SimMember, entry: AppliedEntry, digest: number): void {
    this.#judge(() => this.invariants.applied(member.id, entry, digest));
    this.moment(member, 'apply');
  }

  restored(member: SimMember, index: number, digest: number): void {
    this.log(() => `${member.id} stands at snapshot ${index}`);
    if (member.ready) this.count('snapshot installed');
    this.#judge(() => this.invariants.restored(member.id, index, digest));
    this.moment(member, 'restore');
  }

  /** Whatever becomes of a snapshot that the log refers to, its file is there. */
  missing(id: RaftId, file: string): void {
    if (this.#members.get(id)?.disk.damaged === true) return;
    this.#judge(() => {
      throw new Violation('snapshot-is-there', `member ${id} has no ${file}, its log needs it`);
    });
  }

  writeDone(id: number, index: number): void {
    if (id === NOT_A_WRITE) return;
    this.log(() => `client: ${commandOf(id)} is at ${index}`);
    this.#judge(() => this.history.writeDone(id, index));
  }

  writeRefused(id: number, certain: boolean): void {
    if (certain) this.history.writeRefused(id);
  }

  readDone(id: number, applied: number): void {
    this.#judge(() => this.history.readDone(id, applied));
  }

  /** For a reason that the nemesis gave it, or because an assertion failed. */
  stopped(member: SimMember, error: { code: string; message: string }): void {
    this.log(() => `${member.id} stops: ${error.message}`);
    member.disk.crash('kill');
    if (error.code === 'failed-precondition' && /was removed from cluster/.test(error.message)) {
      this.count('removed');
      member.gone = true;
    } else if (error.code === 'data-loss' && member.disk.damaged) {
      this.count('damage found');
      member.gone = true;
    } else if (member.disk.hasFailed) {
      this.count('disk failed');
      this.after(this.chance.between(50, 2_000), () => this.restart(member));
    } else {
      this.#violation ??= new Violation('assertion', `member ${member.id}: ${error.message}`);
    }
  }

  diskDelayMs(id: RaftId, on: DiskPart): number {
    const hungMs = Math.max(0, (this.#hungUntil.get(id) ?? 0) - this.events.now);
    const busyMs = on === 'database' ? this.chance.next() * this.plan.databaseMs : 0;
    return hungMs + busyMs + this.chance.next() * this.maxDiskMs;
  }

  #add(id: RaftId, disk: SimDisk): SimMember {
    const { timing, limits, snapshotEvery, clockDrift } = this.plan;
    const drift = 1 + (this.chance.next() * 2 - 1) * clockDrift;
    const random = this.chance;
    const member = new SimMember(id, this, { disk, random, timing, limits, snapshotEvery, drift });
    this.#members.set(id, member);
    return member;
  }

  /** The first broken rule ends the simulation, whoever catches the error on the way. */
  #judge(rule: () => void): void {
    try {
      rule();
    } catch (error) {
      assert(error instanceof Error, 'rules throw errors');
      this.#violation ??= error;
    }
  }

  #durableHeader(id: RaftId): LogHeader | undefined {
    const disk = this.#members.get(id)?.disk;
    const stored = disk?.damaged === false ? disk.durable(HEADER_KEY) : undefined;
    return stored && decodeHeader(stored);
  }

  #durableTerm(id: RaftId, index: number): number | 'covered' | undefined {
    const disk = this.#members.get(id)?.disk;
    if (disk === undefined) return undefined;
    // It held the entry when it said so; what became of it later is no fault of Raft.
    if (disk.damaged) return 'covered';
    const header = this.#durableHeader(id);
    if (header === undefined) return undefined;
    if (index < header.compacted.index) return 'covered';
    if (index === header.compacted.index) return header.compacted.term;
    if (index > header.last) return undefined;
    // `crc(4) | flags(1) | term(8) | ...`, see record.ts; nothing is encrypted here.
    const value = disk.durable(entryKey(index));
    return value && Number(value.readBigUInt64BE(5));
  }

  #at(id: RaftId, pass: () => void, lost: () => void): void {
    const member = this.#members.get(id);
    if (member === undefined) lost();
    else member.deliver(pass, lost);
  }

  #arrive(message: Message): void {
    const { from, to } = message;
    this.#at(
      to,
      () => {
        const link = this.linkOf(to);
        if (link?.refuses(from)) this.refuse(from, to);
        else {
          this.log(() => `${from}->${to} ${summary(message)}`);
          link?.receive(message);
        }
      },
      () => this.#lost(message),
    );
  }

  #lost({ from, to }: Message): void {
    if (this.chance.happens(0.3)) this.linkOf(from)?.lost(to);
  }
}

/** Everything that promises have to do by now is done. */
function settled(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

function bufferOf(text: string): ArrayBuffer {
  const bytes = new TextEncoder().encode(text);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
}

function summary(message: Message): string {
  const { from: _from, to: _to, ...rest } = message;
  if (message.kind !== 'append') return JSON.stringify(rest);
  const entries = message.entries.map((entry) => `${entry.term}/${entry.index}`);
  return JSON.stringify({ ...rest, entries });
}
