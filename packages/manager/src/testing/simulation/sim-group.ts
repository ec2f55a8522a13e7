/**
 * Consensus as a manager sees it, without its algorithm (that has a simulation of its own): one log,
 * committed by a majority that can reach each other; leaders that are deposed before they notice;
 * proposals whose outcome nobody hears of; members that lag and are brought up to date by a snapshot.
 */
import { SwarmError, type Clock } from '@swarmd/base';
import type { AppliedEntry, PeerProgress, RaftMember, StateMachine } from '@swarmd/raft';

import type { Dice } from '@swarmd/base/testing';
import type { SimRaft } from './sim-raft.ts';

const CHECK_MS = 100;
/** Silence of the leader before another one is elected, and before it gives up by itself. */
const ELECTION_MS = 1_000;
const LAG_MS: readonly [number, number] = [1, 30];
/** Entries kept beyond the last snapshot. */
const LOG_MAX = 400;
const NOTHING = new Uint8Array();

export interface GroupOptions {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly members: readonly RaftMember[];
  readonly commitMs: readonly [number, number];
  /** Do two managers hear each other now? */
  readonly reach: (a: number, b: number) => boolean;
  /** Sees every entry at the moment it is committed. */
  readonly witness: StateMachine;
  readonly trace: (line: string) => void;
}

export interface Proposal {
  readonly by: SimRaft;
  readonly data: Uint8Array;
  readonly readyAt: number;
  readonly done: (index: number) => void;
  readonly failed: (error: Error) => void;
}

/** The picture is of the moment it was taken; it is encoded once somebody needs it, which is rare. */
class LazySnapshot {
  readonly index: number;
  readonly #picture: Iterable<Uint8Array>;
  #chunks: readonly Uint8Array[] | undefined;

  constructor(index: number, picture: Iterable<Uint8Array>) {
    this.index = index;
    this.#picture = picture;
  }

  get chunks(): readonly Uint8Array[] {
    return (this.#chunks ??= [...this.#picture]);
  }
}

export class SimGroup {
  readonly options: GroupOptions;
  readonly #up = new Map<number, SimRaft>();
  #log: AppliedEntry[] = [];
  #snapshot: LazySnapshot | undefined;
  #queue: Proposal[] = [];
  #last = 0;
  #term = 0;
  #leader = 0;
  /** The leader has gone, or has given up: somebody must be elected, if only the same again. */
  #isVacant = true;
  #silentSince: number | undefined;

  constructor(options: GroupOptions) {
    this.options = options;
  }

  get last(): number {
    return this.#last;
  }

  get leader(): number {
    return this.#leader;
  }

  /** What the cluster starts with, before anybody leads. */
  begin(data: readonly Uint8Array[]): void {
    for (const part of data) this.#append(0, part);
    this.#snapshotNow();
    this.#check();
  }

  join(member: SimRaft): void {
    this.#up.set(member.raftId, member);
    member.catchUp();
  }

  leave(member: SimRaft): void {
    if (this.#up.get(member.raftId) === member) this.#up.delete(member.raftId);
    this.resign(member);
  }

  /** A leader that hears no majority gives up; in this term it leads no more. */
  resign(member: SimRaft): void {
    if (member.raftId === this.#leader) this.#isVacant = true;
  }

  /** Everything after `index`: entries, after a snapshot where the log begins later. */
  since(index: number): {
    snapshot?: LazySnapshot;
    entries: readonly AppliedEntry[];
  } {
    const first = this.#last - this.#log.length + 1;
    if (index + 1 >= first) return { entries: this.#log.slice(index + 1 - first) };
    const snapshot = this.#snapshot;
    if (snapshot === undefined) throw new Error('the log begins later than its snapshot');
    return { snapshot, entries: this.#log.slice(snapshot.index + 1 - first) };
  }

  hasQuorum(raftId: number): boolean {
    return 2 * this.#reached(raftId).length > this.options.members.length;
  }

  /** Can this member ask the leader, and may the leader answer? */
  confirms(raftId: number): boolean {
    const leader = this.#leader;
    return !this.#isVacant && this.#hears(raftId, leader) && this.hasQuorum(leader);
  }

  progress(raftId: number): PeerProgress[] {
    return this.options.members
      .filter((member) => member.raftId !== raftId)
      .map((member) => ({
        raftId: member.raftId,
        state: 'replicate',
        match: this.#last,
        next: this.#last + 1,
        recentlyActive: this.#hears(raftId, member.raftId),
      }));
  }

  submit(proposal: Omit<Proposal, 'readyAt'>): void {
    const { clock, dice, commitMs } = this.options;
    const earliest = this.#queue.at(-1)?.readyAt ?? 0;
    const readyAt = Math.max(earliest, clock.monotonic() + dice.between(...commitMs));
    this.#queue.push({ ...proposal, readyAt });
    clock.after(readyAt - clock.monotonic(), () => this.#pump());
  }

  /** Another member leads from now on; what was under way may or may not have reached the log. */
  elect(raftId: number): void {
    this.#loseSome();
    this.#term += 1;
    this.#leader = raftId;
    this.#silentSince = undefined;
    this.#isVacant = false;
    this.options.trace(`raft: ${raftId} leads in term ${this.#term}`);
    this.#append(this.#term, NOTHING);
    this.#up.get(raftId)?.learn({ term: this.#term, leader: raftId });
    this.#tellOthers();
  }

  /** The leader loses and wins again before its main thread hears of it. */
  blink(): void {
    const member = this.#up.get(this.#leader);
    if (member === undefined || this.#isVacant || !this.hasQuorum(this.#leader)) return;
    this.#loseSome();
    this.#term += 2;
    this.options.trace(`raft: ${this.#leader} leads again, in term ${this.#term}`);
    this.#append(this.#term, NOTHING);
    const news = { term: this.#term, leader: this.#leader };
    this.options.clock.after(this.options.dice.between(5, 60), () => {
      if (news.term === this.#term) member.learn(news);
    });
    this.#tellOthers();
  }

  #loseSome(): void {
    const queue = this.#queue;
    this.#queue = [];
    const surviving = this.options.dice.between(0, queue.length);
    for (const [at, proposal] of queue.entries()) {
      if (at < surviving) this.#append(this.#term, proposal.data);
      proposal.failed(new SwarmError('unknown-outcome', 'leadership was lost meanwhile'));
    }
  }

  #pump(): void {
    const leader = this.#up.get(this.#leader);
    if (leader === undefined || this.#isVacant || !this.hasQuorum(leader.raftId)) return;
    const now = this.options.clock.monotonic();
    for (;;) {
      const [first] = this.#queue;
      if (first === undefined || first.readyAt > now) return;
      this.#queue.shift();
      const index = this.#append(this.#term, first.data);
      leader.catchUp();
      first.done(index);
    }
  }

  #append(term: number, data: Uint8Array): number {
    const { clock, dice, witness } = this.options;
    this.#last += 1;
    const entry = { index: this.#last, term, data };
    this.#log.push(entry);
    witness.apply([entry]);
    if (this.#log.length > LOG_MAX) this.#snapshotNow();
    for (const member of this.#up.values()) {
      if (member.raftId === this.#leader) continue;
      clock.after(dice.between(...LAG_MS), () => {
        if (this.#hears(member.raftId, this.#leader)) member.catchUp();
      });
    }
    return this.#last;
  }

  #snapshotNow(): void {
    this.#snapshot = new LazySnapshot(this.#last, this.options.witness.snapshot());
    this.#log = [];
  }

  #tellOthers(): void {
    const { clock, dice } = this.options;
    const news = { term: this.#term, leader: this.#leader };
    for (const member of this.#up.values()) {
      if (member.raftId === news.leader) continue;
      clock.after(dice.between(...LAG_MS), () => {
        if (this.#hears(member.raftId, news.leader) && news.term === this.#term) member.learn(news);
      });
    }
  }

  #hears(a: number, b: number): boolean {
    return this.#up.has(a) && this.#up.has(b) && (a === b || this.options.reach(a, b));
  }

  #reached(raftId: number): number[] {
    return this.options.members
      .map((member) => member.raftId)
      .filter((other) => this.#hears(raftId, other));
  }

  /** Elects when the leader has been silent for long, and tells members what they missed. */
  #check(): void {
    const { clock, dice } = this.options;
    const now = clock.monotonic();
    if (!this.#isVacant && this.hasQuorum(this.#leader)) {
      this.#silentSince = undefined;
      this.#pump();
      this.#remind();
    } else {
      this.#silentSince ??= now;
      const candidates = [...this.#up.keys()].filter((id) => this.hasQuorum(id));
      const waited = this.#leader === 0 || now - this.#silentSince >= ELECTION_MS;
      const winner = dice.maybe(candidates);
      if (waited && winner !== undefined) this.elect(winner);
    }
    for (const member of this.#up.values()) {
      if (!this.hasQuorum(member.raftId)) member.miss(now, ELECTION_MS);
      else member.hear();
    }
    clock.after(CHECK_MS, () => this.#check());
  }

  #remind(): void {
    const news = { term: this.#term, leader: this.#leader };
    for (const member of this.#up.values()) {
      if (!this.#hears(member.raftId, this.#leader) || member.raftId === this.#leader) continue;
      member.learn(news);
      member.catchUp();
    }
  }
}
