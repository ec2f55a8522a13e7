/** The daemon may be killed at any point; containers go on, their ends are known, nothing leaks. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { access, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { sleep } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';
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

  const begin = async (mode: LifeInput['mode'], requests: readonly ContainerRequest[]) => {
    const { logger: _logger, clock: _clock, ...options } = machine.executorOptions();
    const input: LifeInput = { options, requests, mode };
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
    const life = await begin('start', [
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
    expect(await machine.leftovers()).toEqual([]);
  });

  it('kills a container whose monitor is lost, while watching and while not', async () => {
    const life = await begin('start', [sh('unwatched', 'exec sleep 1000')]);
    await kill(life);
    process.kill((await recordOf('unwatched')).monitor.pid, 'SIGKILL');
    const executor = await machine.executor();
    const lost = { code: 137, oomKilled: false, error: expect.stringContaining('monitor') };
    expect((await executor.restore(signal())).get('unwatched')).toBe('exited');
    expect(await executor.wait('unwatched', signal())).toEqual(lost);

    await executor.prepare(sh('watched', 'exec sleep 1000'), signal());
    await executor.start('watched', signal());
    process.kill((await recordOf('watched')).monitor.pid, 'SIGKILL');
    expect(await executor.wait('watched', signal())).toEqual(lost);
    for (const id of ['unwatched', 'watched']) await executor.remove(id, signal());
    expect(await machine.leftovers()).toEqual([]);
  });

  it('takes what a boot has ended as ended', async () => {
    await kill(await begin('start', [sh('old', 'exec sleep 1000')]));
    const path = join(machine.stateDir, 'containers', 'old', 'record.json');
    const record = JSON.parse(await readFile(path, 'utf8')) as object;
    await writeFile(path, JSON.stringify({ ...record, bootId: 'another boot' }));
    const executor = await machine.executor();
    expect((await executor.restore(signal())).get('old')).toBe('exited');
    expect(await executor.wait('old', signal())).toMatchObject({
      error: 'the machine was restarted',
    });
    await executor.remove('old', signal());
    expect(await machine.leftovers()).toEqual([]);
  });

  it('removes what has no record', async () => {
    await kill(await begin('start', [sh('lost', 'exec sleep 1000')]));
    await rm(join(machine.stateDir, 'containers', 'lost', 'record.json'));
    const executor = await machine.executor();
    expect((await executor.restore(signal())).size).toBe(0);
    expect(await machine.leftovers()).toEqual([]);
  });

  it('leaks nothing when it is killed between any two steps', { timeout: 120_000 }, async () => {
    const KILLS = 14;
    for (let round = 0; round < KILLS; round += 1) {
      const requests = ['a', 'b'].map((name) => sh(`${name}${round}`, 'exec sleep 1000'));
      const life = await begin('churn', requests);
      // Not a wait for something: the point is to strike at another moment each time.
      await sleep(systemClock, round * 11, signal());
      await kill(life);
      await using executor = await machine.executor();
      const found = await executor.restore(signal());
      for (const [id, phase] of found) {
        if (phase === 'created') await executor.start(id, signal());
        await executor.remove(id, signal());
      }
      expect(await machine.leftovers(), `killed ${round * 11} ms in`).toEqual([]);
    }
  });
});
