/** What is told about this member: the status with every tick and with news, a report when asked. */
import type { Status } from '../core/types.ts';
import { Durations } from './durations.ts';
import type { MemberBook } from './membership.ts';
import type { LinkReport } from './network.ts';
import { leaderContact, peerReports } from './report.ts';
import { differs, publicStatus } from './status.ts';
import type { DurationSummary, RaftReport, RaftStatus } from './types.ts';

export interface StatusBoardPorts {
  /** With `recentActive` as of now. */
  status(): Status;
  book(): MemberBook;
  /** Since a message of the peer arrived. */
  silentMs(peer: number): number | undefined;
  link(peer: number): LinkReport;
  log(): Pick<RaftReport, 'snapshot' | 'logEntries' | 'logBytes'>;
  writes(): { readonly durations: DurationSummary; readonly ageMs: number };
  post(status: RaftStatus): void;
}

export class StatusBoard {
  readonly #ports: StatusBoardPorts;
  readonly #lateness = new Durations();
  #posted: RaftStatus | undefined;
  #newsDue = true;

  constructor(ports: StatusBoardPorts) {
    this.#ports = ports;
  }

  ticked(latenessMs: number): void {
    this.#lateness.add(latenessMs);
  }

  /** Role, leader or members have changed; `term` may have. */
  news(): void {
    this.#newsDue = true;
  }

  /** At the end of every turn. */
  postNews(term: number): void {
    if (this.#newsDue || term !== this.#posted?.term) this.post();
  }

  post(): void {
    this.#newsDue = false;
    const status = publicStatus(this.#ports.status(), this.#ports.book().members());
    if (!differs(this.#posted, status)) return;
    this.#posted = status;
    this.#ports.post(status);
  }

  report(): RaftReport {
    const status = this.#ports.status();
    const shown = publicStatus(status, this.#ports.book().members());
    const silentMs = (peer: number): number | undefined => this.#ports.silentMs(peer);
    const { durations, ageMs } = this.#ports.writes();
    return {
      ...shown,
      ...this.#ports.log(),
      leaderContactMs: leaderContact(status, silentMs),
      transferTarget: status.transferTarget,
      writes: durations,
      writeAgeMs: ageMs,
      tickLateness: this.#lateness.summary(),
      peers: peerReports(status, shown.members, (peer) => ({
        link: this.#ports.link(peer),
        silentMs: silentMs(peer),
      })),
    };
  }
}
