/**
 * Brings a request to the leader: runs it here when this member leads, passes it on otherwise, and
 * waits a bounded time when there is no leader. A request is repeated only when it is known to have
 * had no effect (`unavailable`).
 */
import {
  eitherSignal,
  errorCode,
  errorMessage,
  SwarmError,
  withDeadline,
  type Clock,
} from '@swarmd/base';
import type { Call, Origin } from '@swarmd/api';
import { asId, type NodeId } from '@swarmd/model';
import type { Raft, RaftTiming } from '@swarmd/raft';

import { FORWARD_RETRY_MS, FORWARDED_CALL_MS, LEADER_WAIT_MS, OWN_REPORT_MS } from '../limits.ts';
import type { ManagerClients } from '../net/peers.ts';
import { Wakeup } from '../wakeup.ts';
import { beyondElections } from './patience.ts';
import type { Duties } from './duties.ts';
import { LeaderContact } from './leader-contact.ts';
import type { Leadership, Reign } from './leadership.ts';

const NO_LEADER = 'the cluster has no leader now';

export interface LeaderRouteOptions {
  readonly raft: Raft;
  readonly leadership: Leadership<Duties>;
  readonly clock: Clock;
  readonly raftTiming?: RaftTiming | undefined;
  /** Clients of the manager on a node, or undefined when its address is unknown. */
  readonly clientsOf: (nodeId: NodeId) => ManagerClients | undefined;
}

export interface Paths<T> {
  /** `signal` aborts with the call and when this member's reign ends. */
  readonly here: (duties: Duties, signal: AbortSignal) => Promise<T>;
  readonly there: (manager: ManagerClients, call: Call) => Promise<T>;
}

export class LeaderRoute implements Disposable {
  readonly contact: LeaderContact;
  readonly #options: LeaderRouteOptions;
  readonly #subscription: Disposable;
  readonly #waiting = new Set<Wakeup>();

  constructor(options: LeaderRouteOptions) {
    this.#options = options;
    this.contact = new LeaderContact(options);
    this.#subscription = options.leadership.onChange(() => {
      for (const wakeup of this.#waiting) wakeup.wake();
    });
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.contact[Symbol.dispose]();
  }

  /** @throws SwarmError `unavailable` when no leader answered in time; whatever the leader threw. */
  run<T>(call: Call, paths: Paths<T>): Promise<T> {
    return this.#untilLed(call, () => {
      const { reign } = this.#options.leadership;
      if (reign !== undefined) return runHere(call, reign, paths.here);
      const leader = this.#leader();
      if (leader === undefined || call.forwardedBy !== undefined) throw notLeading();
      return paths.there(leader, forwardedCall(call));
    });
  }

  /**
   * For what this manager itself reports: in its own name. A report under way is given up and repeated
   * when the leader changes (a dead leader would hold it for long), so it may arrive twice.
   */
  report(signal: AbortSignal, paths: Paths<void>): Promise<void> {
    return this.#untilLed<void>({ signal }, async () => {
      const { reign } = this.#options.leadership;
      if (reign !== undefined) return runHere({ signal }, reign, paths.here);
      const leader = this.#leader();
      if (leader === undefined) throw notLeading();
      const changed = new AbortController();
      using _watch = this.#onOtherLeader(() => changed.abort(notLeading()));
      const either = AbortSignal.any([signal, changed.signal]);
      return await paths.there(leader, { signal: either, timeoutMs: OWN_REPORT_MS });
    });
  }

  /**
   * Resolves once this replica has everything that was committed when it was called; at once when the
   * caller accepts a stale answer, and is told how old it may be.
   * @throws SwarmError `unavailable` when no leader confirmed it in time.
   */
  readBarrier(call: Call): Promise<void> {
    if (call.stale === true) {
      const { applied: index } = this.#options.raft.status();
      call.onState?.({ index, ageMs: this.contact.leaderlessMs });
      return Promise.resolve();
    }
    return this.#untilLed<void>(call, (leftMs) =>
      withDeadline<void>(
        {
          clock: this.#options.clock,
          timeoutMs: leftMs,
          what: 'confirming with the other managers that this state is current',
          signal: call.signal,
        },
        (signal) => this.#options.raft.readBarrier(signal),
      ).catch((error: unknown) => {
        if (errorCode(error) !== 'deadline-exceeded' || call.signal.aborted) throw error;
        const what = 'no quorum of the managers has confirmed in time that this state is current';
        throw new SwarmError('unavailable', what, { cause: error });
      }),
    );
  }

  /** Repeats `attempt` while it says `unavailable`, up to the time a leader is waited for. */
  async #untilLed<T>(call: Call, attempt: (leftMs: number) => Promise<T>): Promise<T> {
    const { clock, raftTiming } = this.#options;
    const deadline = clock.monotonic() + beyondElections(LEADER_WAIT_MS, raftTiming);
    const wakeup = new Wakeup();
    this.#waiting.add(wakeup);
    try {
      for (;;) {
        let why: unknown;
        try {
          return await attempt(Math.max(1, deadline - clock.monotonic()));
        } catch (error) {
          if (call.signal.aborted || errorCode(error) !== 'unavailable') throw error;
          why = error;
        }
        // Who passed it on can go there at once; waiting here would cost it all its time.
        if (call.forwardedBy !== undefined && this.#leader() !== undefined) throw why;
        const leftMs = deadline - clock.monotonic();
        if (leftMs <= 0) throw noLeader(why);
        await wakeup.wait(call.signal, { clock, ms: Math.min(leftMs, FORWARD_RETRY_MS) });
      }
    } finally {
      this.#waiting.delete(wakeup);
    }
  }

  #onOtherLeader(listener: () => void): Disposable {
    const { raft, leadership } = this.#options;
    const { leader } = raft.status();
    return leadership.onChange(() => {
      if (raft.status().leader !== leader) listener();
    });
  }

  #leader(): ManagerClients | undefined {
    const status = this.#options.raft.status();
    if (status.leader === 0 || status.leader === status.raftId) return undefined;
    const member = status.members.find((candidate) => candidate.raftId === status.leader);
    return member && this.#options.clientsOf(asId('node', member.nodeId));
  }
}

function forwardedCall(call: Call): Call {
  const origin: Origin = {
    local: call.local ?? false,
    ...(call.peer === undefined ? {} : { peer: call.peer }),
  };
  return {
    signal: call.signal,
    onBehalfOf: origin,
    timeoutMs: FORWARDED_CALL_MS,
    ...(call.requestId === undefined ? {} : { requestId: call.requestId }),
  };
}

async function runHere<T>(call: Call, reign: Reign<Duties>, here: Paths<T>['here']): Promise<T> {
  using either = eitherSignal(call.signal, reign.signal);
  try {
    return await here(reign.duties, either.signal);
  } catch (error) {
    // Cancelled by the end of the reign, before it was proposed: nothing happened.
    const ended = reign.signal.aborted && !call.signal.aborted;
    if (!ended || errorCode(error) !== 'cancelled') throw error;
    throw new SwarmError('unavailable', 'this manager leads no more', { cause: error });
  }
}

function notLeading(): SwarmError {
  return new SwarmError('unavailable', 'no manager is known to lead');
}

function noLeader(cause: unknown): SwarmError {
  if (cause instanceof SwarmError && cause.message.startsWith(NO_LEADER)) return cause;
  return new SwarmError(
    'unavailable',
    `${NO_LEADER} (${errorMessage(cause)}); a majority of the managers must run ` +
      `and reach each other; nothing was changed, try again`,
    { cause },
  );
}
