/**
 * The executor is killed at every step that changes the machine, one step a life; each next life finishes
 * what it finds. Steps are counted by `@swarmd/base/faults`, so new ones are covered by themselves. CI takes some
 * of them, others each day; SWARMD_LAB_LONG=1 takes all, SWARMD_FAULT_STEP=N or N-M some.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import {
  ALL_STEPS,
  chosenSteps,
  faultEnvironment,
  NEVER,
  type FaultPlan,
} from '@swarmd/base/faults';
import { run } from '@swarmd/base/system';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { Executor } from '../src/index.ts';
import { mountOf, sh, signal } from './fixtures/container-runner.ts';
import type { FaultLifeInput } from './fixtures/fault-life.ts';
import { said, SCENARIOS, STOP, WALK, type ScenarioInput } from './fixtures/fault-scenarios.ts';
import {
  failuresInside,
  INSIDE_TIMEOUT_MS,
  isInside,
  PrivateMachine,
} from './fixtures/private-machine.ts';
import { directory, file, tarOf } from './fixtures/tar-writer.ts';

const LIFE = fileURLToPath(new URL('./fixtures/fault-life.ts', import.meta.url));
/** Some 280 steps of seconds each, on a busy machine; the file's own is that of its tests together. */
const LONG_TIMEOUT_MS = 2_400_000;
const LONG_FILE_TIMEOUT_MS = 3 * LONG_TIMEOUT_MS;

it.skipIf(isInside)(
  'runs in a mount namespace of its own',
  { timeout: ALL_STEPS ? LONG_FILE_TIMEOUT_MS : INSIDE_TIMEOUT_MS },
  async () => expect(await failuresInside(import.meta.url)).toBe(''),
);

describe.runIf(isInside)('killed at every step', () => {
  let machine: PrivateMachine;
  let input: ScenarioInput;
  const alive = new Set<Executor & AsyncDisposable>();
  beforeEach(async () => {
    machine = await PrivateMachine.make();
    input = await scenarioInput(machine);
  });
  afterEach(async () => {
    for (const executor of alive) await executor[Symbol.asyncDispose]();
    alive.clear();
    await machine[Symbol.asyncDispose]();
  });

  const begin = async (): Promise<Executor & AsyncDisposable> => {
    const executor = await machine.executor();
    alive.add(executor);
    await executor.restore(signal());
    return executor;
  };
  const end = async (executor: Executor & AsyncDisposable): Promise<void> => {
    await executor[Symbol.asyncDispose]();
    alive.delete(executor);
  };

  /** @returns the steps until it was killed, or all when there are fewer. */
  async function live(
    scenario: keyof typeof SCENARIOS,
    fault: Omit<FaultPlan, 'journal'>,
  ): Promise<readonly string[]> {
    const { logger: _logger, clock: _clock, ...options } = machine.executorOptions();
    const life: FaultLifeInput = { ...input, options, scenario };
    const path = join(machine.folder, 'life.json');
    const plan: FaultPlan = { ...fault, journal: join(machine.folder, 'journal') };
    await writeFile(path, JSON.stringify(life));
    await writeFile(plan.journal, '');
    const child = spawn(process.execPath, [LIFE, path], {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: {
        ...process.env,
        ...faultEnvironment(plan),
        // Most of a life would go into reading the same sources again.
        NODE_COMPILE_CACHE: join(machine.folder, 'compiled'),
      },
    });
    const [code, killedBy] = (await once(child, 'exit')) as [number | null, string | null];
    const steps = (await readFile(plan.journal, 'utf8')).split('\n').filter(Boolean);
    const isThrough = code === 0 && steps.length < fault.step;
    const isKilled = killedBy === 'SIGKILL' && steps.length === fault.step;
    expect(isThrough || isKilled, `${scenario}: ${code ?? killedBy} after ${steps.at(-1)}`).toBe(
      true,
    );
    return steps;
  }

  /** Goes on through everything. @returns a look at it by another life of the executor. */
  async function beginWitness(): Promise<(executor: Executor) => Promise<void>> {
    const executor = await begin();
    await executor.pull(machine.image, signal());
    await executor.prepare(
      machine.request('witness', sh('echo seen; exec sleep 1000000')),
      signal(),
    );
    const { pid } = await executor.start('witness', signal());
    await saveArchive(executor, input);
    await end(executor);
    return async (executor) => {
      expect((await executor.restore(signal())).get('witness')).toBe('running');
      expect((await executor.start('witness', signal())).pid).toBe(pid);
      await access(`/proc/${pid}/root`);
      expect(await said(executor, 'witness')).toEqual(['seen']);
    };
  }

  /** Nobody wants what was begun any more: what can be seen is removed, nothing may be left unseen. */
  const abandon = async (executor: Executor): Promise<void> => {
    for (const id of (await executor.restore(signal())).keys()) {
      if (id !== 'witness') await executor.remove(id, signal());
    }
    for (const { name } of await executor.volumes.list()) await executor.volumes.remove(name);
    for (const { reference, used } of await executor.images.list()) {
      if (!used) await executor.images.remove(reference);
    }
  };

  it.each([
    { scenario: 'container', who: 'executor', some: 6 },
    { scenario: 'image', who: 'executor', some: 3 },
    { scenario: 'image', who: 'unpacker', some: 2 },
  ] as const)(
    'loses and leaks nothing of $scenario, step by step of the $who',
    { timeout: LONG_TIMEOUT_MS },
    async ({ scenario, who, some }) => {
      const checkWitness = await beginWitness();
      const { finish, end: wanted } = SCENARIOS[scenario];
      const next = async (what: string, isWanted: boolean): Promise<readonly string[]> => {
        const executor = await begin();
        await checkWitness(executor);
        const seen = isWanted ? await finish(executor, input) : await abandon(executor);
        expect.soft(seen, what).toEqual(isWanted ? wanted : undefined);
        await end(executor);
        await rm(input.go, { force: true });
        return everything(machine);
      };
      const steps = await live(scenario, { who, step: NEVER });
      let before = await next('whole', true);
      for (const [index, step] of chosenSteps(steps.length, some).entries()) {
        const [last = ''] = (await live(scenario, { who, step })).slice(-1);
        const what = `killed at step ${step} of ${steps.length}: ${last}`;
        const after = await next(what, index % 2 === 0);
        expect.soft(after, what).toEqual(before);
        before = after;
      }
    },
  );
});

async function scenarioInput(machine: PrivateMachine): Promise<ScenarioInput> {
  const layers = [
    tarOf([directory('etc'), file('etc/name', 'lower')]),
    tarOf([file('etc/name', 'upper')]),
  ];
  machine.registry.putImage('two:1', layers);
  const { folder } = machine;
  const volume = { kind: 'volume', readOnly: false } as const;
  const driverOptions = { type: 'tmpfs', device: 'tmpfs' };
  const mounts = [
    mountOf({ kind: 'bind', source: folder, target: '/go', readOnly: true }),
    mountOf({ ...volume, source: 'kept', target: '/etc' }),
    mountOf({ ...volume, source: 'mounted', target: '/mounted', driverOptions }),
    mountOf({ ...volume, source: '', target: '/anonymous' }),
    mountOf({ kind: 'tmpfs', target: '/scratch' }),
  ];
  const secret = { path: '/run/secret', data: Buffer.from('s'), uid: 1, gid: 1, mode: 0o400 };
  return {
    walker: machine.request('walker', { ...sh(WALK), mounts, init: true }, { files: [secret] }),
    stopper: machine.request('stopper', { ...sh(STOP), stopSignal: 'SIGTERM' }),
    volumes: ['kept', 'mounted'],
    go: join(folder, 'go'),
    image: `${machine.registry.host}/two:1`,
    copies: { tag: 'copy:1', imported: 'imported:1' },
    archive: join(folder, 'two.tar'),
  };
}

async function saveArchive(executor: Executor, { image, archive }: ScenarioInput): Promise<void> {
  await executor.pull(image, signal());
  await writeFile(archive, executor.images.save([image]));
  await executor.images.remove(image);
}

/** All that could have leaked: mounts, cgroups, processes, every file but those of layers. */
async function everything(machine: PrivateMachine): Promise<readonly string[]> {
  const files = await run('find', [
    machine.stateDir,
    machine.runDir,
    '-xdev',
    '-not',
    '-path',
    '*/l/*/*',
    '-not',
    '-path',
    '*/merged/*',
  ]);
  const seen = [...(await machine.leftovers()), ...files.stdout.split('\n')];
  // Blobs that were downloaded, in part or whole, wait for a day for whoever goes on with them.
  return seen.filter((path) => !/\/images\/(partial|blobs\/sha256)\/[^.]*$/.test(path)).toSorted();
}
