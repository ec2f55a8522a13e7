/**
 * All of a member's snapshots: taken of the running state, received from the leader, fed to the
 * main thread, and cleaned up once nothing refers to them.
 */
import { assert, errorMessage, type Clock, type Logger } from '@swarmd/base';

import type { ProgressStatus, SnapshotMeta } from '../core/types.ts';
import type { SnapshotDescriptor, SnapshotRecord } from '../wal/header.ts';
import type { Booted } from './boot.ts';
import { Installer } from './installer.ts';
import { HELD_BYTES, HELD_TIMES, TRAILING_BYTES } from './limits.ts';
import type { BookContent } from './membership.ts';
import type { Network } from './network.ts';
import { SnapshotFeeder } from './snapshot-feeder.ts';
import { SnapshotTaker, type SnapshotTakerPorts } from './snapshot-taker.ts';
import type { FromWorker, ToWorker } from './worker-protocol.ts';

export interface SnapshotsPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly every: number;
  post(message: FromWorker): void;
  /** A snapshot that was taken is to be made known. */
  readonly keep: (taken: Parameters<SnapshotTakerPorts['keep']>[0]) => void;
  book(): BookContent;
  applied(): number;
  /** Of the peers, on a leader. */
  progress(): readonly ProgressStatus[];
  /** A snapshot is on its way into the state machine. */
  restoring(): boolean;
  network(): Pick<Network, 'fetching' | 'snapshotsInUse'>;
  /** The state machine stands at a snapshot of the leader's. */
  onRestored(index: number): void;
  onFailure(error: unknown): void;
}

export type SnapshotMessageIn = Extract<
  ToWorker,
  { kind: 'restored' | 'restoreCredit' | 'snapshotBegin' | 'snapshotFrame' | 'snapshotEnd' }
>;

export class Snapshots {
  readonly #booted: Booted;
  readonly #ports: SnapshotsPorts;
  readonly #taker: SnapshotTaker;
  readonly #feeder: SnapshotFeeder;
  /** The newest entry that was let go, or is about to be. */
  #compactTo = 0;
  readonly installer: Installer;

  constructor(booted: Booted, ports: SnapshotsPorts) {
    this.#booted = booted;
    this.#ports = ports;
    this.#taker = this.#makeTaker();
    this.#feeder = new SnapshotFeeder({
      folder: booted.folder,
      begin: (index) => ports.post({ kind: 'restoreBegin', index }),
      frame: (frame) => ports.post({ kind: 'restoreFrame', frame }),
      end: () => ports.post({ kind: 'restoreEnd' }),
    });
    this.installer = new Installer({
      logger: ports.logger,
      kept: () => booted.store.snapshots,
      feed: (record) => this.#feeder.feed(record),
      onRestored: (index) => ports.onRestored(index),
      onFailure: (error) => ports.onFailure(error),
    });
  }

  /** At the start: the newest one on disk, if there is one. */
  async restore(): Promise<void> {
    const { snapshot } = this.#booted;
    if (snapshot !== undefined) await this.#feeder.feed(snapshot);
  }

  /** What the main thread says. */
  receive(message: SnapshotMessageIn): void {
    switch (message.kind) {
      case 'restored':
        this.#feeder.restored();
        break;
      case 'restoreCredit':
        this.#feeder.credit();
        break;
      case 'snapshotBegin':
        this.#taker.begin(message.index);
        break;
      case 'snapshotFrame':
        this.#taker.frame(message.frame);
        break;
      case 'snapshotEnd':
        this.#taker.end();
        break;
    }
  }

  /** A peer needs one of at least this index. */
  want(index: number): void {
    this.#taker.want(index);
  }

  /** After every batch that was applied. */
  consider(applied: number): void {
    this.#taker.consider(applied);
  }

  /** One of the leader's is durable. */
  installed(meta: SnapshotMeta): void {
    if (this.installer.installed(meta)) this.#taker.installed(meta.index);
  }

  /** The log knows of it, or of a newer one. */
  kept(record: SnapshotRecord): void {
    this.#taker.kept(record);
  }

  /** The log refers to other snapshots than before. */
  settled(): void {
    this.#clean();
    if (!this.#ports.restoring()) this.#taker.settled();
  }

  /** Removes the files that nothing refers to, unless one is being written. */
  #clean(): void {
    this.#booted.folder
      .clean(() => this.#neededFiles())
      .catch((error: unknown) => {
        this.#ports.logger.warn({ error: errorMessage(error) }, 'old snapshots were not removed');
      });
  }

  /** Undefined while one is being written. */
  #neededFiles(): readonly SnapshotRecord[] | undefined {
    const network = this.#ports.network();
    if (network.fetching || this.#taker.writing) return undefined;
    return [
      ...this.#booted.store.referenced,
      ...network.snapshotsInUse(),
      ...this.installer.waiting(),
      ...this.#taker.waiting(),
    ];
  }

  /** Nothing waits for the main thread any more. */
  halt(): void {
    this.#feeder.stop();
    this.installer.stop();
  }

  /** Waits for the disk. */
  async stop(): Promise<void> {
    await this.#taker.stop();
  }

  #makeTaker(): SnapshotTaker {
    const { folder, log, snapshot } = this.#booted;
    const { clock, logger, every, keep } = this.#ports;
    const post = (message: FromWorker): void => this.#ports.post(message);
    return new SnapshotTaker(snapshot?.descriptor.index ?? 0, {
      folder,
      clock,
      logger,
      every,
      ask: () => post({ kind: 'takeSnapshot' }),
      credit: () => post({ kind: 'snapshotCredit' }),
      drop: () => post({ kind: 'dropSnapshot' }),
      describe: (index) => this.#describe(index),
      bytesSinceSnapshot: () => log.bytesSinceSnapshot(),
      compactionPoint: (last, trailing) => {
        const index = this.#compactionPoint(last, trailing);
        return { index, term: log.term(index) ?? 0 };
      },
      keep,
    });
  }

  /** The newest entry that nobody needs any more, once there is a snapshot of `last`. */
  #compactionPoint(last: number, trailing: number): number {
    const { log } = this.#booted;
    const before = (entries: number, bytes: number): number =>
      Math.max(last - entries, log.startOfTail(last, bytes) - 1);
    const usual = before(trailing, TRAILING_BYTES);
    const lacking = this.#ports
      .progress()
      .filter(({ recentActive }) => recentActive)
      .map(({ pendingSnapshot, match }) => Math.max(pendingSnapshot, match));
    const most = before(HELD_TIMES * trailing, HELD_BYTES);
    const wanted = Math.min(usual, Math.max(most, Math.min(...lacking)));
    // What an earlier snapshot lets go may still be on its way to the disk, which takes it back for nobody.
    this.#compactTo = Math.max(this.#compactTo, wanted);
    return this.#compactTo;
  }

  #describe(index: number): SnapshotDescriptor | undefined {
    if (this.#ports.restoring()) return undefined;
    const { core, log } = this.#booted;
    const term = log.term(index);
    assert(term !== undefined && index === this.#ports.applied(), `snapshot of entry ${index}`);
    return { index, term, confState: core.confState(), ...this.#ports.book() };
  }
}
