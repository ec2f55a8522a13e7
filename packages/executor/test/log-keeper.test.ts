/** When logs that conmon writes are rotated: before they are too long, also in a flood. */
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { silentLogger } from '@swarmd/base';
import { ManualClock } from '@swarmd/base/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { LOG_LOOK_MIN_MS, LOG_QUIET_MS, SWEEP_MS } from '../src/limits.ts';
import { logFiles } from '../src/logs/log-files.ts';
import { LogKeeper, type KeptLog } from '../src/logs/log-keeper.ts';

const MAX = 10_000;

describe('the keeper of logs', () => {
  let folder: string;
  let path: string;
  let clock: ManualClock;
  let keeper: LogKeeper;
  let logs: KeptLog[];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'swarmd-keeper-'));
    path = join(folder, 'log');
    clock = new ManualClock();
    logs = [logAt('a', path)];
    keeper = new LogKeeper({ folder, logs: () => logs, clock, logger: silentLogger });
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const logAt = (id: string, at: string): KeptLog => {
    const spool = { maxBytes: MAX, kept: 9, isCompressed: false };
    return { id, path: at, bundle: folder, spool, isShipped: false };
  };

  /** The newest file grows to so many bytes, and is looked at `ms` after the last look. */
  async function look(bytes: number, ms: number): Promise<readonly number[]> {
    await writeFile(path, Buffer.alloc(bytes));
    clock.advance(ms);
    await keeper.look();
    const rotated = (await logFiles(path)).filter((file) => !file.isNewest);
    return Promise.all(rotated.map(async (file) => (await stat(file.path)).size));
  }

  it('changes a file that would be too long by the next look', async () => {
    expect(await look(100, SWEEP_MS)).toEqual([]);
    expect(await look(4_100, SWEEP_MS)).toEqual([]);
    expect(await look(8_100, SWEEP_MS)).toEqual([]);
    // Slowly: there is time to look at it again.
    expect(await look(9_900, SWEEP_MS)).toEqual([]);
    expect(await look(9_990, 90)).toEqual([9_990]);
  });

  it('looks again the sooner, the faster files fill', async () => {
    expect(await look(100, SWEEP_MS)).toHaveLength(0);
    let wait = SWEEP_MS;
    for (let count = 1; count < 7; count += 1) {
      expect(await look(MAX, wait)).toHaveLength(count);
      wait = Math.max(wait / 2, LOG_LOOK_MIN_MS);
    }
  });

  it('looks at quiet ones at the same time, whenever they began', async () => {
    expect(await look(100, SWEEP_MS)).toEqual([]);
    const later = join(folder, 'later');
    logs.push(logAt('b', later));
    await writeFile(later, Buffer.alloc(100));
    expect(await look(100, LOG_QUIET_MS / 2)).toEqual([]);
    await writeFile(later, Buffer.alloc(MAX));
    expect(await look(MAX, LOG_QUIET_MS / 2)).toEqual([MAX]);
    expect(await logFiles(later)).toMatchObject([{ isNewest: false }]);
  });
});
