/**
 * Tells the leader which nodes this manager hears: at every report period those heard since the last
 * report, at once when a session begins or ends and when the leader changes. What a failed report
 * should have told is told by the next one.
 *
 * Descriptions are written by the leader, which takes as long as a commit; that a node is heard is not.
 * So they go in reports of their own: a node must not be taken for dead because the descriptions of
 * others are still being written.
 */
import type { LiveNode } from '@swarmd/api';
import { errorMessage, type Clock, type Logger, type NextTurn } from '@swarmd/base';
import type { NodeId } from '@swarmd/model';

import { SESSION_REPORT_MAX_NODES, SESSION_REPORTS_PER_HEARTBEAT } from '../limits.ts';
import { Wakeup } from '../wakeup.ts';
import type { SessionDispatcher } from './dispatcher.ts';
import type { Session } from './session.ts';

const FIRST_PERIOD_MS = 1_000;

/** What is to be known of a session. */
export type HeardSession = Pick<
  Session,
  'nodeId' | 'heardAt' | 'toldAt' | 'descriptionIsNews' | 'isBeingDescribed' | 'live'
>;

interface Sessions extends Pick<SessionDispatcher, 'lost' | 'toldLost' | 'onChange'> {
  heardSessions(): readonly HeardSession[];
}

export interface SessionReporterOptions {
  readonly dispatcher: Sessions;
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
  readonly #wakeup = new Wakeup();
  /** Reports under way: one round of each kind at a time, what comes meanwhile gathers. */
  #telling: Promise<void> | undefined;
  #describing: Promise<void> | undefined;

  constructor(options: SessionReporterOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { dispatcher, clock, heartbeatPeriodMs, onLeaderChange } = this.#options;
    using _sessions = dispatcher.onChange(() => this.#wakeup.wake());
    using _leader = onLeaderChange(() => this.#wakeup.wake());
    try {
      for (;;) {
        const periodMs = (heartbeatPeriodMs() ?? FIRST_PERIOD_MS) / SESSION_REPORTS_PER_HEARTBEAT;
        await this.#wakeup.wait(signal, { clock, ms: periodMs });
        // Nothing can be said of sessions before this manager has the cluster's state.
        if (heartbeatPeriodMs() !== undefined) this.#look(signal);
      }
    } finally {
      await Promise.all([this.#describing, this.#telling]);
    }
  }

  #look(signal: AbortSignal): void {
    const heard = this.#options.dispatcher.heardSessions();
    const undescribed = heard.filter((one) => one.descriptionIsNews && !one.isBeingDescribed);
    if (this.#describing === undefined && undescribed.length > 0) {
      this.#describing = this.#describe(undescribed, signal);
    }
    // A node that the leader knows nothing of comes with its description.
    const described = heard.filter((one) => !one.descriptionIsNews || one.isBeingDescribed);
    this.#telling ??= this.#tell(described, signal);
  }

  /** Never rejects. */
  async #describe(sessions: readonly HeardSession[], signal: AbortSignal): Promise<void> {
    for (const session of sessions) session.isBeingDescribed = true;
    const isDone = await this.#inPages(sessions, async (page) => {
      const told = page.map((session) => ({ session, live: session.live() }));
      await this.#options.report({ live: told.map((one) => one.live), lost: [] }, signal);
      for (const { session, live } of told) {
        // Unless another one came meanwhile.
        if (session.live().description === live.description) session.descriptionIsNews = false;
      }
    });
    for (const session of sessions) session.isBeingDescribed = false;
    this.#describing = undefined;
    // For those that came meanwhile. After a failure the next period is soon enough.
    if (isDone) this.#wakeup.wake();
  }

  /** Never rejects. Also of nobody: that this manager is well tells the leader that it heard nobody. */
  async #tell(sessions: readonly HeardSession[], signal: AbortSignal): Promise<void> {
    const { dispatcher, report } = this.#options;
    const { lost } = dispatcher;
    const isDone = await this.#inPages(sessions, async (page) => {
      const told = page.map((session) => ({ session, heardAt: session.heardAt }));
      const live = page.map((session) => {
        const { description: _known, ...rest } = session.live();
        return rest;
      });
      await report({ live, lost }, signal);
      for (const { session, heardAt } of told) session.toldAt = heardAt;
    });
    if (isDone) dispatcher.toldLost(lost);
    this.#telling = undefined;
  }

  /** All pages together: who is on the last one is heard no later because the first takes long. */
  async #inPages(
    sessions: readonly HeardSession[],
    tell: (page: readonly HeardSession[]) => Promise<void>,
  ): Promise<boolean> {
    const { logger, nextTurn = queueMicrotask } = this.#options;
    let isDone = true;
    const underWay: Promise<void>[] = [];
    const failed = (error: unknown): void => {
      isDone = false;
      logger.debug({ error: errorMessage(error) }, 'sessions could not be reported');
    };
    for (const page of pages(sessions)) {
      if (underWay.length > 0) await new Promise<void>(nextTurn);
      underWay.push(tell(page).catch(failed));
    }
    await Promise.all(underWay);
    return isDone;
  }
}

/** At least one page. */
function pages(sessions: readonly HeardSession[]): HeardSession[][] {
  const parts: HeardSession[][] = [];
  for (let at = 0; at === 0 || at < sessions.length; at += SESSION_REPORT_MAX_NODES) {
    parts.push(sessions.slice(at, at + SESSION_REPORT_MAX_NODES));
  }
  return parts;
}
