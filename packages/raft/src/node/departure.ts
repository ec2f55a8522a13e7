/**
 * How a removed member goes. Not at once: it may be the only one that is asked for its vote and
 * knows what was committed (a leader of two that removed itself: the other still counts on it). It
 * goes on answering, and tells the voters what is committed, until one of them refuses it as
 * removed: that one knows, and can tell the others.
 */
import type { Clock } from '@swarmd/base';

import type { EntryId, Message, Status } from '../core/types.ts';
import { LEAVE_ASK_MS, LEAVE_MAX_MS } from './limits.ts';

export interface DeparturePorts {
  readonly clock: Clock;
  status(): Status;
  committed(): EntryId;
  send(messages: readonly Message[]): void;
  /** It is time to stop. */
  leave(): void;
}

export class Departure {
  readonly #ports: DeparturePorts;
  #since: number | undefined;
  #askedAt = -Infinity;

  constructor(ports: DeparturePorts) {
    this.#ports = ports;
  }

  /** This member has applied its own removal, or was told of it. */
  begin(): void {
    this.#since ??= this.#ports.clock.monotonic();
  }

  /** A learner that knows does not help the voters that do not. */
  refusedBy(peer: number): void {
    const { voters, votersOutgoing } = this.#ports.status().conf;
    if (voters.includes(peer) || votersOutgoing.includes(peer)) this.#ports.leave();
    else this.begin();
  }

  tick(): void {
    if (this.#since === undefined) return;
    const now = this.#ports.clock.monotonic();
    if (now - this.#since >= LEAVE_MAX_MS) {
      this.#ports.leave();
    } else if (now - this.#askedAt >= LEAVE_ASK_MS) {
      this.#askedAt = now;
      this.#ask();
    }
  }

  /** The answer to a question that nobody asked: it carries the commit index, and harms nobody. */
  #ask(): void {
    const { id: from, term, conf } = this.#ports.status();
    const commit = this.#ports.committed();
    const others = [...conf.voters, ...conf.votersOutgoing].filter((voter) => voter !== from);
    this.#ports.send(
      others.map((to) => ({ kind: 'preVoteReply', from, to, term, reject: true, commit })),
    );
  }
}
