/** One member of a `SimGroup`, by the contract of `Raft`. */
import { abortReason, sleep, SwarmError } from '@swarmd/base';
import type { Raft, RaftReport, RaftStatus, StateMachine } from '@swarmd/raft';

import type { SimGroup } from './sim-group.ts';

const BARRIER_MS = 2;
const BARRIER_RETRY_MS = 25;

export class SimRaft implements Raft {
  readonly failed = new Promise<never>(() => undefined);
  readonly raftId: number;
  readonly #group: SimGroup;
  readonly #machine: StateMachine;
  readonly #listeners = new Set<(status: RaftStatus) => void>();
  /** What it waits for; rejected when it goes down or hears that it leads no more. */
  readonly #waiting = new Set<(error: Error) => void>();
  #applied = 0;
  #term = 0;
  #leader = 0;
  #silentSince: number | undefined;
  #isDown = false;

  constructor(group: SimGroup, raftId: number, machine: StateMachine) {
    this.#group = group;
    this.raftId = raftId;
    this.#machine = machine;
    group.join(this);
  }

  status(): RaftStatus {
    const isLeader = this.#leader === this.raftId;
    return {
      raftId: this.raftId,
      role: isLeader ? 'leader' : 'follower',
      term: this.#term,
      leader: this.#leader,
      commit: this.#applied,
      applied: this.#applied,
      first: 1,
      last: this.#applied,
      members: this.#group.options.members,
      progress: isLeader ? this.#group.progress(this.raftId) : [],
    };
  }

  report(): Promise<RaftReport> {
    return Promise.reject(new SwarmError('unimplemented', 'there is nothing behind the status'));
  }

  onStatus(listener: (status: RaftStatus) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  propose(data: Uint8Array, signal: AbortSignal): Promise<number> {
    if (this.#isDown || this.#leader !== this.raftId) {
      return Promise.reject(new SwarmError('unavailable', 'this member does not lead'));
    }
    return new Promise<number>((resolve, reject) => {
      const finish = (): void => {
        this.#waiting.delete(failed);
        signal.removeEventListener('abort', onAbort);
      };
      const failed = (error: Error): void => {
        finish();
        reject(error);
      };
      const onAbort = (): void => failed(new SwarmError('unknown-outcome', 'given up'));
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(failed);
      const done = (index: number): void => {
        finish();
        resolve(index);
      };
      this.#group.submit({ by: this, data, done, failed });
    });
  }

  async readBarrier(signal: AbortSignal): Promise<void> {
    const { clock } = this.#group.options;
    await sleep(clock, BARRIER_MS, signal);
    while (!this.#group.confirms(this.raftId)) {
      if (this.#isDown) throw new SwarmError('unavailable', 'this member is down');
      await sleep(clock, BARRIER_RETRY_MS, signal);
    }
    const target = this.#group.last;
    while (this.#applied < target) {
      if (this.#isDown) throw new SwarmError('unavailable', 'this member is down');
      await sleep(clock, BARRIER_MS, signal);
    }
    if (signal.aborted) throw abortReason(signal);
  }

  changeMembership(): Promise<void> {
    return Promise.reject(new SwarmError('unimplemented', 'the members are fixed here'));
  }

  transferLeadership(): Promise<void> {
    const { members, dice } = this.#group.options;
    const others = members.filter(
      ({ raftId }) => raftId !== this.raftId && this.#group.confirms(raftId),
    );
    const heir = dice.maybe(others);
    if (heir === undefined) return Promise.reject(new SwarmError('unavailable', 'no heir'));
    this.#group.elect(heir.raftId);
    return Promise.resolve();
  }

  setTls(): void {
    // No connections, nothing to change.
  }

  refuseNodes(): void {
    // Nobody connects.
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#isDown = true;
    this.#group.leave(this);
    this.#rejectWaiting();
    return Promise.resolve();
  }

  /** Applies everything that is committed. */
  catchUp(): void {
    if (this.#isDown || this.#applied === this.#group.last) return;
    const { snapshot, entries } = this.#group.since(this.#applied);
    if (snapshot !== undefined) {
      const restoring = this.#machine.restore(snapshot.index);
      for (const chunk of snapshot.chunks) restoring.take(chunk);
      restoring.finish();
    }
    this.#applied = this.#group.last;
    this.#machine.apply(entries);
  }

  /** Hears who leads. */
  learn(news: { term: number; leader: number }): void {
    if (this.#isDown || (news.term === this.#term && news.leader === this.#leader)) return;
    this.#term = news.term;
    this.#leader = news.leader;
    if (news.leader === this.raftId) this.catchUp();
    else this.#rejectWaiting();
    this.#notify();
  }

  /** Cut off from the majority: gives up what it believes after an election's time. */
  miss(now: number, electionMs: number): void {
    this.#silentSince ??= now;
    if (now - this.#silentSince < electionMs || this.#leader === 0) return;
    this.#group.resign(this);
    this.#leader = 0;
    this.#rejectWaiting();
    this.#notify();
  }

  hear(): void {
    this.#silentSince = undefined;
  }

  #rejectWaiting(): void {
    for (const failed of this.#waiting) {
      failed(new SwarmError('unknown-outcome', 'leadership was lost meanwhile'));
    }
  }

  #notify(): void {
    const status = this.status();
    for (const listener of this.#listeners) listener(status);
  }
}
