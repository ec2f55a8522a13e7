/**
 * Keeps the logs of running containers within their bounds. A quiet log is looked at every few seconds;
 * one that grows fast as often as it needs. Who was quiet and then prints a hundred megabytes is noticed
 * by the room that is left on the disk, which costs one system call for all logs together.
 */
import { statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';

import { errorMessage, sleep, type Clock, type Logger } from '@swarmd/base';
import type { LogPlan } from '@swarmd/model';

import { errnoOf } from '../files/atomic-file.ts';
import {
  LOG_BURST_BYTES,
  LOG_GLANCE_MS,
  LOG_LOOK_MIN_MS,
  LOG_PACK_AFTER_MS,
  LOG_QUIET_MS,
  SWEEP_MS,
} from '../limits.ts';
import { emptyRotated, packLogFile, plainFiles, reopenConmonLog, rotateLog } from './log-files.ts';

/** A running container that conmon writes a log of. */
export interface KeptLog {
  readonly id: string;
  readonly path: string;
  readonly bundle: string;
  readonly spool: LogPlan['spool'];
  /** It is passed on, and its old files removed, by somebody else. */
  readonly isShipped: boolean;
}

interface Growth {
  size: number;
  at: number;
  nextAt: number;
}

export class LogKeeper {
  readonly #folder: string;
  readonly #logs: () => Iterable<KeptLog>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #growth = new Map<string, Growth>();
  /** Logs with a rotated file that is to be compressed, and since when. */
  readonly #unpacked = new Map<string, { readonly log: KeptLog; readonly since: number }>();
  #room = 0;

  constructor(options: {
    /** All logs are below it. */
    readonly folder: string;
    readonly logs: () => Iterable<KeptLog>;
    readonly clock: Clock;
    readonly logger: Logger;
  }) {
    this.#folder = options.folder;
    this.#logs = options.logs;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  async run(signal: AbortSignal): Promise<void> {
    for (;;) {
      await sleep(this.#clock, this.#wait(), signal);
      if (await this.#isBurst()) for (const growth of this.#growth.values()) growth.nextAt = 0;
      await this.look();
    }
  }

  /** Compresses what was rotated a while ago: under a flood it is gone before. */
  async pack(signal: AbortSignal): Promise<void> {
    for (;;) {
      await sleep(this.#clock, LOG_PACK_AFTER_MS, signal);
      const before = this.#clock.monotonic() - LOG_PACK_AFTER_MS;
      for (const [id, { log, since }] of this.#unpacked) {
        if (since > before) continue;
        this.#unpacked.delete(id);
        await this.#try(log, async () => {
          for (const file of await plainFiles(log.path)) await packLogFile(file, 'zst');
        });
      }
    }
  }

  /** Looks at the logs whose time has come. */
  async look(): Promise<void> {
    const now = this.#clock.monotonic();
    const seen = new Set<string>();
    for (const log of this.#logs()) {
      seen.add(log.id);
      if ((this.#growth.get(log.id)?.nextAt ?? 0) > now) continue;
      await this.#try(log, () => this.#lookAt(log));
    }
    for (const id of this.#growth.keys()) if (!seen.has(id)) this.#growth.delete(id);
  }

  async #lookAt(log: KeptLog): Promise<void> {
    const { id, path, bundle, spool, isShipped } = log;
    const before = this.#growth.get(id);
    // Its writer has it open, so the kernel knows its size whatever the disk does: for 500 quiet logs that is 2 ms.
    const found = statSync(path, { throwIfNoEntry: false })?.size;
    const now = this.#clock.monotonic();
    const passed = Math.max(now - (before?.at ?? now - SWEEP_MS), 1);
    const more = (found ?? 0) - (before?.size ?? 0);
    const isDue = (found ?? 0) + (Math.max(more, 0) * LOG_LOOK_MIN_MS) / passed >= spool.maxBytes;
    const size =
      found !== undefined && !isDue
        ? found
        : await rotateLog(path, { ...spool, isShipped, isDue }, () => reopenConmonLog(bundle));
    const at = this.#clock.monotonic();
    const isRotated = size === 0 && (found ?? 0) > 0;
    if (isRotated && spool.isCompressed) this.#unpacked.set(id, { log, since: at });
    if (spool.kept === 0 && !isShipped) await emptyRotated(path);
    // A fresh file has no history: it is looked at soon if the last one filled quickly.
    const grown = isRotated ? spool.maxBytes : size - (before?.size ?? 0);
    const untilFull = grown <= 0 ? Infinity : ((spool.maxBytes - size) * passed) / grown;
    const wait = Math.max(untilFull / 2, LOG_LOOK_MIN_MS);
    // Quiet ones all at the same time: hundreds, each at its own, would keep this process from sleeping.
    const nextAt =
      wait < LOG_QUIET_MS ? at + wait : (Math.floor(at / LOG_QUIET_MS) + 1) * LOG_QUIET_MS;
    this.#growth.set(id, { size, at, nextAt });
  }

  #wait(): number {
    const now = this.#clock.monotonic();
    let next = now + LOG_GLANCE_MS;
    for (const { nextAt } of this.#growth.values()) next = Math.min(next, nextAt);
    return Math.max(next - now, LOG_LOOK_MIN_MS);
  }

  /** Whether somebody, perhaps a container, has just filled a good part of a log file. */
  async #isBurst(): Promise<boolean> {
    try {
      const { bfree, bsize } = await statfs(this.#folder);
      const room = bfree * bsize;
      const isBurst = this.#room - room > LOG_BURST_BYTES;
      this.#room = room;
      return isBurst;
    } catch (error) {
      // Before the first container there is no such folder.
      if (errnoOf(error) === 'ENOENT') return false;
      throw error;
    }
  }

  async #try({ id }: KeptLog, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#logger.warn({ id, error: errorMessage(error) }, 'a log cannot be rotated');
      const at = this.#clock.monotonic();
      this.#growth.set(id, { size: 0, at, nextAt: at + SWEEP_MS });
    }
  }
}
