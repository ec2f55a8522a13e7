import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { errorCode } from '@swarmd/base';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { recordCipher } from '../../src/wal/cipher.ts';
import { DiskStorage } from '../../src/wal/disk-storage.ts';
import { readFrames, SnapshotWriter, type SnapshotPlace } from '../../src/wal/snapshot-file.ts';

const FRAMES = ['descriptor', 'first', '', 'third'.repeat(50)].map((text) => Buffer.from(text));
const KEY = recordCipher(new Uint8Array(32).fill(9));

let directory = '';
let path = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'raft-snapshot-'));
  path = join(directory, 'snapshots', 'a.snapshot');
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function place(cipher: typeof KEY | undefined): SnapshotPlace {
  return { storage: new DiskStorage(directory), name: 'a.snapshot', cipher };
}

async function writeAll(cipher = undefined as typeof KEY | undefined): Promise<string> {
  await using writer = await SnapshotWriter.create(place(cipher));
  for (const frame of FRAMES) await writer.append(frame);
  return (await writer.finish()).sha256;
}

async function readAll(from = 0, cipher = undefined as typeof KEY | undefined): Promise<Buffer[]> {
  return await Array.fromAsync(readFrames(place(cipher), from));
}

describe.each([
  ['plain', undefined],
  ['sealed', KEY],
])('%s', (_, cipher) => {
  test('frames come back, from any of them on', async () => {
    await writeAll(cipher);
    for (let from = 0; from <= FRAMES.length; from += 1) {
      expect(await readAll(from, cipher)).toEqual(FRAMES.slice(from));
    }
  });

  test('43: any flipped bit and any cut is found', async () => {
    await writeAll(cipher);
    const whole = readFileSync(path);
    for (let at = 0; at < whole.length; at += 1) {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      writeFileSync(path, flipped);
      await expect(readAll(0, cipher)).rejects.toSatisfy((e) => errorCode(e) === 'data-loss');
      writeFileSync(path, whole.subarray(0, at));
      await expect(readAll(0, cipher)).rejects.toSatisfy((e) => errorCode(e) === 'data-loss');
    }
  });
});

test('the digest does not depend on the key', async () => {
  expect(await writeAll()).toBe(await writeAll(KEY));
});

test('42: a writer that is given up leaves nothing', async () => {
  {
    await using writer = await SnapshotWriter.create(place(undefined));
    await writer.append(Buffer.from('half'));
  }
  expect(readdirSync(join(directory, 'snapshots'))).toEqual([]);
});
