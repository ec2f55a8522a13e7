/** Raft of one member in memory, by its contract: what is proposed while it leads is committed. */
import { SwarmError } from '@swarmd/base';
import type {
  MembershipChange,
  Raft,
  RaftMember,
  RaftReport,
  RaftStatus,
  StateMachine,
} from '@swarmd/raft';

/** For those who look at what is proposed, and not at what becomes of it. */
export const NO_MACHINE: StateMachine = {
  apply: () => undefined,
  snapshot: () => [],
  restore: () => ({ take: () => undefined, finish: () => undefined }),
};

export class FakeRaft implements Raft {
  readonly failed = new Promise<never>(() => undefined);
  readonly transfers: number[] = [];
  readonly refused: (readonly string[])[] = [];
  readonly #machine: StateMachine;
  readonly #listeners = new Set<(status: RaftStatus) => void>();
  #status: RaftStatus;

  constructor(machine: StateMachine, members: readonly RaftMember[]) {
    this.#machine = machine;
    this.#status = {
      raftId: members[0]!.raftId,
      role: 'follower',
      term: 1,
      leader: 0,
      commit: 0,
      applied: 0,
      first: 1,
      last: 0,
      members,
      progress: [],
    };
  }

  status(): RaftStatus {
    return this.#status;
  }

  report(): Promise<RaftReport> {
    const none = { count: 0, totalMs: 0, p50Ms: 0, p99Ms: 0, recentMaxMs: 0, maxMs: 0 };
    return Promise.resolve({
      ...this.#status,
      snapshot: 0,
      logEntries: 0,
      logBytes: 0,
      leaderContactMs: this.#status.leader === 0 ? undefined : 0,
      transferTarget: 0,
      writes: none,
      writeAgeMs: 0,
      tickLateness: none,
      peers: [],
    });
  }

  set(change: Partial<RaftStatus>): void {
    this.#status = { ...this.#status, ...change };
    for (const listener of this.#listeners) listener(this.#status);
  }

  lead(term: number): void {
    this.set({ role: 'leader', leader: this.#status.raftId, term });
  }

  follow(leader: number, term: number): void {
    this.set({ role: 'follower', leader, term });
  }

  onStatus(listener: (status: RaftStatus) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async propose(data: Uint8Array): Promise<number> {
    await Promise.resolve();
    if (this.#status.role !== 'leader') throw new SwarmError('unavailable', 'not the leader');
    const index = this.#status.commit + 1;
    this.#status = { ...this.#status, commit: index, applied: index, last: index };
    this.#machine.apply([{ index, term: this.#status.term, data }]);
    return index;
  }

  async readBarrier(): Promise<void> {
    await Promise.resolve();
    if (this.#status.leader === 0) throw new SwarmError('unavailable', 'no leader is known');
  }

  changeMembership(change: MembershipChange): Promise<void> {
    const { members } = this.#status;
    switch (change.kind) {
      case 'add-learner':
        this.set({ members: [...members, change.member] });
        break;
      case 'promote':
        this.set({
          members: members.map((member) =>
            member.raftId === change.raftId ? { ...member, role: 'voter' } : member,
          ),
        });
        break;
      case 'remove':
        this.set({ members: members.filter((member) => member.raftId !== change.raftId) });
        break;
      case 'set-address':
        this.set({
          members: members.map((member) =>
            member.raftId === change.raftId ? { ...member, address: change.address } : member,
          ),
        });
        break;
      default:
        break;
    }
    return Promise.resolve();
  }

  transferLeadership(): Promise<void> {
    this.transfers.push(this.#status.term);
    this.follow(0, this.#status.term);
    return Promise.resolve();
  }

  setTls(): void {
    // No connections, nothing to change.
  }

  refuseNodes(nodeIds: readonly string[]): void {
    this.refused.push(nodeIds);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
