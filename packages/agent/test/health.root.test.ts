/** Health checks in real containers: what they see, what they gate, what they leave behind. */
import { silentLogger } from '@swarmd/base';
import { SeededRandom } from '@swarmd/base/testing';
import { systemClock } from '@swarmd/base/system';
import type { Executor } from '@swarmd/executor';
import type { HealthcheckSpec, Task, TaskState } from '@swarmd/model';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import { signal, until } from '../../executor/test/fixtures/container-runner.ts';
import {
  failuresInside,
  INSIDE_TIMEOUT_MS,
  isInside,
  PrivateMachine,
} from '../../executor/test/fixtures/private-machine.ts';
import { busyboxLayer } from '../../executor/test/fixtures/registry.ts';
import { TaskRunner } from '../src/task/runner.ts';
import { TestPlane } from './support/machine.ts';
import { aTask } from './support/tasks.ts';

it.skipIf(isInside)(
  'runs in a mount namespace of its own',
  { timeout: INSIDE_TIMEOUT_MS },
  async () => expect(await failuresInside(import.meta.url)).toBe(''),
);

/** Half a minute of grace that no test waits for: the checks of a start come every 50 ms. */
const QUICK: Omit<HealthcheckSpec, 'test'> = {
  intervalMs: 50,
  timeoutMs: 10_000,
  retries: 2,
  startPeriodMs: 30_000,
  startIntervalMs: 50,
};
const WELL = ['CMD-SHELL', 'echo "as $(id -u)"; test -f /well'];
const NS_PER_MS = 1e6;

describe.runIf(isInside)('the health of a container', () => {
  let machine: PrivateMachine;
  let executor: Executor;
  const runners: TaskRunner[] = [];
  beforeAll(async () => {
    machine = await PrivateMachine.make();
    machine.registry.putImage('checked:1', [busyboxLayer()], {
      config: {
        Cmd: ['/bin/sh', '-c', 'exec sleep 1000'],
        User: '12:34',
        Healthcheck: {
          Test: ['CMD-SHELL', 'echo "as $(id -u)"; test -f /tmp/well'],
          Interval: 50 * NS_PER_MS,
          Timeout: 10_000 * NS_PER_MS,
          StartPeriod: 30_000 * NS_PER_MS,
          StartInterval: 50 * NS_PER_MS,
          Retries: 2,
        },
      },
    });
    executor = await machine.executor();
  });
  afterEach(async () => {
    for (const runner of runners.splice(0)) {
      await runner[Symbol.asyncDispose]();
      await executor.remove(runner.life.task.id, signal());
    }
  });
  afterAll(async () => {
    await machine?.[Symbol.asyncDispose]();
  });

  /** A runner of the task; of an earlier life's container when there is one. */
  async function run(task: Task): Promise<TaskRunner> {
    const plane = new TestPlane();
    const attachment = {
      namespace: `/run/netns/${machine.name}`,
      addresses: [],
      resolver: { nameservers: [], search: [], options: [] },
    };
    plane.attach = () => Promise.resolve(attachment);
    const runner = new TaskRunner(task, task.status, {
      executor,
      plane,
      networks: {
        ready: () => Promise.resolve(),
        newest: () => 0,
        reached: () => Promise.resolve(),
      },
      assignment: () => ({ tasks: [task], secrets: [], configs: [] }),
      slot: (_signal, fn) => fn(),
      describe: () => ({ hostname: 'host1', platform: { os: 'linux', architecture: 'amd64' } }),
      clock: systemClock,
      random: new SeededRandom(1),
      logger: silentLogger,
      onStatus: () => undefined,
      onForgotten: () => undefined,
    });
    runners.push(runner);
    runner.found((await executor.restore(signal())).get(task.id) ?? 'absent');
    return runner;
  }

  const taskOf = (id: string, healthcheck?: Partial<HealthcheckSpec>, image = 'busybox:1'): Task =>
    aTask({
      id,
      container: {
        image: `${machine.registry.host}/${image}`,
        stopSignal: 'SIGKILL',
        ...(image === 'busybox:1' ? { command: ['/bin/sh', '-c', 'exec sleep 1000'] } : {}),
        ...(healthcheck === undefined ? {} : { healthcheck: { ...QUICK, ...healthcheck } }),
      },
    });

  const reaches = (runner: TaskRunner, state: TaskState): Promise<void> =>
    until(async () => Promise.resolve(runner.life.status.state === state));

  const checked = (runner: TaskRunner, times: number): Promise<void> =>
    until(async () => Promise.resolve((runner.health?.results.length ?? 0) >= times));

  async function inside(id: string, line: string): Promise<void> {
    const argv = ['/bin/sh', '-c', line];
    expect(await executor.exec(id, { argv, timeoutMs: 20_000 }, signal())).toMatchObject({
      code: 0,
    });
  }

  it.each([
    { by: 'spec', check: { test: WELL }, image: 'busybox:1', file: '/well', said: 'as 0' },
    { by: 'image', check: undefined, image: 'checked:1', file: '/tmp/well', said: 'as 12' },
  ])(
    'is judged by the check of the $by: before, while and after it is well',
    async ({ by: id, check, image, file, said }) => {
      const runner = await run(taskOf(id, check, image));
      await checked(runner, 3);
      expect(runner.life.status.state).toBe('starting');
      expect(runner.health).toMatchObject({ state: 'starting', failingStreak: 0 });
      expect(runner.health?.results[0]).toMatchObject({ exitCode: 1, output: said });

      await inside(id, `mkdir -p /tmp; touch ${file}`);
      await reaches(runner, 'running');
      expect(runner.health?.state).toBe('healthy');

      await inside(id, `rm ${file}`);
      await reaches(runner, 'failed');
      expect(runner.life.status.error).toBe(
        `unhealthy: 2 checks failed in a row, the last one: exit code 1: ${said}`,
      );
      await until(async () => (await executor.restore(signal())).get(id) === 'exited');
    },
  );

  it('is not asked when the service says so, whatever the image says', async () => {
    const runner = await run(taskOf('unasked', { test: ['NONE'] }, 'checked:1'));
    await reaches(runner, 'running');
    expect(runner.health).toBeUndefined();
  });

  it('suffers from a check that hangs, which is ended with all it started', async () => {
    const test = ['CMD-SHELL', 'sleep 900 & exec sleep 900'];
    const check = { test, timeoutMs: 300, retries: 2, startPeriodMs: 30_000 };
    const runner = await run(taskOf('hanging', check));
    await checked(runner, 2);
    expect(runner.health?.results[0]).toMatchObject({
      exitCode: -1,
      output: 'no result within 300 ms',
    });
    expect(runner.life.status.state).toBe('starting');
    await runner[Symbol.asyncDispose]();
    await until(async () => (await executor.workbench.top('hanging')).length === 1);
  });

  it('says so when there is no such program', async () => {
    const runner = await run(taskOf('typo', { test: ['CMD', '/no/such'], startPeriodMs: 0 }));
    await reaches(runner, 'failed');
    expect(runner.life.status.error).toContain('/no/such');
  });

  it('is not asked while the container is paused, nor forgotten by a new life of the agent', async () => {
    const task = taskOf('paused', { test: WELL });
    const first = await run(task);
    await checked(first, 1);
    await inside('paused', 'touch /well');
    await reaches(first, 'running');
    await first[Symbol.asyncDispose]();

    await inside('paused', 'rm /well');
    await executor.workbench.pause('paused');
    const looks = vi.spyOn(executor.workbench, 'isPaused');
    const second = await run({ ...task, status: first.life.status });
    expect(second.life.status.state).toBe('running');
    await until(async () => Promise.resolve(looks.mock.calls.length >= 3));
    expect(second.health).toEqual({ state: 'healthy', failingStreak: 0, results: [] });
    const unpausedAt = systemClock.now();
    await executor.workbench.unpause('paused');
    await reaches(second, 'failed');
    expect(second.life.status.error).toMatch(/^unhealthy: 2 checks/);
    const [asked] = second.health?.results ?? [];
    expect(asked?.startedAt).toBeGreaterThanOrEqual(unpausedAt);
  });
});
