/** Log files as conmon writes them, read whole, from the end, followed, and over rotations. */
import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { systemClock } from '@swarmd/base/system';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { LogLine, LogOptions } from '../src/index.ts';
import { readLog } from '../src/logs/log-reader.ts';
import { LogAssembler, parseTimestamp } from '../src/logs/log-line.ts';

const AT = '2026-11-21T13:21:19.123456789+00:00';
const row = (data: string, flag = 'F', stream = 'stdout'): string =>
  `${AT} ${stream} ${flag} ${data}\n`;
const texts = (lines: readonly LogLine[]): string[] =>
  lines.map((line) => Buffer.from(line.data).toString());

describe('timestamps', () => {
  it.each([
    ['1970-01-01T00:00:00Z', 0],
    ['2026-11-21T13:21:19.5+00:00', Date.UTC(2026, 10, 21, 13, 21, 19, 500)],
    ['2024-02-29T23:59:59-01:30', Date.UTC(2024, 1, 29, 25, 29, 59)],
    ['2000-03-01T00:00:00+14:00', Date.UTC(2000, 1, 29, 10)],
  ])('%s', (text, ms) => {
    expect(parseTimestamp(text)).toBe(ms);
  });

  it('agree with Date on any day', () => {
    const dates = fc.date({ min: new Date(0), max: new Date('2200-01-01'), noInvalidDate: true });
    fc.assert(
      fc.property(dates, (date) => {
        expect(parseTimestamp(date.toISOString())).toBeCloseTo(date.getTime(), 3);
      }),
    );
  });

  it.each(['', 'yesterday', '2026-11-21', '2026-11-21T13:21:19'])('"%s" is none', (text) => {
    expect(parseTimestamp(text)).toBeUndefined();
  });
});

describe('assembling lines', () => {
  it('joins pieces by stream, keeps the time of the first, skips what conmon did not write', () => {
    const assembler = new LogAssembler();
    const rows = [
      row('a1 ', 'P'),
      row('b1 ', 'P', 'stderr'),
      'noise\n',
      row('a2'),
      row('b2', 'F', 'stderr'),
      row(''),
    ];
    const lines = assembler.push(Buffer.from(rows.join('')));
    expect(texts(lines)).toEqual(['a1 a2', 'b1 b2', '']);
    expect(lines.map((line) => line.stream)).toEqual(['stdout', 'stderr', 'stdout']);
  });

  it('gives the same whatever the pieces it was fed in', () => {
    const rows = fc.array(fc.tuple(fc.stringMatching(/^[^\n]{0,30}$/), fc.constantFrom('P', 'F')), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 40 }), (rows, size) => {
        const bytes = Buffer.from(rows.map(([data, flag]) => row(data, flag)).join(''));
        const whole = new LogAssembler();
        const wanted = [...whole.push(bytes), ...whole.flush()];
        const pieces = new LogAssembler();
        const result: LogLine[] = [];
        for (let at = 0; at < bytes.length; at += size)
          result.push(...pieces.push(bytes.subarray(at, at + size)));
        expect(texts([...result, ...pieces.flush()])).toEqual(texts(wanted));
      }),
    );
  });

  it('does not hold a line without end', () => {
    const assembler = new LogAssembler();
    const piece = Buffer.from(row('x'.repeat(8000), 'P').repeat(200));
    expect(assembler.push(piece).length).toBeGreaterThan(3);
  });
});

describe('reading logs', () => {
  let folder: string;
  let path: string;
  let isEnded: boolean;
  let end: () => void;
  let ended: Promise<void>;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'swarmd-logs-'));
    path = join(folder, 'log');
    isEnded = false;
    const { promise, resolve } = Promise.withResolvers<void>();
    ended = promise;
    end = () => {
      isEnded = true;
      resolve();
    };
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const read = (options: Partial<LogOptions>): AsyncGenerator<LogLine> =>
    readLog(
      { path, kept: 2, clock: systemClock, isEnded: () => isEnded, ended },
      { follow: false, ...options },
      AbortSignal.timeout(10_000),
    );
  const all = async (options: Partial<LogOptions> = {}): Promise<string[]> =>
    texts(await Array.fromAsync(read(options)));

  it('reads rotated files first, and nothing where there is nothing', async () => {
    expect(await all()).toEqual([]);
    await writeFile(`${path}.2`, row('1'));
    await writeFile(`${path}.1`, row('2'));
    await writeFile(path, row('3') + row('half', 'P'));
    expect(await all()).toEqual(['1', '2', '3', 'half']);
    expect(await all({ tail: 2 })).toEqual(['3', 'half']);
  });

  it('follows over a rotation in the middle of a line, to the end', async () => {
    await writeFile(path, row('1') + row('2a ', 'P'));
    const lines = read({ follow: true });
    const next = async (): Promise<string> =>
      texts([(await lines.next()).value as LogLine])[0] ?? '';
    expect(await next()).toBe('1');
    const second = next();
    await rename(path, `${path}.1`);
    await appendFile(`${path}.1`, row('2b'));
    expect(await second).toBe('2a 2b');
    const third = next();
    await writeFile(path, row('3'));
    expect(await third).toBe('3');
    const rest = Array.fromAsync(lines);
    await appendFile(path, row('4') + row('5', 'P'));
    end();
    expect(texts(await rest)).toEqual(['4', '5']);
  });

  it('gives the last lines, then new ones', async () => {
    await writeFile(path, [1, 2, 3, 4].map((number) => row(String(number))).join(''));
    const lines = read({ follow: true, tail: 1 });
    expect(texts([(await lines.next()).value as LogLine])).toEqual(['4']);
    await appendFile(path, row('5'));
    end();
    expect(texts(await Array.fromAsync(lines))).toEqual(['5']);
  });
});
