/** Turns what has piled up in a member into a Ready, and remembers what its write will confirm. */
import type { Member } from './member.ts';
import { askForConfirmation } from './reads.ts';
import type { OutboxContent } from './outbox.ts';
import type { HardState, Message, Ready, SnapshotMeta, StoredNotice } from './types.ts';

type Own = Message | StoredNotice;

export class ReadyMaker {
  readonly #member: Member;
  #seq = 0;
  #soft: { leader: number; role: Member['role'] };
  #hard: HardState;
  /** The newest Ready that changes term or vote; 0 once it is durable. */
  #promiseSeq = 0;
  /** Own answers that wait for a write, oldest first. */
  #loopback: { seq: number; own: readonly Own[] }[] = [];

  constructor(member: Member) {
    this.#member = member;
    this.#soft = softState(member);
    this.#hard = hardState(member);
  }

  next(): Ready | null {
    const member = this.#member;
    askForConfirmation(member);
    const soft = softState(member);
    const hard = hardState(member);
    const softChanged = soft.leader !== this.#soft.leader || soft.role !== this.#soft.role;
    const promiseChanged = hard.term !== this.#hard.term || hard.vote !== this.#hard.vote;
    const hardChanged = promiseChanged || hard.commit !== this.#hard.commit;
    if (!softChanged && !hardChanged && !this.#hasWork()) return null;

    const { log } = member;
    const append = log.unstable.nextEntries();
    const snapshot = log.unstable.nextSnapshot();
    const committed = log.nextCommitted();
    const out = member.outbox.take();
    if (append.length > 0 || snapshot || !log.unstable.isEmpty) {
      out.afterPersist.push(this.#notice(snapshot));
    }
    this.#seq++;
    this.#soft = soft;
    this.#hard = hard;
    log.unstable.take();
    log.takeCommitted(committed);
    if (promiseChanged) this.#promiseSeq = this.#seq;
    const hold = this.#promiseSeq > 0 && member.config.holdUntilTermIsDurable;
    return {
      seq: this.#seq,
      ...(softChanged && { soft }),
      ...(hardChanged && { hard }),
      append,
      ...(snapshot && { snapshot }),
      mustSync: append.length > 0 || snapshot !== undefined || promiseChanged,
      committed,
      ...this.#split(out, hold),
    };
  }

  /** Everything up to `seq` is durable: the own answers that waited for that. */
  persisted(seq: number): Own[] {
    if (seq >= this.#promiseSeq) this.#promiseSeq = 0;
    const due: Own[] = [];
    while (this.#loopback[0] && this.#loopback[0].seq <= seq) {
      due.push(...(this.#loopback.shift()?.own ?? []));
    }
    return due;
  }

  #hasWork(): boolean {
    const { log, outbox } = this.#member;
    return (
      !outbox.isEmpty() ||
      log.unstable.hasNextEntries() ||
      log.unstable.nextSnapshot() !== undefined ||
      log.hasNextCommitted()
    );
  }

  /**
   * Attests to the newest entry that is in the tail, not only to what this Ready adds: a notice
   * that was ignored because the term changed is thereby repeated under the new term.
   */
  #notice(snapshot: SnapshotMeta | undefined): StoredNotice {
    const { id, term, log } = this.#member;
    const last = log.unstable.isEmpty ? { term: 0, index: 0 } : log.lastId();
    return { kind: 'stored', to: id, term, last, ...(snapshot && { snapshot }) };
  }

  #split(
    out: OutboxContent,
    hold: boolean,
  ): Pick<
    Ready,
    | 'messages'
    | 'messagesAfterPersist'
    | 'reads'
    | 'proposed'
    | 'dropped'
    | 'snapshotFrom'
    | 'afterPersist'
  > {
    const { id, config } = this.#member;
    const { reads, proposed, dropped, snapshotFrom, afterPersist } = out;
    const others = afterPersist.filter((own): own is Message => own.to !== id);
    const own = afterPersist.filter((own) => own.to === id);
    if (!config.manualLoopback && own.length > 0) this.#loopback.push({ seq: this.#seq, own });
    return {
      messages: hold ? [] : out.messages,
      messagesAfterPersist: hold ? [...out.messages, ...others] : others,
      reads,
      proposed,
      dropped,
      ...(snapshotFrom > 0 && { snapshotFrom }),
      ...(config.manualLoopback && { afterPersist }),
    };
  }
}

function softState(member: Member): { leader: number; role: Member['role'] } {
  return { leader: member.leader, role: member.role };
}

function hardState(member: Member): HardState {
  return { term: member.term, vote: member.vote, commit: member.log.committed };
}
