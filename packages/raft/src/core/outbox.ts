/** What the core wants done, collected until the next Ready takes it. */
import type { DropReason, Message, StoredNotice } from './types.ts';

export interface OutboxContent {
  /** May leave before the write. */
  messages: Message[];
  /** Answers that promise durability, own ones included. */
  afterPersist: (Message | StoredNotice)[];
  reads: { id: number; index: number }[];
  proposed: { id: number; index: number; term: number }[];
  dropped: { id: number; why: DropReason }[];
  /** 0, or the least index of a snapshot that a peer needs and the log does not offer. */
  snapshotFrom: number;
}

export class Outbox {
  #content: OutboxContent = emptyContent();

  get content(): OutboxContent {
    return this.#content;
  }

  isEmpty(): boolean {
    const { messages, afterPersist, reads, proposed, dropped, snapshotFrom } = this.#content;
    const answers = reads.length + proposed.length + dropped.length;
    return messages.length + afterPersist.length + answers === 0 && snapshotFrom === 0;
  }

  take(): OutboxContent {
    const content = this.#content;
    this.#content = emptyContent();
    return content;
  }
}

function emptyContent(): OutboxContent {
  return { messages: [], afterPersist: [], reads: [], proposed: [], dropped: [], snapshotFrom: 0 };
}
