/** Log files as conmon and json-file write them, read whole, from the end, followed, over rotations. */
import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { systemClock } from '@swarmd/base/system';
import { logLines, type LogChunk } from '@swarmd/model';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { LogOptions } from '../src/index.ts';
import { logFiles, packLogFile, plainFiles, rotateLog } from '../src/logs/log-files.ts';
import { readLog } from '../src/logs/log-reader.ts';
import { ConmonRows, JsonRows, parseTimestamp } from '../src/logs/log-rows.ts';
import { LogScanner, parseCursor } from '../src/logs/log-scanner.ts';

const AT = '2026-11-21T13:21:19.123456789+00:00';
const row = (data: string, flag = 'F', stream = 'stdout'): string =>
  `${AT} ${stream} ${flag} ${data}\n`;
const texts = (chunks: readonly LogChunk[]): string[] =>
  chunks.flatMap((chunk) => [...logLines(chunk)].map(({ data }) => Buffer.from(data).toString()));

describe('timestamps', () => {
  it.each([
    ['1970-01-01T00:00:00Z', 0],
    ['2026-11-21T13:21:19.5+00:00', Date.UTC(2026, 10, 21, 13, 21, 19, 500)],
    ['2024-02-29T23:59:59-01:30', Date.UTC(2024, 1, 29, 25, 29, 59)],
    ['2000-03-01T00:00:00+14:00', Date.UTC(2000, 1, 29, 10)],
  ])('%s', (text, ms) => {
    expect(parseTimestamp(text)).toBe(ms);
  });

  it('agree with Date on any day, and with the quick way of conmon rows', () => {
    const dates = fc.date({ min: new Date(0), max: new Date('2200-01-01'), noInvalidDate: true });
    const scanner = new LogScanner(new ConmonRows(), { skip: 0 });
    fc.assert(
      fc.property(dates, fc.constantFrom('+00:00', '+05:30'), (date, zone) => {
        const text = date.toISOString();
        expect(parseTimestamp(text)).toBeCloseTo(date.getTime(), 3);
        const long = text.replace('Z', `456789${zone}`);
        const bytes = Buffer.from(row('x').replace(AT, long));
        const [quick] = scanner.scan({ bytes, generation: 1, offset: 0 }).timestamps;
        expect(quick).toBeCloseTo(parseTimestamp(long) ?? Number.NaN, 3);
      }),
    );
  });

  it.each(['', 'yesterday', '2026-11-21', '2026-11-21T13:21:19'])('"%s" is none', (text) => {
    expect(parseTimestamp(text)).toBeUndefined();
  });
});

describe('assembling lines', () => {
  const scan = (scanner: LogScanner, text: string, offset = 0): LogChunk =>
    scanner.scan({ bytes: Buffer.from(text), generation: 1, offset });

  it('joins pieces by stream, keeps the time of the first, skips what conmon did not write', () => {
    const rows = [
      row('a1 ', 'P'),
      row('b1 ', 'P', 'stderr'),
      'noise\n',
      row('a2'),
      row('b2', 'F', 'stderr'),
      row(''),
    ];
    const chunk = scan(new LogScanner(new ConmonRows(), { skip: 0 }), rows.join(''));
    expect(texts([chunk])).toEqual(['a1 a2', 'b1 b2', '']);
    expect(chunk.streams).toEqual(['stdout', 'stderr', 'stdout']);
  });

  it('is the same whatever the pieces it was fed in, and goes on behind every cursor', () => {
    const rows = fc.array(
      fc.tuple(
        fc.stringMatching(/^[^\n]{0,30}$/),
        fc.constantFrom('P', 'F'),
        fc.constantFrom('stdout', 'stderr'),
      ),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(rows, (rows) => {
        const all = rows.map((one) => row(...one));
        const whole = new LogScanner(new ConmonRows(), { skip: 0 });
        const wanted = texts([scan(whole, all.join('')), whole.flush()]);
        const inPieces = new LogScanner(new ConmonRows(), { skip: 0 });
        const had: LogChunk[] = [];
        let at = 0;
        for (const one of all) {
          had.push(scan(inPieces, one, at));
          at += Buffer.byteLength(one);
          const { offset, skip } = parseCursor(inPieces.cursor);
          const later = new LogScanner(new ConmonRows(), { skip });
          const bytes = Buffer.from(all.join('')).subarray(offset);
          const rest = [later.scan({ bytes, generation: 1, offset }), later.flush()];
          expect(texts([...had, ...rest])).toEqual(wanted);
        }
        expect(texts([...had, inPieces.flush()])).toEqual(wanted);
      }),
    );
  });

  it('does not hold a line without end', () => {
    const scanner = new LogScanner(new ConmonRows(), { skip: 0 });
    expect(scan(scanner, row('x'.repeat(8000), 'P').repeat(200)).lengths.length).toBeGreaterThan(3);
  });

  it('reads what Docker writes', () => {
    const entries = [
      { log: 'half a ', stream: 'stderr', time: '2026-11-21T13:21:19.5Z' },
      { log: 'line "ö"\n', stream: 'stderr', attrs: { tag: 'x' }, time: '2026-11-21T13:21:20Z' },
    ];
    const text = entries.map((entry) => `${JSON.stringify(entry)}\n`).join('');
    const chunk = scan(new LogScanner(new JsonRows(), { skip: 0 }), `${text}{"log":1}\nnoise\n`);
    expect(texts([chunk])).toEqual(['half a line "ö"']);
    expect(chunk).toMatchObject({ streams: ['stderr'], timestamps: [1_795_267_279_500] });
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

  const read = (options: Partial<LogOptions>): AsyncGenerator<LogChunk> =>
    readLog(
      { path, format: 'conmon', clock: systemClock, isEnded: () => isEnded, ended },
      { follow: false, ...options },
      AbortSignal.timeout(10_000),
    );
  const all = async (options: Partial<LogOptions> = {}): Promise<string[]> =>
    texts(await Array.fromAsync(read(options)));
  const nextOf = async (chunks: AsyncGenerator<LogChunk>): Promise<string[]> =>
    texts([(await chunks.next()).value as LogChunk]);
  const numbers = (from: number, to: number): string[] =>
    Array.from({ length: to - from + 1 }, (_, index) => String(from + index));

  it('reads rotated files first, packed ones too, and nothing where there is nothing', async () => {
    expect(await all()).toEqual([]);
    await writeFile(`${path}.9`, row('1'));
    await writeFile(`${path}.10`, row('2'));
    await writeFile(path, row('3') + row('half', 'P'));
    for (const file of await plainFiles(path)) {
      expect(await all()).toEqual(['1', '2', '3', 'half']);
      await packLogFile(file, file.generation === 9 ? 'gz' : 'zst');
    }
    expect((await logFiles(path)).map((file) => file.packing)).toEqual(['gz', 'zst', undefined]);
    expect(await all()).toEqual(['1', '2', '3', 'half']);
    expect(await all({ tail: 3 })).toEqual(['2', '3', 'half']);
    expect(await all({ after: `9.${Buffer.byteLength(row('1'))}.0` })).toEqual(['2', '3', 'half']);
  });

  it('finds the last lines in files of many blocks', async () => {
    const long = 'x'.repeat(700);
    const rows = (from: number, to: number): string =>
      numbers(from, to)
        .map((number) => row(`${long} ${number}`))
        .join('');
    await writeFile(`${path}.1`, rows(1, 1_000));
    await writeFile(path, rows(1_001, 2_000));
    for (const tail of [0, 1, 100, 999, 1_001, 1_999, 2_000, 5_000]) {
      const wanted = numbers(1, 2_000).slice(Math.max(0, 2_000 - tail));
      const found = (await all({ tail })).map((text) => text.slice(long.length + 1));
      expect(found.length).toBe(wanted.length);
      expect([found[0], found.at(-1)]).toEqual([wanted[0], wanted.at(-1)]);
    }
  });

  it('gives what was printed in a span of time', async () => {
    const at = (second: number): string => AT.replace('19.123', `${second}.000`);
    await writeFile(path, [20, 21, 22, 23].map((s) => row(`${s}`).replace(AT, at(s))).join(''));
    const ms = (second: number): number => parseTimestamp(at(second)) ?? 0;
    expect(await all({ sinceMs: ms(21), untilMs: ms(22) })).toEqual(['21', '22']);
    expect(await all({ follow: true, untilMs: ms(21) })).toEqual(['20', '21']);
  });

  it('follows over a rotation in the middle of a line, to the end', async () => {
    await writeFile(path, row('1') + row('2a ', 'P'));
    const chunks = read({ follow: true });
    expect(await nextOf(chunks)).toEqual(['1']);
    const second = nextOf(chunks);
    await rename(path, `${path}.1`);
    await appendFile(`${path}.1`, row('2b'));
    expect(await second).toEqual(['2a 2b']);
    const third = nextOf(chunks);
    await writeFile(path, row('3'));
    expect(await third).toEqual(['3']);
    const rest = Array.fromAsync(chunks);
    await appendFile(path, row('4') + row('5', 'P'));
    end();
    expect(texts(await rest)).toEqual(['4', '5']);
  });

  it('gives the last lines, then new ones', async () => {
    await writeFile(path, [1, 2, 3, 4].map((number) => row(String(number))).join(''));
    const chunks = read({ follow: true, tail: 1 });
    expect(await nextOf(chunks)).toEqual(['4']);
    await appendFile(path, row('5'));
    end();
    expect(texts(await Array.fromAsync(chunks))).toEqual(['5']);
  });

  it('keeps as many files as it may, and tells a reader that came too late', async () => {
    const bounds = { maxBytes: 40, kept: 2 };
    const write = async (text: string): Promise<void> => {
      await appendFile(path, row(text));
      await rotateLog(path, bounds, async () => writeFile(path, ''));
    };
    for (const number of numbers(1, 5)) await write(number);
    const names = (await logFiles(path)).map((file) => file.generation);
    expect(names).toEqual([4, 5, 6]);
    expect(await all()).toEqual(['4', '5']);
    const late = await Array.fromAsync(read({ after: `2.${Buffer.byteLength(row('2'))}.0` }));
    expect(texts(late)).toEqual(['4', '5']);
    expect(late[0]?.notice).toContain('2 files of this log were rotated away');
  });
});
