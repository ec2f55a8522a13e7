/**
 * Tells the leader which nodes this manager hears: at every report period those heard since the last
 * report, at once when a session begins or ends and when the leader changes. What a failed report
 * should have told is told by the next one.
 */
import type { LiveNode } from '@swarmd/api';
import { errorMessage, type Clock, type Logger } from '@swarmd/base';
import type { NodeId } from '@swarmd/model';

import { SESSION_REPORT_MAX_NODES, SESSION_REPORTS_PER_HEARTBEAT } from '../limits.ts';
import { Wakeup } from '../wakeup.ts';
import type { SessionDispatcher } from './dispatcher.ts';
import type { NextTurn } from './herald.ts';
import type { Session } from './session.ts';

const FIRST_PERIOD_MS = 1_000;

export interface SessionReporterOptions {
  readonly dispatcher: SessionDispatcher;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Between two pages of a report; at once unless given. */
  readonly nextTurn?: NextTurn | undefined;
  /** Undefined before this manager has the cluster's state. */
  readonly heartbeatPeriodMs: () => number | undefined;
  /** Calls when somebody else may lead. */
  readonly onLeaderChange: (listener: () => void) => Disposable;
  readonly report: (
    request: { live: readonly LiveNode[]; lost: readonly NodeId[] },
    signal: AbortSignal,
  ) => Promise<void>;
}

export class SessionReporter {
  readonly #options: SessionReporterOptions;

  constructor(options: SessionReporterOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { dispatcher, clock, logger, heartbeatPeriodMs, onLeaderChange } = this.#options;
    const wakeup = new Wakeup();
    using _sessions = dispatcher.onChange(() => wakeup.wake());
    using _leader = onLeaderChange(() => wakeup.wake());
    while (!signal.aborted) {
      const periodMs = (heartbeatPeriodMs() ?? FIRST_PERIOD_MS) / SESSION_REPORTS_PER_HEARTBEAT;
      await wakeup.wait(signal, { clock, ms: periodMs });
      try {
        await this.#report(signal);
      } catch (error) {
        if (signal.aborted) return;
        logger.debug({ error: errorMessage(error) }, 'sessions could not be reported');
      }
    }
  }

  async #report(signal: AbortSignal): Promise<void> {
    const { dispatcher, report, nextTurn = queueMicrotask } = this.#options;
    const live = dispatcher.heardSessions();
    const { lost } = dispatcher;
    if (live.length === 0 && lost.length === 0) return;
    // Together: who is on the last page is heard no less because something of the first is written.
    const tell = async (part: readonly Session[]): Promise<void> => {
      const told = part.map((session) => ({
        session,
        live: session.live(),
        heardAt: session.heardAt,
      }));
      await report({ live: told.map((one) => one.live), lost }, signal);
      for (const one of told) settle(one.session, one.live, one.heardAt);
    };
    const failures: unknown[] = [];
    const underWay: Promise<void>[] = [];
    for (const part of pages(live)) {
      if (underWay.length > 0) await new Promise<void>(nextTurn);
      underWay.push(tell(part).catch((error: unknown) => void failures.push(error)));
    }
    await Promise.all(underWay);
    if (failures.length > 0) throw failures[0];
    dispatcher.toldLost(lost);
  }
}

/** At least one page: losses are told without live sessions, too. */
function pages(sessions: readonly Session[]): Session[][] {
  const parts: Session[][] = [];
  for (let at = 0; at === 0 || at < sessions.length; at += SESSION_REPORT_MAX_NODES) {
    parts.push(sessions.slice(at, at + SESSION_REPORT_MAX_NODES));
  }
  return parts;
}

/** The description is news no more, unless another one came while the report was under way. */
function settle(session: Session, told: LiveNode, heardAt: number): void {
  session.toldAt = heardAt;
  if (told.description === undefined) return;
  if (session.live().description === told.description) session.descriptionIsNews = false;
}
