/** Log drivers on real containers: no line is lost or repeated when we are killed, and nobody waits for a log. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { sleep } from '@swarmd/base';
import { run, systemClock } from '@swarmd/base/system';
import type { LogSpec } from '@swarmd/model';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { ContainerRequest } from '../src/index.ts';
import { logFiles } from '../src/logs/log-files.ts';
import { jsonFileFormat } from '../src/logs/shipper/file-formats.ts';
import { FileSink } from '../src/logs/shipper/file-sink.ts';
import { linesOf, text } from './conformance-logs.ts';
import { mountOf } from './fixtures/container-runner.ts';
import type { LifeInput } from './fixtures/life.ts';
import {
  failuresInside,
  INSIDE_TIMEOUT_MS,
  isInside,
  PrivateMachine,
} from './fixtures/private-machine.ts';

const LIFE = fileURLToPath(new URL('./fixtures/life.ts', import.meta.url));
const signal = (): AbortSignal => AbortSignal.timeout(50_000);
const LIVES = 3;
const LINES = 30_000;
/** A thousand lines at a time. */
const COUNT = `i=1; while [ $i -le ${LINES} ]; do seq $i $((i+999)); i=$((i+1000)); usleep 20000; done`;

it.skipIf(isInside)(
  'runs in a mount namespace of its own',
  { timeout: INSIDE_TIMEOUT_MS },
  async () => expect(await failuresInside(import.meta.url)).toBe(''),
);

describe.runIf(isInside)('log drivers', () => {
  let machine: PrivateMachine;
  const lives: ChildProcess[] = [];
  beforeEach(async () => {
    machine = await PrivateMachine.make();
    await using executor = await machine.executor();
    await executor.pull(machine.image, signal());
  });
  afterEach(async () => {
    for (const life of lives.splice(0)) life.kill('SIGKILL');
    await machine[Symbol.asyncDispose]();
  });

  const request = (id: string, script: string, log: LogSpec): ContainerRequest =>
    machine.request(id, { command: ['/bin/sh', '-c', script], log, labels: { team: 'blue' } });

  /** One life of the daemon: begins, or takes over, the containers. */
  async function begin(requests: readonly ContainerRequest[]): Promise<ChildProcess> {
    const { logger: _logger, clock: _clock, ...options } = machine.executorOptions();
    const input: LifeInput = { options, requests };
    const life = spawn(process.execPath, [LIFE, JSON.stringify(input)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    lives.push(life);
    await once(life.stdout, 'data');
    return life;
  }

  it('lose and repeat no line when the daemon is killed again and again', async () => {
    const options = { 'max-size': '32k', 'max-file': '90' };
    const requests = [
      request('local', COUNT, { driver: 'local', options }),
      request('json', COUNT, { driver: 'json-file', options: { ...options, labels: 'team' } }),
    ];
    for (let life = 0; life < LIVES; life += 1) {
      const daemon = await begin(requests);
      await sleep(systemClock, 60 * life, signal());
      daemon.kill('SIGKILL');
      await once(daemon, 'exit');
    }
    await using executor = await machine.executor();
    await executor.restore(signal());
    for (const { id } of requests) {
      const lines = await Array.fromAsync(linesOf(executor.logs(id, { follow: true }, signal())));
      const wrong = lines.findIndex((line, index) => text(line) !== String(index + 1));
      expect([id, lines.length, wrong]).toEqual([id, LINES, -1]);
    }
    const folder = join(machine.stateDir, 'logs', 'json');
    const names = await readdir(folder);
    expect(names.filter((name) => /^json-json\.log\.\d+$/.test(name)).length).toBeGreaterThan(3);
    const [first = ''] = (await readFile(join(folder, 'json-json.log.1'), 'utf8')).split('\n');
    expect(JSON.parse(first)).toEqual({
      log: '1\n',
      stream: 'stdout',
      attrs: { team: 'blue' },
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z$/) as string,
    });
    for (const { id } of requests) await executor.remove(id, signal());
  });

  it('keep no container waiting: what a log server cannot take is bounded and counted', async () => {
    const nobody = createServer();
    nobody.listen(0, '127.0.0.1');
    await once(nobody, 'listening');
    const { port } = nobody.address() as { port: number };
    nobody.close();
    const warnings: object[] = [];
    const logger = { ...machine.executorOptions().logger, warn: (it: object) => warnings.push(it) };
    await using executor = await machine.executor({ logger });
    // Until lines had to be given up: it would hang here if anybody waited for the server.
    const flood = 'while ! [ -e /machine/go ]; do seq 1 20000; usleep 10000; done';
    const cache = { 'cache-max-size': '256k', 'cache-max-file': '2' };
    const address = { 'syslog-address': `tcp://127.0.0.1:${port}` };
    const log = { driver: 'syslog', options: { ...cache, ...address } } as const;
    const { folder } = machine;
    const bind = mountOf({ kind: 'bind', source: folder, target: '/machine', readOnly: true });
    const command = ['/bin/sh', '-c', flood];
    await executor.prepare(machine.request('flood', { command, log, mounts: [bind] }), signal());
    await executor.start('flood', signal());
    const deadline = signal();
    while (!warnings.some((warning) => 'lines' in warning)) await sleep(systemClock, 10, deadline);
    await writeFile(join(folder, 'go'), '');
    expect((await executor.wait('flood', signal())).code).toBe(0);
    const names = await readdir(join(machine.stateDir, 'logs', 'flood'));
    // The newest, and what may be there before somebody counts it.
    expect(names.filter((name) => name.startsWith('log')).length).toBeLessThanOrEqual(6);
    const last = await Array.fromAsync(
      linesOf(executor.logs('flood', { follow: false, tail: 1 }, signal())),
    );
    expect(last.map(text)).toEqual(['20000']);
    await executor.remove('flood', signal());
  });

  it('lose and repeat nothing when the disk is full and then has room again', async () => {
    const target = join(machine.folder, 'small');
    await mkdir(target);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', target]);
    try {
      const bounds = { maxBytes: 20_000, kept: 9, isCompressed: false };
      const onTrouble = (error: unknown): never => {
        throw error;
      };
      const options = { bounds, format: jsonFileFormat({}), place: undefined, onTrouble };
      const path = join(target, 'x.log');
      await using sink = await FileSink.open(path, options);
      const lines = Array.from({ length: 600 }, (_, index) => ({
        isError: false,
        timestamp: 1_795_267_279_123,
        text: Buffer.from(`line ${index} ${'.'.repeat(100)}`),
      }));
      let taken = 0;
      const takeAll = async (): Promise<void> => {
        while (taken < lines.length) taken += await sink.write(lines.slice(taken));
      };
      await writeFile(join(target, 'filler'), Buffer.alloc(30_000));
      await expect(takeAll()).rejects.toThrow(/ENOSPC/);
      await expect(takeAll()).rejects.toThrow(/ENOSPC/);
      await rm(join(target, 'filler'));
      await run('mount', ['-o', 'remount,size=256k', target]);
      await takeAll();
      const files = await logFiles(path);
      const texts = await Promise.all(files.map((file) => readFile(file.path, 'utf8')));
      const found = texts.join('').trimEnd().split('\n');
      const logs = found.map((row) => (JSON.parse(row) as { log: string }).log.trimEnd());
      expect(logs).toEqual(lines.map((line) => line.text.toString()));
    } finally {
      await run('umount', [target]);
    }
  });

  it('say of what they do not keep that it cannot be read', async () => {
    await using executor = await machine.executor();
    const read = (id: string): Promise<unknown> =>
      Array.fromAsync(executor.logs(id, { follow: true }, signal()));
    const options = { 'syslog-address': 'udp://127.0.0.1:9', 'cache-disabled': 'true' };
    for (const [id, log] of [
      ['none', { driver: 'none', options: {} }],
      ['syslog', { driver: 'syslog', options }],
    ] as const) {
      await executor.prepare(request(id, 'echo x', log), signal());
      await executor.start(id, signal());
      await expect(read(id)).rejects.toMatchObject({
        code: 'failed-precondition',
        message: expect.stringContaining(`log driver is "${id}"`) as string,
      });
      await executor.wait(id, signal());
      await executor.remove(id, signal());
    }
  });
});
