/** One container as the executor knows it: its record, and who waits for its end. */
import { rm } from 'node:fs/promises';

import { errorMessage, orAborted, SwarmError, type Clock, type Logger } from '@swarmd/base';
import { logPlan, type LogPlan } from '@swarmd/model';

import type { LogSource } from '../logs/log-reader.ts';
import type { LogShippers } from '../logs/shipper/log-shippers.ts';
import type { ShipJob } from '../logs/shipper/protocol.ts';
import type { ContainerExit } from '../types.ts';
import type { ContainerPaths } from './paths.ts';
import { writeRecord, type ContainerRecord } from './record.ts';

export class LiveContainer {
  readonly paths: ContainerPaths;
  readonly ended: Promise<ContainerExit>;
  readonly #resolve: (exit: ContainerExit) => void;
  #record: ContainerRecord;
  #saving: Promise<void> = Promise.resolve();
  /** The write that has not begun yet. */
  #next: Promise<void> | undefined;
  readonly #logger: Logger;
  #execs = 0;

  constructor(paths: ContainerPaths, record: ContainerRecord, logger: Logger) {
    this.paths = paths;
    this.#logger = logger;
    this.#record = record;
    const { promise, resolve } = Promise.withResolvers<ContainerExit>();
    this.ended = promise;
    this.#resolve = resolve;
    if (record.exit !== undefined) resolve(record.exit);
  }

  get id(): string {
    return this.#record.id;
  }

  get record(): ContainerRecord {
    return this.#record;
  }

  /** Where its log is, for reading. @throws SwarmError `failed-precondition` when nowhere. */
  logSource(clock: Clock, shippers: LogShippers): LogSource {
    const { driver, isReadable, files } = this.log;
    const printed = this.outputSource(clock);
    if (!isReadable) {
      throw new SwarmError(
        'failed-precondition',
        `the log of container ${this.id} cannot be read here: its log driver is "${driver}", and cache-disabled=true keeps no copy on the node`,
      );
    }
    if (files === undefined) return printed;
    return {
      path: this.paths.ownLog(driver),
      format: driver === 'json-file' ? 'json' : 'conmon',
      clock,
      isEnded: () => printed.isEnded() && shippers.isDone(this.id),
      ended: this.ended.then(() => shippers.done(this.id)),
    };
  }

  /** What it prints, whoever gets that in the end. @throws SwarmError `failed-precondition`. */
  outputSource(clock: Clock): LogSource {
    if (this.log.driver === 'none') {
      throw new SwarmError(
        'failed-precondition',
        `the output of container ${this.id} is not kept: its log driver is "none"`,
      );
    }
    const isEnded = (): boolean => this.#record.exit !== undefined;
    return { path: this.paths.log, format: 'conmon', clock, isEnded, ended: this.ended };
  }

  /** Its log is passed on from the files that conmon writes. */
  get isShipped(): boolean {
    const { driver, files } = this.log;
    return files !== undefined || driver === 'journald' || driver === 'syslog';
  }

  get shipJob(): ShipJob {
    const { id, name, image, logAttributes = {} } = this.#record;
    const { log: spool, shipped: checkpoint } = this.paths;
    const plan = this.log;
    const target = this.paths.ownLog(plan.driver);
    return { id, name, image, plan, spool, target, checkpoint, attributes: logAttributes };
  }

  get log(): LogPlan {
    return this.#record.logPlan ?? logPlan('', {});
  }

  nextExec(): number {
    return (this.#execs += 1);
  }

  /** Changes the record, on disk too. */
  update(change: Partial<ContainerRecord>): Promise<void> {
    this.#record = { ...this.#record, ...change };
    // One write after the other: they would rename the same file from under each other. What waits writes all of it.
    this.#next ??= this.#saving.then(
      () => this.#write(),
      () => this.#write(),
    );
    this.#saving = this.#next;
    return this.#saving;
  }

  #write(): Promise<void> {
    this.#next = undefined;
    return writeRecord(this.paths.record, this.#record);
  }

  /**
   * As `update`, but nobody waits for the disk, nor depends on it: for what a later life learns from the kernel or
   * the exit file as well. A write that fails is told, and made up for by the next one, which writes the whole record.
   */
  note(change: Partial<ContainerRecord>): void {
    void this.#noted(change);
  }

  async #noted(change: Partial<ContainerRecord>): Promise<void> {
    await this.update(change).catch((error: unknown) => this.#tellUnwritten(error));
  }

  #tellUnwritten(error: unknown): void {
    const { id, phase } = this.#record;
    const what = 'the record of a container cannot be written';
    this.#logger.warn({ id, phase, error: errorMessage(error) }, what);
  }

  /**
   * From here on a later life removes it. A full disk, which removing it may be the cure for, has no room for a
   * record that says so; but neither is a container without a record kept.
   */
  async giveUp(): Promise<void> {
    try {
      await this.update({ phase: 'removing' });
    } catch (error) {
      this.#tellUnwritten(error);
      await rm(this.paths.record, { force: true });
    }
  }

  /** Whatever is being written of it has been. */
  async settled(): Promise<void> {
    await this.#saving.catch(() => undefined);
  }

  /** The end is final: a second one is ignored. Who waits for it waits for no disk: the exit file keeps it. */
  async end(exit: ContainerExit): Promise<void> {
    if (this.#record.exit !== undefined) return;
    const noted = this.#noted({ phase: 'exited', exit });
    this.#resolve(exit);
    await noted;
  }

  /** @throws the signal's reason when it aborts first. */
  async wait(signal: AbortSignal): Promise<ContainerExit> {
    if (this.#record.exit !== undefined) return this.#record.exit;
    return orAborted(this.ended, signal);
  }
}
