/**
 * What must hold after every step, whatever happens (Raft paper, figure 3, and the durability that
 * it takes for granted). Everything is checked incrementally: only what a step has changed.
 */
import type { ConfState, Entry, HardState, Message, RaftId, Status } from '../../core/types.ts';
import { jointVote } from '../../core/quorum.ts';
import type { AppliedEntry } from '../../node/types.ts';
import { Violation } from './violation.ts';

interface KnownEntry {
  readonly previousTerm: number | undefined;
  readonly content: string;
}

/** What disks hold for sure. */
export interface Durable {
  /** The term of an entry there, or that a snapshot covers it. */
  termOf(id: RaftId, index: number): number | 'covered' | undefined;
  /** Undefined when nobody can tell any more. */
  hardOf(id: RaftId): HardState | undefined;
}

export interface Observed {
  readonly id: RaftId;
  readonly status: Status;
  readonly conf: ConfState;
  readonly termOf: (index: number) => number | undefined;
}

export class Invariants {
  readonly #leaders = new Map<number, RaftId>();
  /** By member and term. */
  readonly #votes = new Map<string, RaftId>();
  /** By index and term: an entry is the same everywhere, and so is what precedes it. */
  readonly #entries = new Map<string, KnownEntry>();
  /** By index. */
  readonly #applied = new Map<number, { term: number; digest: number }>();
  readonly #commits = new Map<RaftId, number>();
  /** By term (and so by leader) and peer. */
  readonly #matches = new Map<string, number>();
  #lastApplied = 0;

  readonly #durable: Durable;

  constructor(durable: Durable) {
    this.#durable = durable;
  }

  /** The highest index that any state machine has seen. */
  get lastApplied(): number {
    return this.#lastApplied;
  }

  /** After every step of a member. */
  observe(member: Observed): void {
    const { id, status } = member;
    const before = this.#commits.get(id) ?? 0;
    if (status.commit < before) {
      throw new Violation(
        'commit-monotonic',
        `member ${id} went from ${before} to ${status.commit}`,
      );
    }
    if (status.applied > status.commit || status.commit > status.last) {
      throw new Violation('commit-bounds', `member ${id}: ${JSON.stringify(status)}`);
    }
    if (status.role === 'leader') {
      this.#oneLeader(member);
      this.#matchMonotonic(member);
      if (status.commit > before) this.#committedByCounting(member, before);
    }
    this.#commits.set(id, status.commit);
  }

  /** A crash may cost the member its knowledge of what is committed. */
  restarted(id: RaftId): void {
    this.#commits.delete(id);
  }

  /** Log matching, by induction over every entry that is ever written. */
  written(id: RaftId, entries: readonly Entry[], termBefore: number | undefined): void {
    let previousTerm = termBefore;
    for (const entry of entries) {
      const key = `${entry.index}/${entry.term}`;
      const known = this.#entries.get(key);
      const content = contentOf(entry);
      if (known && known.content !== content) {
        throw new Violation('log-matching', `entry ${key} on member ${id} has other content`);
      }
      if (known && known.previousTerm !== previousTerm) {
        throw new Violation('log-matching', `entry ${key} on member ${id} has another past`);
      }
      this.#entries.set(key, { previousTerm, content });
      previousTerm = entry.term;
    }
  }

  /** What a message promises must be on the disk before it leaves. */
  sent(message: Message): void {
    const { from, to, term } = message;
    if (message.kind === 'appendReply' && !message.reject && message.index > 0) {
      if (this.#durable.termOf(from, message.index) !== undefined) return;
      throw new Violation('promise', `${from} acknowledges entry ${message.index} too early`);
    }
    if (message.kind !== 'voteReply' || message.reject) return;
    this.voted(from, term, to);
    const hard = this.#durable.hardOf(from);
    if (hard === undefined || hard.term > term || (hard.term === term && hard.vote === to)) return;
    throw new Violation('promise', `${from} votes for ${to} in term ${term} too early`);
  }

  voted(id: RaftId, term: number, vote: RaftId): void {
    const key = `${id}/${term}`;
    const before = this.#votes.get(key);
    if (before !== undefined && before !== vote) {
      throw new Violation(
        'one-vote',
        `member ${id} voted for ${before} and ${vote} in term ${term}`,
      );
    }
    this.#votes.set(key, vote);
  }

  /** `digest`: of all that was applied up to it. Equal digests mean equal state machines. */
  applied(id: RaftId, entry: Pick<AppliedEntry, 'index' | 'term'>, digest: number): void {
    const { index, term } = entry;
    const known = this.#applied.get(index);
    if (known && (known.term !== term || known.digest !== digest)) {
      const other = `${known.term} and ${term}`;
      throw new Violation('state-machine-safety', `entry ${index} of terms ${other} on ${id}`);
    }
    this.#applied.set(index, { term, digest });
    this.#lastApplied = Math.max(this.#lastApplied, index);
  }

  restored(id: RaftId, index: number, digest: number): void {
    const known = this.#applied.get(index);
    if (known === undefined || known.digest === digest) return;
    throw new Violation('state-machine-safety', `snapshot ${index} on ${id} has another content`);
  }

  #oneLeader({ id, status, termOf }: Observed): void {
    const known = this.#leaders.get(status.term);
    if (known === id) return;
    if (known !== undefined) {
      throw new Violation('election-safety', `${known} and ${id} lead term ${status.term}`);
    }
    this.#leaders.set(status.term, id);
    for (const [index, { term }] of this.#applied) {
      if (index < status.first) continue;
      if (termOf(index) !== term) {
        throw new Violation('leader-completeness', `leader ${id} misses entry ${term}/${index}`);
      }
    }
  }

  /** What a peer has acknowledged in a term stays acknowledged. */
  #matchMonotonic({ id, status }: Observed): void {
    for (const { id: peer, match } of status.progress) {
      const key = `${status.term}/${peer}`;
      const before = this.#matches.get(key) ?? 0;
      if (match < before) {
        throw new Violation(
          'match-monotonic',
          `leader ${id} took ${peer} from ${before} to ${match}`,
        );
      }
      this.#matches.set(key, match);
    }
  }

  /** Raft paper, section 5.4.2: a leader only counts replicas of entries of its own term. */
  #committedByCounting(member: Observed, before: number): void {
    const { id, status, termOf } = member;
    const term = termOf(status.commit);
    if (term !== status.term) {
      const what = `from ${before} to ${status.commit} of term ${term}`;
      throw new Violation('own-term-commit', `leader ${id} of term ${status.term} went ${what}`);
    }
    this.#durableOnQuorum(member);
  }

  /** What a leader calls committed must be on the disks of a quorum, not only in their memory. */
  #durableOnQuorum({ id, status, conf, termOf }: Observed): void {
    const term = termOf(status.commit);
    const holds = new Map<RaftId, boolean>();
    for (const voter of [...conf.voters, ...conf.votersOutgoing]) {
      const stored = this.#durable.termOf(voter, status.commit);
      holds.set(voter, stored === 'covered' || (stored !== undefined && stored === term));
    }
    const voters = { incoming: new Set(conf.voters), outgoing: new Set(conf.votersOutgoing) };
    if (jointVote(voters, holds) !== 'won') {
      const where = JSON.stringify([...holds]);
      throw new Violation(
        'committed-is-durable',
        `leader ${id} committed ${term}/${status.commit}, which is durable on ${where}`,
      );
    }
  }
}

function contentOf(entry: Entry): string {
  return `${entry.kind}:${Buffer.from(entry.data).toString('latin1')}`;
}
