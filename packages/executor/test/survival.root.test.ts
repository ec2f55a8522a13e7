/** The daemon may be killed at any point; containers go on, their ends are known, nothing leaks. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  access,
  appendFile,
  copyFile,
  mkdir,
  open,
  readFile,
  readdir,
  rename,
  rm,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { sleep } from '@swarmd/base';
import { run, systemClock } from '@swarmd/base/system';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { ContainerRequest } from '../src/index.ts';
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
const signal = (): AbortSignal => AbortSignal.timeout(25_000);

it.skipIf(isInside)(
  'runs in a mount namespace of its own',
  { timeout: INSIDE_TIMEOUT_MS },
  async () => expect(await failuresInside(import.meta.url)).toBe(''),
);

describe.runIf(isInside)('survival', () => {
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

  const begin = async (requests: readonly ContainerRequest[]) => {
    const { logger: _logger, clock: _clock, ...options } = machine.executorOptions();
    const input: LifeInput = { options, requests };
    const life = spawn(process.execPath, [LIFE, JSON.stringify(input)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    lives.push(life);
    await once(life.stdout, 'data');
    return life;
  };
  const kill = async (life: ChildProcess): Promise<void> => {
    const ended = once(life, 'exit');
    life.kill('SIGKILL');
    await ended;
  };
  const sh = (id: string, script: string): ContainerRequest =>
    machine.request(id, { command: ['/bin/sh', '-c', script] });
  const until = async (condition: () => Promise<boolean>): Promise<void> => {
    const deadline = signal();
    while (!(await condition())) await sleep(systemClock, 10, deadline);
  };
  const recordOf = async (
    id: string,
  ): Promise<{ monitor: { pid: number }; process: { pid: number } }> =>
    JSON.parse(await readFile(join(machine.stateDir, 'containers', id, 'record.json'), 'utf8'));
  const isFile = (path: string): Promise<boolean> =>
    access(path).then(
      () => true,
      () => false,
    );

  it('lets containers run on when the executor is killed, and learns how they ended', async () => {
    const go = join(machine.folder, 'go');
    const bind = mountOf({ kind: 'bind', source: machine.folder, target: '/go', readOnly: true });
    const waits = (id: string, script: string): ContainerRequest =>
      machine.request(id, { command: ['/bin/sh', '-c', script], mounts: [bind] });
    const life = await begin([
      waits('gone', 'while ! [ -e /go/go ]; do usleep 5000; done; echo last words; exit 12'),
      waits(
        'live',
        'echo first; while ! [ -e /go/later ]; do usleep 5000; done; echo second; exit 11',
      ),
    ]);
    await kill(life);
    await writeFile(go, '');
    await until(() => isFile(join(machine.runDir, 'exits', 'gone')));

    const executor = await machine.executor();
    expect(Object.fromEntries(await executor.restore(signal()))).toEqual({
      gone: 'exited',
      live: 'running',
    });
    expect(await executor.wait('gone', signal())).toEqual({
      code: 12,
      oomKilled: false,
      error: '',
    });
    const waiting = executor.wait('live', signal());
    await writeFile(join(machine.folder, 'later'), '');
    expect(await waiting).toEqual({ code: 11, oomKilled: false, error: '' });
    const lines = await Array.fromAsync(linesOf(executor.logs('live', { follow: true }, signal())));
    expect(lines.map(text)).toEqual(['first', 'second']);
    for (const id of ['gone', 'live']) await executor.remove(id, signal());
    expect(await machine.leftInTheEnd()).toEqual([]);
  });

  it('kills a container whose monitor is lost, while watching and while not', async () => {
    const life = await begin([sh('unwatched', 'exec sleep 1000')]);
    await kill(life);
    const { monitor } = await recordOf('unwatched');
    process.kill(monitor.pid, 'SIGKILL');
    await until(async () => !(await isFile(`/proc/${monitor.pid}/fd/0`)));
    const executor = await machine.executor();
    const lost = { code: 137, oomKilled: false, error: expect.stringContaining('monitor') };
    expect((await executor.restore(signal())).get('unwatched')).toBe('exited');
    expect(await executor.wait('unwatched', signal())).toEqual(lost);

    await executor.prepare(sh('watched', 'exec sleep 1000'), signal());
    await executor.start('watched', signal());
    process.kill((await recordOf('watched')).monitor.pid, 'SIGKILL');
    expect(await executor.wait('watched', signal())).toEqual(lost);
    for (const id of ['unwatched', 'watched']) await executor.remove(id, signal());
    expect(await machine.leftInTheEnd()).toEqual([]);
  });

  it('begins clean after a power loss, with files that were half written', async () => {
    const driverOptions = { type: 'tmpfs', device: 'tmpfs' };
    const volume = { kind: 'volume', target: '/v', source: 'mounted', driverOptions } as const;
    const says = ['/bin/sh', '-c', 'echo said; exec sleep 1000'];
    const requests = ['whole', 'half', 'empty'].map((id) =>
      machine.request(id, { command: says, mounts: [mountOf(volume)] }),
    );
    await kill(await begin(requests));
    const log = join(machine.stateDir, 'logs/whole/log');
    await until(async () => (await readFile(log, 'utf8')).includes('said'));
    await machine.losePower();
    await damage(machine.stateDir);

    const executor = await machine.executor();
    expect(Object.fromEntries(await executor.restore(signal()))).toEqual({ whole: 'exited' });
    expect(await executor.wait('whole', signal())).toMatchObject({
      code: 137,
      error: 'the machine was restarted',
    });
    const lines = await Array.fromAsync(
      linesOf(executor.logs('whole', { follow: false }, signal())),
    );
    expect(lines.map(text)).toEqual(['said']);
    expect(await executor.volumes.list()).toMatchObject([
      { name: 'mounted', options: driverOptions, used: true },
    ]);
    await executor.remove('whole', signal());
    expect(await machine.leftInTheEnd()).toEqual([]);
    // What the disk may not have of its layers is fetched again.
    await executor.pull(machine.image, signal());
    await executor.prepare(sh('again', 'exit 5'), signal());
    await executor.start('again', signal());
    expect(await executor.wait('again', signal())).toMatchObject({ code: 5, error: '' });
    await executor.remove('again', signal());
    expect(await machine.leftInTheEnd()).toEqual([]);
    expect((await run('find', [machine.stateDir, '-name', '*.tmp*'])).stdout).toBe('');
    expect(await readdir(join(machine.stateDir, 'volumes'))).toEqual(['mounted']);
    expect(await readdir(join(machine.stateDir, 'l'))).toHaveLength(1);
  });

  it('runs its runtime from a mount that cannot be written, after an upgrade from its own place', async () => {
    const runtimePath = join(machine.folder, 'crun');
    await copyFile('/usr/bin/crun', runtimePath);
    const executor = await machine.executor({ runtimePath });
    const runtimeOf = async (id: string): Promise<string> => {
      await executor.prepare(sh(id, 'exec sleep 1000'), signal());
      const words = await readFile(`/proc/${(await recordOf(id)).monitor.pid}/cmdline`, 'utf8');
      return words.split('\0')[words.split('\0').indexOf('--runtime') + 1] ?? '';
    };
    const pinned = await runtimeOf('before');
    expect(pinned).not.toBe(runtimePath);
    await expect(open(pinned, 'r+')).rejects.toThrow(/EROFS|ETXTBSY/);
    await copyFile('/usr/bin/crun', `${runtimePath}.new`);
    await rename(`${runtimePath}.new`, runtimePath);
    expect(await runtimeOf('after')).toBe(runtimePath);
    for (const id of ['before', 'after']) await executor.remove(id, signal());
    await executor[Symbol.asyncDispose]();
    expect((await readFile('/proc/self/mountinfo', 'utf8')).includes(machine.folder)).toBe(false);
  });

  it('removes what has no record', async () => {
    await kill(await begin([sh('lost', 'exec sleep 1000')]));
    await rm(join(machine.stateDir, 'containers', 'lost', 'record.json'));
    const executor = await machine.executor();
    expect((await executor.restore(signal())).size).toBe(0);
    expect(await machine.leftInTheEnd()).toEqual([]);
  });
});

/** What a disk may have after a power loss: older, shorter, and half of what was being written. */
async function damage(stateDir: string): Promise<void> {
  const record = (id: string): string => join(stateDir, 'containers', id, 'record.json');
  await truncate(record('half'), 100);
  await truncate(record('empty'), 0);
  for (const path of [record('whole'), join(stateDir, 'images/index.json')]) {
    const text = await readFile(path, 'utf8');
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    await writeFile(path, text.replaceAll(boot, 'an earlier boot'));
  }
  await appendFile(join(stateDir, 'logs/whole/log'), '2026-01-01T00:00:00.0');
  for (const name of ['volumes/.new-x', 'volumes/.gone-y/_data', 'volumes/z', 'l/.tmp-1-1']) {
    await mkdir(join(stateDir, name), { recursive: true });
  }
  const halves = ['images/index.json.tmp', 'images/blobs/sha256/abc.tmp', 'volumes/.new-x/f'];
  for (const name of halves) await writeFile(join(stateDir, name), '{"half');
}
