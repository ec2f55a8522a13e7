/** Damage to any file of a log, wherever it is: the log is refused, or nothing was lost. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { errorCode, errorMessage } from '@swarmd/base';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { Entry } from '../../src/core/types.ts';
import { DiskStorage } from '../../src/wal/disk-storage.ts';
import { LogStore } from '../../src/wal/log-store.ts';

const IDENTITY = { clusterId: 'cluster', nodeId: 'node', raftId: 7 };
/** So many places in each file are tried. */
const PLACES = 40;

let home = '';

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'raft-damage-'));
});

afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

function entries(from: number, to: number): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => ({
    index: from + i,
    term: 1,
    kind: 'normal' as const,
    data: new Uint8Array(Buffer.from(`entry ${from + i} `.repeat(5))),
  }));
}

/** A log whose older part is in LevelDB's tables and whose newer part is in its journal. */
async function makeLog(directory: string): Promise<void> {
  const start = 'create' as const;
  for (const [from, to] of [
    [1, 60],
    [61, 120],
    [121, 130],
  ] as const) {
    const storage = new DiskStorage(directory);
    await using store = (await LogStore.open({ storage, identity: IDENTITY, start })).store;
    const hard = { term: 1, vote: 7, commit: from };
    await store.write({ hard, append: entries(from, to), sync: true });
  }
}

/** `same`: opened with everything in it. */
async function verdict(directory: string): Promise<string> {
  try {
    const storage = new DiskStorage(directory);
    const options = { storage, identity: IDENTITY, start: 'restart' as const };
    const { store, stored } = await LogStore.open(options);
    await store[Symbol.asyncDispose]();
    const { term, vote } = stored.header.hard;
    const whole = stored.entries.length === 130 && term === 1 && vote === 7;
    const equal = JSON.stringify(stored.entries) === JSON.stringify(entries(1, 130));
    return whole && equal ? 'same' : `opened with ${stored.entries.length} entries`;
  } catch (error) {
    return `${errorCode(error)}: ${errorMessage(error)}`;
  }
}

const isSafe = (answer: string): boolean => answer === 'same' || answer.startsWith('data-loss: ');

async function afterDamage(damage: (directory: string) => void): Promise<string> {
  const damaged = join(home, 'damaged');
  rmSync(damaged, { recursive: true, force: true });
  cpSync(join(home, 'pristine'), damaged, { recursive: true });
  damage(damaged);
  return await verdict(damaged);
}

function files(directory: string): string[] {
  const log = readdirSync(join(directory, 'log')).filter((name) => !/^(LOCK|LOG)/u.test(name));
  return ['high-water', ...log.map((name) => join('log', name))];
}

describe('60: damage anywhere', () => {
  beforeEach(async () => {
    await makeLog(join(home, 'pristine'));
  });

  test('one flipped bit in any of the files', { timeout: 60_000 }, async () => {
    const unsafe: string[] = [];
    let refused = 0;
    expect(files(join(home, 'pristine')).some((name) => name.endsWith('.ldb'))).toBe(true);
    for (const name of files(join(home, 'pristine'))) {
      const whole = readFileSync(join(home, 'pristine', name));
      const stride = Math.max(1, Math.floor(whole.length / PLACES));
      for (let at = 0; at < whole.length; at += stride) {
        const answer = await afterDamage((directory) => {
          const bytes = Buffer.from(whole);
          bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (at % 8)), at);
          writeFileSync(join(directory, name), bytes);
        });
        if (!isSafe(answer)) unsafe.push(`${name} at ${at}: ${answer}`);
        if (answer !== 'same') refused += 1;
      }
    }
    expect(unsafe).toEqual([]);
    expect(refused).toBeGreaterThan(PLACES);
  });

  test('any of the files lost, cut in half or emptied', { timeout: 60_000 }, async () => {
    const unsafe: string[] = [];
    for (const name of files(join(home, 'pristine'))) {
      const whole = readFileSync(join(home, 'pristine', name));
      const kinds: [string, (path: string) => void][] = [
        ['lost', (path) => rmSync(path)],
        ['cut', (path) => writeFileSync(path, whole.subarray(0, whole.length / 2))],
        ['emptied', (path) => writeFileSync(path, '')],
      ];
      for (const [kind, damage] of kinds) {
        const answer = await afterDamage((directory) => damage(join(directory, name)));
        if (!isSafe(answer)) unsafe.push(`${name} ${kind}: ${answer}`);
      }
    }
    expect(unsafe).toEqual([]);
  });
});
