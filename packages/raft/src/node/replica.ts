/**
 * One member, whole: log, core, driver, transport and the half of the state machine that lives on
 * this side of the thread border. It wires; the rules are in the parts.
 */
import { errorMessage, SwarmError, type Clock, type Logger, type Random } from '@swarmd/base';

import type { ConfChange, Ready, SnapshotMessage, SnapshotMeta, Status } from '../core/types.ts';
import type { SnapshotRecord } from '../wal/header.ts';
import { Activity } from './activity.ts';
import { Applier } from './applier.ts';
import type { Booted } from './boot.ts';
import { Departure } from './departure.ts';
import { Driver } from './driver.ts';
import {
  HIGH_WATER_SYNC_MS,
  READ_RETRY_ELECTIONS,
  SNAPSHOT_EVERY,
  STOP_HANDOVER_MS,
} from './limits.ts';
import { MemberBook } from './membership.ts';
import type { Network, NetworkContext } from './network.ts';
import { Persister } from './persister.ts';
import { Requests } from './requests.ts';
import { Snapshots } from './snapshots.ts';
import { bestSuccessor } from './status.ts';
import { StatusBoard } from './status-board.ts';
import { Ticker } from './ticker.ts';
import { electionMsOf, timingOf } from './timing.ts';
import type { RaftOptions } from './types.ts';
import { Watchdog } from './watchdog.ts';
import type { FromWorker, ToWorker } from './worker-protocol.ts';

export interface ReplicaPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  post(message: FromWorker): void;
  /** Runs `fn` once the sockets were read: after what has arrived meanwhile. */
  soon(fn: () => void): void;
  makeNetwork(context: NetworkContext): Network;
  /** This member cannot go on; called once. */
  onFailure(error: unknown): void;
}

export class Replica implements AsyncDisposable {
  readonly #ports: ReplicaPorts;
  readonly #options: RaftOptions;
  readonly #booted: Booted;
  readonly #driver: Driver;
  readonly #persister: Persister;
  readonly #applier: Applier;
  readonly #network: Network;
  readonly #requests: Requests;
  readonly #snapshots: Snapshots;
  readonly #watchdog: Watchdog;
  readonly #activity: Activity;
  readonly #board: StatusBoard;
  readonly #departure: Departure;
  #book: MemberBook;
  #ticker: Ticker | undefined;
  #highWaterSyncedAt = 0;
  #onProgress: () => void = () => undefined;
  #stopped = false;

  /** Of a log that was opened; `run` does the rest. */
  constructor(options: RaftOptions, booted: Booted, ports: ReplicaPorts) {
    this.#ports = ports;
    this.#options = options;
    this.#booted = booted;
    this.#book = booted.book;
    const { clock, logger, random } = ports;
    const snapshotIndex = booted.snapshot?.descriptor.index ?? 0;
    const electionMs = electionMsOf(timingOf(options));
    this.#activity = new Activity(clock, electionMs);
    this.#driver = new Driver(booted.core, booted.hard, {
      send: (messages) => this.#network.send(messages),
      onReady: (ready) => this.#onReady(ready),
      onInstalled: (meta) => this.#snapshots.installed(meta),
      onTurn: () => this.#board.postNews(this.#driver.term),
      soon: (fn) => ports.soon(fn),
      onFailure: (error) => this.#fail(error),
    });
    this.#snapshots = this.#makeSnapshots();
    this.#persister = this.#makePersister();
    this.#driver.attach(this.#persister);
    this.#applier = this.#makeApplier(snapshotIndex);
    this.#requests = new Requests({
      clock,
      random,
      readRetryMs: electionMs * READ_RETRY_ELECTIONS,
      step: (input) => this.#driver.step(input),
      status: () => this.#status(),
      book: () => this.#book,
      postStatus: () => this.#board.post(),
      post: (message) => ports.post(message),
    });
    this.#watchdog = new Watchdog({
      clock,
      logger,
      ping: () => ports.post({ kind: 'ping' }),
      handOver: () => this.#handOver(),
    });
    this.#network = this.#makeNetwork();
    this.#board = this.#makeBoard();
    this.#departure = this.#makeDeparture();
  }

  /**
   * Brings the state machine to where the log says it was, then takes part in the cluster. A sole
   * voter also commits what it had not known to be committed: there is nobody else to tell.
   */
  async run(): Promise<void> {
    const { hard, core, log } = this.#booted;
    await this.#snapshots.restore();
    await this.#untilApplied(hard.commit);
    if (this.#stopped) return;
    this.#network.update(this.#book.members());
    await this.#network.listen();
    const { raftId } = this.#options;
    const { clock, logger } = this.#ports;
    const { tickMs } = timingOf(this.#options);
    this.#ticker = new Ticker(
      {
        clock,
        soon: (fn) => this.#ports.soon(fn),
        tick: (latenessMs) => this.#tick(latenessMs),
      },
      tickMs,
    );
    const { voters } = core.confState();
    if (voters.length === 1 && voters[0] === raftId) {
      this.#driver.step({ kind: 'campaign' });
      await this.#untilApplied(log.last() + 1);
    }
    this.#board.post();
    this.#ports.post({ kind: 'ready' });
    const { applied } = this.#applier;
    this.#tellExpelled();
    logger.info({ raftId, first: log.first(), last: log.last(), applied }, 'Raft member runs');
  }

  receive(message: Exclude<ToWorker, { kind: 'stop' }>): void {
    switch (message.kind) {
      case 'propose':
      case 'read':
      case 'forgetRead':
      case 'change':
      case 'transfer':
        this.#requests.receive(message);
        break;
      case 'report':
        this.#ports.post({ kind: 'report', id: message.id, report: this.#board.report() });
        break;
      case 'tls':
        this.#network.replaceTls(message.tls);
        break;
      case 'refuseNodes':
        this.#network.refuseNodes(message.nodeIds);
        break;
      case 'applied':
        this.#applier.acknowledged(message.index);
        break;
      case 'restored':
      case 'restoreCredit':
      case 'snapshotBegin':
      case 'snapshotFrame':
      case 'snapshotEnd':
        this.#snapshots.receive(message);
        break;
      case 'pong':
        this.#watchdog.pong();
        break;
    }
  }

  /** A leader hands over first, so that the others need not wait for an election. */
  async retire(): Promise<void> {
    if (this.#driver.role !== 'leader' || this.#stopped) return;
    if (!this.#handOver()) return;
    const deadline = this.#ports.clock.monotonic() + STOP_HANDOVER_MS;
    while (this.#driver.role === 'leader' && this.#ports.clock.monotonic() < deadline) {
      await new Promise<void>((resolve) => this.#ports.clock.after(10, resolve));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#ticker?.[Symbol.dispose]();
    this.#driver.stop();
    this.#applier.stop();
    this.#snapshots.halt();
    this.#onProgress();
    await this.#network[Symbol.asyncDispose]();
    await this.#snapshots.stop();
    await this.#persister.stop();
    await this.#booted.store[Symbol.asyncDispose]();
  }

  async #untilApplied(index: number): Promise<void> {
    this.#driver.turn();
    while (this.#applier.applied < index && !this.#stopped) {
      await new Promise<void>((resolve) => (this.#onProgress = resolve));
    }
  }

  #onReady(ready: Ready): void {
    const { role, leader, term } = this.#driver;
    if (ready.soft !== undefined) this.#board.news();
    this.#requests.onReady(ready, leader);
    if (ready.snapshot !== undefined) this.#onSnapshotAccepted(ready.snapshot);
    const isFollowing = role === 'follower' && ready.soft === undefined;
    this.#applier.push(ready.committed, isFollowing && ready.append.length > 0);
    if (ready.soft !== undefined) this.#applier.flush();
    for (const { index } of ready.reads) this.#applier.want(index);
    if (ready.snapshotFrom !== undefined) this.#snapshots.want(ready.snapshotFrom);
    if (ready.soft === undefined) return;
    this.#requests.onRole(this.#options.raftId, { role, leader });
    this.#ports.logger.info({ role, leader, term }, 'Raft role');
  }

  /** The core has switched to the snapshot's membership; so does everything beside it. */
  #onSnapshotAccepted(meta: SnapshotMeta): void {
    const descriptor = this.#snapshots.installer.accepted(meta);
    this.#board.news();
    this.#applier.supersede(meta.index);
    this.#book = new MemberBook(descriptor);
    this.#network.update(this.#book.members());
  }

  #onConfChange(change: ConfChange, index: number): void {
    this.#driver.step({ kind: 'applyConfChange', index, change });
    this.#book.apply(change);
    this.#board.news();
    this.#network.update(this.#book.members());
    const removed = change.steps.filter((step) => step.kind === 'remove').map((step) => step.id);
    for (const raftId of removed) {
      this.#network.remove(raftId);
      this.#activity.forget(raftId);
    }
    this.#driver.turn();
    const isMember = !removed.includes(this.#options.raftId);
    this.#requests.changeApplied(index, { isMember });
    if (!isMember) this.#departure.begin();
  }

  #onSnapshotFetched(message: SnapshotMessage, record: SnapshotRecord): void {
    const { index } = message.snapshot;
    this.#snapshots.installer.fetched(index, record);
    this.#driver.step({ kind: 'message', message });
    // At once: what the main thread acknowledges from now on may be older than the snapshot.
    this.#driver.turn();
    if (!this.#applier.restoring) this.#snapshots.installer.forget(index);
  }

  #status(): Status {
    return this.#activity.seenIn(this.#booted.core.status());
  }

  #handOver(): boolean {
    const to = bestSuccessor(this.#status());
    if (to !== undefined) this.#driver.step({ kind: 'transfer', to });
    return to !== undefined;
  }

  #tick(latenessMs: number): void {
    this.#board.ticked(latenessMs);
    this.#driver.step({ kind: 'tick' });
    this.#persister.flushCommit();
    this.#requests.tick();
    this.#network.tick();
    this.#departure.tick();
    const leads = this.#driver.role === 'leader';
    this.#watchdog.check({ leads, writeAgeMs: this.#persister.writeAgeMs });
    this.#board.post();
    const now = this.#ports.clock.monotonic();
    if (now - this.#highWaterSyncedAt < HIGH_WATER_SYNC_MS) return;
    this.#highWaterSyncedAt = now;
    this.#booted.store.syncHighWater().catch((error: unknown) => this.#fail(error));
  }

  #tellExpelled(): void {
    const { expelled } = this.#booted;
    if (expelled === undefined) return;
    this.#ports.logger.warn(
      { raftId: this.#options.raftId, expelled, incarnation: this.#book.incarnation },
      'founded a new cluster with this member as its only voter; the former members are refused',
    );
  }

  #leave(): void {
    const { raftId, clusterId } = this.#options;
    this.#fail(
      new SwarmError(
        'failed-precondition',
        `Raft member ${raftId} was removed from cluster ${clusterId}: this machine is no manager any ` +
          'more, ask another one; as a manager it joins anew, with an empty folder and a new Raft id',
      ),
    );
  }

  #fail(error: unknown): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#driver.stop();
    this.#ports.logger.error({ error: errorMessage(error) }, 'Raft member stops itself');
    this.#ports.onFailure(error);
  }

  #makePersister(): Persister {
    const { store, log, hard } = this.#booted;
    return new Persister({
      store,
      log,
      hard,
      clock: this.#ports.clock,
      received: (meta) => this.#snapshots.installer.recordOf(meta),
      onPersisted: (readys) => this.#driver.persisted(readys),
      onTaken: (record) => this.#snapshots.kept(record),
      onSnapshotKept: () => this.#snapshots.settled(),
      onFailure: (error) => this.#fail(error),
    });
  }

  #makeDeparture(): Departure {
    const { core, log } = this.#booted;
    return new Departure({
      clock: this.#ports.clock,
      status: () => core.status(),
      committed: () => {
        const index = Math.min(core.status().commit, log.last());
        return { index, term: log.term(index) ?? 0 };
      },
      send: (messages) => this.#network.send(messages),
      leave: () => this.#leave(),
    });
  }

  #makeSnapshots(): Snapshots {
    const { clock, logger } = this.#ports;
    return new Snapshots(this.#booted, {
      clock,
      logger,
      every: this.#options.snapshotEvery ?? SNAPSHOT_EVERY,
      post: (message) => this.#ports.post(message),
      keep: (taken) => this.#persister.addTaken(taken),
      book: () => this.#book.content(),
      applied: () => this.#applier.applied,
      progress: () => this.#status().progress,
      restoring: () => this.#applier.restoring,
      network: () => this.#network,
      onRestored: (index) => this.#applier.restored(index),
      onFailure: (error) => this.#fail(error),
    });
  }

  #makeBoard(): StatusBoard {
    const { log } = this.#booted;
    return new StatusBoard({
      status: () => this.#status(),
      book: () => this.#book,
      silentMs: (peer) => this.#activity.silentMs(peer),
      link: (peer) => this.#network.report(peer),
      log: () => ({
        snapshot: log.snapshot()?.index ?? 0,
        logEntries: log.last() + 1 - log.first(),
        logBytes: log.bytes(),
      }),
      writes: () => ({
        durations: this.#persister.durations(),
        ageMs: this.#persister.writeAgeMs,
      }),
      post: (status) => this.#ports.post({ kind: 'status', status }),
    });
  }

  #makeApplier(applied: number): Applier {
    return new Applier(applied, {
      clock: this.#ports.clock,
      post: (batch) => this.#ports.post({ kind: 'apply', batch }),
      takeDone: (entries) => this.#requests.takeDone(entries),
      onConfChange: (change, index) => this.#onConfChange(change, index),
      onApplied: (index) => {
        this.#driver.step({ kind: 'applied', index });
        this.#onProgress();
        if (!this.#applier.restoring) this.#snapshots.consider(index);
      },
    });
  }

  #makeNetwork(): Network {
    const { clock, random, logger } = this.#ports;
    const { folder, store, core } = this.#booted;
    return this.#ports.makeNetwork({
      options: this.#options,
      clock,
      random,
      logger,
      folder,
      snapshots: () => store.snapshots,
      member: (raftId) => this.#book.get(raftId),
      isRemoved: (raftId) => this.#book.isRemoved(raftId),
      incarnation: () => this.#book.incarnation,
      onMessage: (message) => {
        this.#activity.heard(message.from);
        this.#driver.step({ kind: 'message', message });
      },
      onSnapshotFetched: (message, record) => this.#onSnapshotFetched(message, record),
      onUnreachable: (peer) => this.#driver.step({ kind: 'unreachable', peer }),
      onSnapshotOutcome: (peer, ok) => this.#driver.step({ kind: 'snapshotStatus', peer, ok }),
      onRemoved: (peer) => this.#departure.refusedBy(peer),
      committed: () => core.status().commit,
    });
  }
}
