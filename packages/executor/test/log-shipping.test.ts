/** Logs that somebody else is to have: json-file's files, syslog, datagrams; and nobody who takes them. */
import { appendFile, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { errnoOf } from '../src/files/atomic-file.ts';
import { systemClock, systemRandom } from '@swarmd/base/system';
import { until } from '@swarmd/base/testing';
import { logLines, logPlan, type LogChunk } from '@swarmd/model';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { logFiles } from '../src/logs/log-files.ts';
import { readLog } from '../src/logs/log-reader.ts';
import { JournaldSink } from '../src/logs/shipper/journald-sink.ts';
import { jsonFileFormat, localFormat, RowBuffer } from '../src/logs/shipper/file-formats.ts';
import { FileSink } from '../src/logs/shipper/file-sink.ts';
import type { FromShipper, ShipJob, Sink } from '../src/logs/shipper/protocol.ts';
import { Shipment, type ShipmentDeps } from '../src/logs/shipper/shipment.ts';
import { syslogMessage } from '../src/logs/shipper/syslog-message.ts';
import { SyslogSink } from '../src/logs/shipper/syslog-sink.ts';

const row = (text: string, stream = 'stdout'): string =>
  `2026-11-21T13:21:19.123456789+00:00 ${stream} F ${text}\n`;
const rows = (from: number, to: number): string => {
  let text = '';
  for (let number = from; number <= to; number += 1) text += row(String(number));
  return text;
};
const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index));

let folder: string;
let spool: string;
const told: FromShipper[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'swarmd-ship-'));
  spool = join(folder, 'log');
  told.length = 0;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function fail(): never {
  throw new Error('not there');
}

function job(driver: string, options: Record<string, string>, attributes = {}): ShipJob {
  return {
    id: 'abcdefghijklmnop',
    plan: logPlan(driver, options),
    spool,
    target: join(folder, 'x-json.log'),
    checkpoint: join(folder, 'shipped'),
    attributes,
    name: 'web.1.abc',
    image: 'busybox',
  };
}

/** Runs until it is done, or stopped. */
function ship(job: ShipJob, openSink: ShipmentDeps['openSink']) {
  const stop = new AbortController();
  const shipment = new Shipment(job, {
    clock: systemClock,
    random: systemRandom,
    tell: (message) => told.push(message),
    openSink,
  });
  const run = shipment.run(stop.signal).catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });
  return { shipment, run, stop };
}

const fileSink =
  (job: ShipJob) =>
  (_: ShipJob, place: { generation: number; size: number } | undefined): Promise<Sink> => {
    const bounds = job.plan.files ?? { maxBytes: 1, kept: 1, isCompressed: false };
    const onTrouble = (error: unknown): never => {
      throw error;
    };
    const isJson = job.plan.driver === 'json-file';
    const format = isJson ? jsonFileFormat(job.attributes) : localFormat();
    return FileSink.open(job.target, { bounds, format, place, onTrouble });
  };

async function jsonLines(path: string): Promise<{ log: string; stream: string; time: string }[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  });
  // The last one may be half of one.
  const lines = text.split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as { log: string; stream: string; time: string });
}

describe('json-file', () => {
  it('is what Docker writes', async () => {
    await writeFile(spool, row('one "ö"') + row('two', 'stderr'));
    const wanted = job('json-file', {}, { tag: 'x' });
    const { shipment, run } = ship(wanted, fileSink(wanted));
    shipment.end();
    await run;
    expect(await readFile(wanted.target, 'utf8')).toBe(
      '{"log":"one \\"ö\\"\\n","stream":"stdout","attrs":{"tag":"x"},"time":"2026-11-21T13:21:19.123456Z"}\n' +
        '{"log":"two\\n","stream":"stderr","attrs":{"tag":"x"},"time":"2026-11-21T13:21:19.123456Z"}\n',
    );
    expect(told).toEqual([{ kind: 'done', id: wanted.id }]);
  });

  it('writes what JSON.stringify would, whatever the bytes', () => {
    const format = jsonFileFormat({});
    const special = ['"', '\\', '\n', '\u0000', '\u007f', 'ö', '\u2028', '😀', 'x'];
    const texts = fc.array(fc.constantFrom(...special)).map((parts) => Buffer.from(parts.join('')));
    const bytes = fc.uint8Array({ maxLength: 40 });
    const rows = new RowBuffer();
    fc.assert(
      fc.property(fc.oneof(bytes, texts), (text) => {
        rows.clear();
        const line = { isError: false, timestamp: 0, text: Buffer.from(text) };
        format.write(rows, line);
        const log = `${line.text.toString('utf8')}\n`;
        const whole = { log, stream: 'stdout', time: '1970-01-01T00:00:00.000000Z' };
        expect(rows.bytes().toString()).toBe(`${JSON.stringify(whole)}\n`);
      }),
    );
  });

  it('has each line once when we are killed at any point, also behind what we remember', async () => {
    const wanted = job('json-file', {});
    let before = 0;
    for (let life = 0; life < 6; life += 1) {
      await appendFile(spool, rows(life * 1_000 + 1, life * 1_000 + 1_000));
      const { run, stop } = ship(wanted, fileSink(wanted));
      await until('some lines', async () =>
        (await jsonLines(wanted.target)).length > before ? true : undefined,
      );
      stop.abort();
      await run;
      // Written, but we died before it was remembered.
      if (life % 2 === 0) await appendFile(wanted.target, '{"log":"never');
      before = (await jsonLines(wanted.target)).length;
    }
    const { shipment, run } = ship(wanted, fileSink(wanted));
    shipment.end();
    await run;
    const found = (await jsonLines(wanted.target)).map(({ log }) => log.trimEnd());
    expect(found).toEqual(numbers(1, 6_000));
  });

  it('keeps as many files as it may, and no spool that it has read', async () => {
    const wanted = job('json-file', { 'max-size': '1k', 'max-file': '3', compress: 'true' });
    await writeFile(`${spool}.1`, rows(1, 2_000));
    const { shipment, run } = ship(wanted, fileSink(wanted));
    for (let step = 1; step <= 4; step += 1) {
      await writeFile(spool, rows(step * 2_000 + 1, step * 2_000 + 2_000));
      await until('its lines', async () => {
        const last = (await jsonLines(wanted.target)).at(-1)?.log.trimEnd();
        return last === String(step * 2_000 + 2_000) ? true : undefined;
      });
      await rename(spool, `${spool}.${step + 1}`);
    }
    await writeFile(spool, '');
    shipment.end();
    await run;
    const files = await logFiles(wanted.target);
    expect(files.length).toBe(3);
    expect(files.filter((file) => file.packing === 'gz').length).toBeGreaterThan(0);
    expect((await logFiles(spool)).length).toBeLessThanOrEqual(3);
  });
});

describe.each(['json-file', 'local'])('files of %s', (driver) => {
  const MAX = 2_000;
  const COUNT = 5_000;
  const options = { 'max-size': String(MAX), 'max-file': '4', compress: 'false' };
  const readAll = async (path: string, after?: string): Promise<LogChunk[]> => {
    const format = driver === 'json-file' ? 'json' : 'conmon';
    const ended = Promise.resolve();
    const source = { path, format, clock: systemClock, isEnded: () => true, ended } as const;
    const { signal } = new AbortController();
    return Array.fromAsync(readLog(source, { follow: false, after }, signal));
  };
  const textsOf = (chunks: readonly LogChunk[]): string[] =>
    chunks.flatMap((chunk) => [...logLines(chunk)].map(({ data }) => Buffer.from(data).toString()));

  it('are too long by less than a line, also in the middle of a flood', async () => {
    const wanted = job(driver, options);
    await writeFile(spool, rows(1, COUNT));
    const { shipment, run } = ship(wanted, fileSink(wanted));
    shipment.end();
    await run;
    const files = await logFiles(wanted.target);
    expect(files.length).toBe(4);
    for (const { path, isNewest } of files) {
      const text = await readFile(path, 'utf8');
      const last = text.trimEnd().split('\n').at(-1) ?? '';
      expect(text.length).toBeGreaterThanOrEqual(isNewest ? 0 : MAX);
      expect(text.length).toBeLessThan(MAX + last.length + 1);
    }
    const [first = ''] = textsOf(await readAll(wanted.target));
    expect(textsOf(await readAll(wanted.target))).toEqual(numbers(Number(first), COUNT));
    expect(told).toEqual([{ kind: 'done', id: wanted.id }]);
  });

  it('are the same whenever we are killed between two of them', async () => {
    const kept = { ...options, 'max-file': '90', 'max-size': '5000' };
    await writeFile(spool, rows(1, 3_000));
    const wanted = job(driver, kept);
    for (let life = 0; life < 20; life += 1) {
      const killed = Promise.withResolvers<void>();
      let writes = 0;
      const { run, stop } = ship(wanted, async (one, place) => {
        const sink = await fileSink(wanted)(one, place);
        // Dies between a write and what it would have remembered of it, and writes nothing after that.
        const write: Sink['write'] = async (lines, signal) => {
          if (writes > life % 3) fail();
          const taken = await sink.write(lines, signal);
          writes += 1;
          if (writes <= life % 3) return taken;
          killed.resolve();
          return fail();
        };
        return new Proxy(sink, {
          get: (_, name) => (name === 'write' ? write : (Reflect.get(sink, name, sink) as unknown)),
        });
      });
      await killed.promise;
      stop.abort();
      await run;
    }
    const { shipment, run } = ship(wanted, fileSink(wanted));
    shipment.end();
    await run;
    const chunks = await readAll(wanted.target);
    expect(textsOf(chunks)).toEqual(numbers(1, 3_000));
    const files = await logFiles(wanted.target);
    expect(files.map(({ generation }) => generation)).toEqual(files.map((_, index) => index + 1));
  });
});

describe('syslog', () => {
  let server: Server | undefined;
  let received: string;
  const sockets = new Set<Socket>();
  const listen = async (port = 0): Promise<number> => {
    const fresh = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('data', (data) => (received += data.toString()));
    });
    server = fresh;
    fresh.listen(port, '127.0.0.1');
    await once(fresh, 'listening');
    return (fresh.address() as { port: number }).port;
  };
  const goAway = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    const closed = once(server ?? fail(), 'close');
    server?.close();
    await closed;
  };
  beforeEach(() => (received = ''));
  afterEach(async () => {
    if (server?.listening === true) await goAway();
  });
  const sink = (wanted: ShipJob) => async (): Promise<Sink> => {
    const { syslog } = wanted.plan;
    if (syslog === undefined) throw new Error('no syslog');
    return new SyslogSink({ target: syslog, tag: 'web', hostname: 'n1', pid: 7 }, systemClock);
  };
  const lines = (): string[] => received.split('\n').filter((line) => line !== '');

  it.each([
    ['', /^<30>Nov 21 \d\d:\d\d:\d\d web\[7\]: text$/],
    ['rfc3164', /^<30>Nov 21 \d\d:\d\d:\d\d n1 web\[7\]: text$/],
    ['rfc5424', /^<30>1 2026-11-21T13:21:19Z n1 web 7 web - text$/],
    ['rfc5424micro', /^<27>1 2026-11-21T13:21:19\.123456Z n1 web 7 web - text$/],
  ])('%s: a line', (format, pattern) => {
    const options = format === '' ? {} : { 'syslog-format': format };
    const target = logPlan('syslog', options).syslog;
    if (target === undefined) throw new Error('no target');
    const line = { timestamp: 1_795_267_279_123.456, text: Buffer.from('text') };
    const isError = format === 'rfc5424micro';
    const source = { target, tag: 'web', hostname: 'n1', pid: 7 };
    expect(syslogMessage(source, { ...line, isError }).toString()).toMatch(pattern);
  });

  it('goes on where it was when the server comes back', async () => {
    const port = await listen();
    const wanted = job('syslog', { 'syslog-address': `tcp://127.0.0.1:${port}` });
    await writeFile(spool, rows(1, 100));
    const { shipment, run } = ship(wanted, sink(wanted));
    await until('a hundred lines', () => (lines().length === 100 ? true : undefined));
    await goAway();
    await appendFile(spool, rows(101, 200));
    await until('trouble', () => told.find(({ kind }) => kind === 'trouble'));
    await listen(port);
    await until('the rest', () => (lines().length >= 200 ? true : undefined));
    shipment.end();
    await run;
    expect([...new Set(lines().map((line) => line.split(' ').at(-1)))]).toEqual(numbers(1, 200));
  });

  it('counts what it has to give up while nobody takes it, and says so in its place', async () => {
    const port = await listen();
    await goAway();
    const options = { 'syslog-address': `tcp://127.0.0.1:${port}`, 'cache-max-file': '2' };
    const wanted = job('syslog', options);
    await writeFile(`${spool}.1`, rows(1, 100));
    await writeFile(`${spool}.2`, rows(101, 250));
    await writeFile(`${spool}.3`, rows(251, 300));
    await writeFile(spool, rows(301, 302));
    const { shipment, run } = ship(wanted, sink(wanted));
    const dropped = await until('lines to be given up', () =>
      told.find((message) => message.kind === 'dropped'),
    );
    expect(dropped).toMatchObject({ lines: 250 });
    await until('their files to go', async () =>
      (await logFiles(spool))[0]?.generation === 3 ? true : undefined,
    );
    await listen(port);
    shipment.end();
    await run;
    expect(lines()[0]).toContain('swarmd: 250 lines of this container were dropped here');
    expect(lines().slice(1).length).toBe(52);
  });
});

describe('datagrams of this machine', () => {
  /** A receiver of datagrams, which Node has not. */
  const RECEIVE = `use Socket; $| = 1; socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die;
bind($s, pack_sockaddr_un($ARGV[0])) or die "$!"; print "ready\\n";
while (defined(recv($s, my $d, 70000, 0))) { print unpack("H*", $d), "\\n" }`;

  async function receiver(path: string) {
    const child = spawn('/usr/bin/perl', ['-e', RECEIVE, path], { stdio: ['ignore', 'pipe', 2] });
    let text = '';
    child.stdout?.on('data', (data: Buffer) => (text += data.toString()));
    await until('the receiver', () => (text.includes('ready') ? true : undefined));
    return {
      datagrams: () =>
        text
          .split('\n')
          .slice(1, -1)
          .map((line) => Buffer.from(line, 'hex').toString()),
      [Symbol.dispose]: () => void child.kill('SIGKILL'),
    };
  }

  const line = { isError: true, timestamp: 1_795_267_279_123.5, text: Buffer.from('a\tline') };

  it('takes syslog messages', async () => {
    const path = join(folder, 'sock');
    const target = logPlan('syslog', { 'syslog-address': `unix://${path}` }).syslog;
    if (target === undefined) throw new Error('no target');
    await using sink = new SyslogSink({ target, tag: 'web', hostname: 'n1', pid: 7 }, systemClock);
    const { signal } = new AbortController();
    await expect(sink.write([line], signal)).rejects.toThrow(path);
    using there = await receiver(path);
    await sink.write([line, line], signal);
    await until('two', () => (there.datagrams().length === 2 ? true : undefined));
    expect(there.datagrams()[0]).toMatch(/^<27>Nov 21 .* web\[7\]: a\tline$/);
  });

  it('gives the journal its fields', async () => {
    const path = join(folder, 'journal');
    using there = await receiver(path);
    const attributes = { tag: 'web', 'com.example.team': 'blue' };
    await using sink = new JournaldSink(job('journald', {}, attributes), systemClock, path);
    await sink.write([line], new AbortController().signal);
    const [datagram = ''] = await until('one', () =>
      there.datagrams().length === 1 ? there.datagrams() : undefined,
    );
    const fields: Record<string, string> = {};
    for (let at = 0; at < datagram.length;) {
      const end = datagram.indexOf('\n', at);
      const length = Buffer.from(datagram.slice(end + 1, end + 9)).readUInt8(0);
      fields[datagram.slice(at, end)] = datagram.slice(end + 9, end + 9 + length);
      at = end + 9 + length + 1;
    }
    expect(fields).toEqual({
      PRIORITY: '3',
      SYSLOG_TIMESTAMP: '2026-11-21T13:21:19.123500Z',
      CONTAINER_ID: 'abcdefghijkl',
      CONTAINER_ID_FULL: 'abcdefghijklmnop',
      CONTAINER_NAME: 'web.1.abc',
      CONTAINER_TAG: 'web',
      IMAGE_NAME: 'busybox',
      SYSLOG_IDENTIFIER: 'web',
      COM_EXAMPLE_TEAM: 'blue',
      MESSAGE: 'a\tline',
    });
  });
});
