/**
 * One container's log on its way to somebody else: read from conmon's files like any reader does, so that
 * neither the container nor our memory waits. What waits too long, waits on the disk, and is given up,
 * counted, when there is too much of it.
 */
import { closeSync, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';

import { Backoff, errorMessage, sleep, type Clock, type Random } from '@swarmd/base';
import { logLines } from '@swarmd/model';

import { SHIP_BOUND_MS } from '../../limits.ts';
import { logFiles, surplusFiles, type LogFile } from '../log-files.ts';
import { readPlaced, type LogSource, type PlacedChunk } from '../log-reader.ts';
import { cursorBehind, parseCursor } from '../log-scanner.ts';
import { readCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { countLines } from './count-lines.ts';
import type { FromShipper, ShipJob, ShipLine, Sink } from './protocol.ts';

const RETRY = { firstMs: 200, maxMs: 10_000 };

export interface ShipmentDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly tell: (message: FromShipper) => void;
  readonly openSink: (
    job: ShipJob,
    place: { readonly generation: number; readonly size: number } | undefined,
  ) => Promise<Sink>;
}

export class Shipment {
  readonly #job: ShipJob;
  readonly #deps: ShipmentDeps;
  readonly #ended = Promise.withResolvers<void>();
  #isEnded = false;
  /** Cursor of what is out of our hands. */
  #cursor: string | undefined;
  #dropped = 0;
  /** What was given up since the last line that was delivered. */
  #unsaid = 0;
  #restart = new AbortController();
  /** Nothing is delivered any more after `#restart`. */
  #halted: Promise<void> = Promise.resolve();
  /** Delivering may go on. */
  #resumed: Promise<void> = Promise.resolve();

  constructor(job: ShipJob, deps: ShipmentDeps) {
    this.#job = job;
    this.#deps = deps;
  }

  /** Nothing more is written. */
  end(): void {
    this.#isEnded = true;
    this.#ended.resolve();
  }

  /** Ends once an ended container's log is where it should be. */
  async run(signal: AbortSignal): Promise<void> {
    const { checkpoint, id } = this.#job;
    const known = readCheckpoint(checkpoint);
    this.#cursor = known?.cursor;
    this.#dropped = known?.dropped ?? 0;
    const sink = await this.#deps.openSink(this.#job, known?.output);
    const file = openSync(checkpoint, known === undefined ? 'w' : 'r+', 0o600);
    const done = new AbortController();
    const bounding = this.#keepBound(AbortSignal.any([signal, done.signal]));
    try {
      await this.#deliver(sink, file, signal);
      done.abort();
      await bounding;
      await this.#prune();
      this.#deps.tell({ kind: 'done', id });
    } finally {
      done.abort();
      await bounding;
      closeSync(file);
      await sink[Symbol.asyncDispose]();
    }
  }

  async #deliver(sink: Sink, file: number, signal: AbortSignal): Promise<void> {
    const source: LogSource = {
      path: this.#job.spool,
      format: 'conmon',
      clock: this.#deps.clock,
      isEnded: () => this.#isEnded,
      ended: this.#ended.promise,
    };
    for (;;) {
      await this.#resumed;
      const halted = Promise.withResolvers<void>();
      this.#halted = halted.promise;
      this.#restart = new AbortController();
      const either = AbortSignal.any([signal, this.#restart.signal]);
      try {
        const options = { follow: true, after: this.#cursor };
        for await (const placed of readPlaced(source, options, either)) {
          const { chunk } = placed;
          if (chunk.notice !== '') {
            this.#deps.tell({ kind: 'trouble', id: this.#job.id, message: chunk.notice });
          }
          for await (const cursor of this.#hand(sink, placed, either)) {
            this.#cursor = cursor;
            const output = sink.place ?? { generation: 0, size: 0 };
            writeCheckpoint(file, { cursor, output, dropped: this.#dropped });
          }
        }
        return;
      } catch (error) {
        if (signal.aborted || !this.#restart.signal.aborted) throw error;
      } finally {
        halted.resolve();
      }
    }
  }

  /** Until all of it has been taken, or given up; in between come the cursors of what has been. */
  async *#hand(
    sink: Sink,
    { chunk, start }: PlacedChunk,
    signal: AbortSignal,
  ): AsyncGenerator<string> {
    const lines = [...logLines(chunk)].map(({ stream, timestamp, data }): ShipLine => {
      const text = Buffer.from(data.buffer, data.byteOffset, data.length);
      return { isError: stream === 'stderr', timestamp, text };
    });
    if (this.#unsaid > 0) {
      await this.#give(sink, [this.#gap(lines[0]?.timestamp)], signal);
      this.#unsaid = 0;
    }
    for (let taken = 0; taken < lines.length;) {
      taken += await this.#give(sink, lines.slice(taken), signal);
      if (taken < lines.length) yield cursorBehind(start, taken);
    }
    yield chunk.cursor;
  }

  async #give(sink: Sink, lines: readonly ShipLine[], signal: AbortSignal): Promise<number> {
    const { clock, random, tell } = this.#deps;
    const backoff = new Backoff(RETRY, random);
    for (let isTold = false; ;) {
      try {
        return await sink.write(lines, signal);
      } catch (error) {
        if (signal.aborted) throw error;
        if (!isTold) tell({ kind: 'trouble', id: this.#job.id, message: errorMessage(error) });
        isTold = true;
      }
      await sleep(clock, backoff.nextMs(), signal);
    }
  }

  /** What is missing before a line is said in its place. */
  #gap(timestamp = 0): ShipLine {
    const text = Buffer.from(`swarmd: ${this.#unsaid} lines of this container were dropped here`);
    return { isError: true, timestamp, text };
  }

  async #keepBound(signal: AbortSignal): Promise<void> {
    const { clock, tell } = this.#deps;
    const { id, plan } = this.#job;
    while (!signal.aborted) {
      try {
        await this.#prune();
        await sleep(clock, SHIP_BOUND_MS, signal);
      } catch (error) {
        if (signal.aborted) return;
        tell({ kind: 'trouble', id, message: `${plan.driver}: ${errorMessage(error)}` });
      }
    }
  }

  /** Removes files that are too many; their lines that nobody has taken are counted. */
  async #prune(): Promise<void> {
    const { plan, spool } = this.#job;
    const rotated = (await logFiles(spool)).filter((one) => !one.isNewest);
    const at = parseCursor(this.#cursor ?? '0.0.0');
    // What files of our own have taken over is read there.
    const isKept = plan.files === undefined;
    const spare = isKept ? [] : rotated.filter(({ generation }) => generation < at.generation);
    for (const { path } of spare) await rm(path, { force: true });
    const left = rotated.slice(spare.length);
    const surplus = await surplusFiles(left, plan.spool);
    if (surplus.some(({ generation }) => generation >= at.generation)) await this.#giveUp(surplus);
    for (const { path } of surplus) await rm(path, { force: true });
  }

  /**
   * Counts the lines of these files that nobody has taken. Nothing is delivered meanwhile: a thread that cannot
   * keep up with a flood would take turns with itself, and the flood would win.
   */
  async #giveUp(files: readonly LogFile[]): Promise<void> {
    const resumed = Promise.withResolvers<void>();
    this.#resumed = resumed.promise;
    try {
      this.#restart.abort();
      await this.#halted;
      const at = parseCursor(this.#cursor ?? '0.0.0');
      const lost = files.filter(({ generation }) => generation >= at.generation);
      let lines = 0;
      for (const log of lost) {
        lines += await countLines(log, log.generation === at.generation ? at : undefined);
      }
      const next = lost.at(-1);
      if (next === undefined) return;
      this.#cursor = `${next.generation + 1}.0.0`;
      this.#dropped += lines;
      this.#unsaid += lines;
      this.#deps.tell({ kind: 'dropped', id: this.#job.id, lines: this.#dropped });
    } finally {
      resumed.resolve();
    }
  }
}
