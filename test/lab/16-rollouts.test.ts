/** Rollouts with real containers: canary steps, versions of secrets and configs, address exhaustion. */
import type { Secret } from '@swarmd/model';
import { afterAll, describe, expect, it } from 'vitest';

import {
  BUSYBOX,
  ctl,
  hostOf,
  inTask,
  lab,
  leader,
  ok,
  remove,
  running,
  service,
  sh,
  until,
  untilRunning,
} from './support.ts';

const SLEEP = ['sleep', '100000'];
/** Stops at once, so that the suite need not wait for grace periods. */
const QUICK =
  '--stop-signal SIGKILL --restart-delay 0 --update-monitor 0 --rollback-monitor 0 --rollback-parallelism 0'.split(
    ' ',
  );

async function create(name: string, ...flags: string[]): Promise<void> {
  await ok('service', 'create', '--name', name, ...QUICK, ...flags, BUSYBOX, ...SLEEP);
}

/** What a shell line prints in each running task, by slot. */
async function inEach(name: string, line: string): Promise<string[]> {
  const tasks = (await running(name)).toSorted((a, b) => a.slot - b.slot);
  return Promise.all(tasks.map((task) => inTask(task, line)));
}

const VERSION = `tr '\\0' '\\n' < /proc/1/environ | sed -n 's/^V=//p'`;

describe('a canary', () => {
  afterAll(() => remove('canary'));

  it('waits for a word, also under the next leader, then for its health, then goes all the way', async () => {
    await create('canary', '--replicas', '4', '--env', 'V=1');
    const steps = ['--update-canary', '25%:approve,2:health=2s', '--update-parallelism', '0'];
    const { code, stderr } = await ctl(
      'm1',
      'service',
      'update',
      ...steps,
      '--env-add',
      'V=2',
      'canary',
    );
    expect([code, stderr]).toEqual([0, expect.stringContaining('waits for approval')]);
    expect((await inEach('canary', VERSION)).toSorted()).toEqual(['1', '1', '1', '2']);
    const { updateStatus } = await service('canary');
    expect(updateStatus).toMatchObject({ state: 'updating', canary: { passed: 0 } });
    expect(await ok('explain', 'service', 'canary')).toContain(
      'step 1 of 2: 1 of 4 tasks runs the new spec; waits for approval',
    );

    const led = await leader();
    // Its containers run on: only who decides changes.
    await lab.crash(led);
    const asking = ['m1', 'm2', 'm3'].find((name) => name !== led) ?? 'm1';
    await until('another leader', async () => ((await leader(asking)) === led ? undefined : true));
    const stands = await ctl(asking, 'service', 'inspect', 'canary');
    expect((JSON.parse(stands.stdout) as [{ updateStatus: unknown }])[0].updateStatus).toEqual(
      updateStatus,
    );

    const word = await ctl(asking, 'service', 'update', '--continue', '--detach', 'canary');
    expect(word.code, word.stderr).toBe(0);
    await lab.heal(led);
    await lab.cluster.allReady(lab.host(asking));
    await until('the update to be complete', async () =>
      (await service('canary')).updateStatus?.state === 'completed' ? true : undefined,
    );
    await untilRunning('canary', 4);
    expect(await inEach('canary', VERSION)).toEqual(['2', '2', '2', '2']);
    const again = await ctl('m1', 'service', 'update', '--continue', 'canary');
    expect([again.code, again.stderr]).toEqual([
      5,
      expect.stringContaining('waits for no approval'),
    ]);
  });
});

describe('a secret and a config', () => {
  afterAll(async () => {
    await remove('reader');
    await ctl('m1', 'config', 'rm', 'conf');
    await ctl('m1', 'secret', 'rm', 'key');
  });

  const secret = 'cat /run/secrets/key';
  const write = (line: string): Promise<string> => sh(lab.host('m1'), line);

  /** Hosts that have the content of this version. */
  async function holders(id: string): Promise<string[]> {
    const found = await Promise.all(
      lab.nodes.map(async ({ name }) => {
        const line = `grep -c ${id} /run/swarmd/agent/secrets.json || true`;
        return Number(await sh(lab.host(name), line)) > 0 ? [name] : [];
      }),
    );
    return found.flat().toSorted();
  }

  it('are expanded, updated by version, rolled back, and given only to nodes that run a user', async () => {
    await write('printf one | swarmctl secret create key -');
    const template = '{{.Service.Name}}.{{.Task.Slot}} has {{secret "key"}}';
    await write(`printf '${template}' | swarmctl config create --template-driver golang conf -`);
    const files = ['--secret', 'key', '--config', 'conf:/etc/conf', '--update-parallelism', '0'];
    await create('reader', '--replicas', '2', ...files);
    expect(await inEach('reader', secret)).toEqual(['one', 'one']);
    expect(await inEach('reader', 'cat /etc/conf')).toEqual([
      'reader.1 has one',
      'reader.2 has one',
    ]);

    const second = await write('printf two | swarmctl secret update --quiet key -');
    expect(await inEach('reader', secret)).toEqual(['two', 'two']);
    expect(await inEach('reader', 'cat /etc/conf')).toEqual([
      'reader.1 has two',
      'reader.2 has two',
    ]);
    const where = await Promise.all((await running('reader')).map(hostOf));
    await until('only nodes of its users to have the new version', async () =>
      JSON.stringify(await holders(second)) ===
      JSON.stringify([...new Set(where.map(({ name }) => name))].toSorted())
        ? true
        : undefined,
    );

    await ok('service', 'rollback', '--quiet', 'reader');
    expect(await inEach('reader', secret)).toEqual(['one', 'one']);
    await until('no node to have the new version', async () =>
      (await holders(second)).length === 0 ? true : undefined,
    );
    const [shown] = JSON.parse(await ok('secret', 'inspect', 'key')) as [
      Secret & { versions: { number: number; services: string[] }[] },
    ];
    expect(shown.versions.map(({ number, services }) => [number, services])).toEqual([
      [2, []],
      [1, ['reader']],
    ]);
    await write(`printf '{{.Task.Slot}}' | swarmctl config update --quiet conf -`);
    expect(await inEach('reader', 'cat /etc/conf')).toEqual(['1', '2']);
  });
});

describe('a network without addresses', () => {
  afterAll(async () => {
    await remove('many');
    await ctl('m1', 'network', 'rm', 'tiny');
  });

  it('is named by the tasks that wait for one, and they start when it has more', async () => {
    await ok('network', 'create', '--subnet', '10.201.7.0/29', 'tiny');
    await create(
      'many',
      '--detach',
      '--replicas',
      '7',
      '--network',
      'tiny',
      '--endpoint-mode',
      'dnsrr',
    );
    await untilRunning('many', 5);
    const said = await ok('explain', 'service', 'many');
    expect(
      said.match(/^ {2}many\.\d .*: pending: it waits for .*: .*no free address.*tiny/gm),
    ).toHaveLength(2);
    expect(await ok('service', 'ps', '--no-trunc', 'many')).toMatch(/Pending.*no free address/);
    await ok('network', 'update', '--subnet-add', '10.201.8.0/29', 'tiny');
    await untilRunning('many', 7);
  });
});
