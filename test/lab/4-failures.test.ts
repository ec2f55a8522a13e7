/** Things that break: managers, workers, nodes taken out of service. Nothing acknowledged is lost. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  BUSYBOX,
  cluster,
  ctl,
  hostOf,
  lab,
  leader,
  ok,
  okOn,
  remove,
  running,
  until,
  untilRunning,
} from './support.ts';

const MANAGERS = ['m1', 'm2', 'm3'];

async function healAll(): Promise<void> {
  for (const host of lab.nodes) await lab.heal(host.name);
  await lab.cluster.allReady(lab.host('m1'));
}

beforeAll(async () => {
  await ok(
    'service',
    'create',
    '--name',
    'app',
    '--replicas',
    '4',
    '--restart-delay',
    '0',
    '--stop-signal', // PID 1 of a container ignores SIGTERM unless it says otherwise
    'SIGKILL',
    BUSYBOX,
    'sleep',
    '100000',
  );
});

afterAll(async () => {
  await healAll();
  const rows = JSON.parse(await ok('service', 'ls', '--format', 'json')) as {
    spec: { name: string };
  }[];
  await remove(...rows.map((row) => row.spec.name));
});

describe('kill -9 of any one manager', () => {
  it.each(MANAGERS)('%s: nothing acknowledged is lost, and the cluster goes on', async (victim) => {
    const asking = MANAGERS.find((name) => name !== victim) ?? 'm1';
    const acknowledged: string[] = [];
    // Writes go on while the daemon with its manager is killed; each that was acknowledged must be there later.
    const writer = (async () => {
      using client = cluster(asking);
      for (let n = 0; n < 30; n += 1) {
        const name = `${victim}-${n}`;
        try {
          await client.control.createConfig(
            { spec: { name, labels: {}, data: Buffer.from(name) } },
            { signal: AbortSignal.timeout(20_000), timeoutMs: 10_000 },
          );
          acknowledged.push(name);
        } catch {
          // not acknowledged: may or may not be there
        }
      }
    })();
    await until('first writes', () => (acknowledged.length >= 5 ? true : undefined));
    await killDaemonAndManager(victim);
    await writer;
    expect(acknowledged.length).toBeGreaterThan(5);
    const names = await configs(asking);
    expect(acknowledged.filter((name) => !names.has(name))).toEqual([]);
    await lab.heal(victim);
    await lab.cluster.allReady(lab.host(asking));
    await untilRunning('app', 4);
    expect(await configs(victim)).toEqual(names);
    await ctl(asking, 'config', 'rm', ...names);
  });

  it('of the leader: another one leads within seconds', async () => {
    const old = await leader();
    await lab.kill(old);
    const asking = MANAGERS.find((name) => name !== old) ?? 'm1';
    const next = await until('a new leader', async () => {
      const found = await leader(asking);
      return found === old ? undefined : found;
    });
    expect(next).not.toBe(old);
    expect((await ctl(asking, 'service', 'ls')).code).toBe(0);
    await healAll();
  });
});

describe('all managers at once', () => {
  it('come back with everything', async () => {
    const before = await ok('service', 'inspect', 'app');
    for (const name of MANAGERS) await lab.kill(name);
    for (const name of MANAGERS) await lab.heal(name);
    await lab.cluster.allReady(lab.host('m1'));
    const after = await ok('service', 'inspect', 'app');
    expect(JSON.parse(after)).toMatchObject([
      { id: (JSON.parse(before) as [{ id: string }])[0].id },
    ]);
    await untilRunning('app', 4);
  });
});

describe('a worker', () => {
  it('that loses power has its tasks replaced elsewhere', async () => {
    const onWorker = await until('a task on w1 or w2', async () => {
      for (const task of await running('app'))
        if ((await hostOf(task)).place.role === 'worker') return task;
      await ok('service', 'update', '--force', 'app');
      return undefined;
    });
    const host = await hostOf(onWorker);
    await lab.kill(host.name);
    const found = await until('replacements', async () => {
      const alive = await running('app');
      return alive.length === 4 && alive.every((task) => task.nodeId !== onWorker.nodeId)
        ? alive
        : undefined;
    });
    expect(found).toHaveLength(4);
    expect(await ok('node', 'ls')).toMatch(new RegExp(`${host.name} +Down`));
    await healAll();
  });

  it('that is cut off and comes back gives up what was replaced meanwhile', async () => {
    await ok('service', 'update', '--force', 'app');
    const onWorker = await until('a task on a worker', async () => {
      for (const task of await running('app'))
        if ((await hostOf(task)).place.role === 'worker') return task;
      return undefined;
    });
    const host = await hostOf(onWorker);
    await lab.cut(host.name);
    await until('replacements', async () => {
      const alive = await running('app');
      return alive.length === 4 && alive.every((task) => task.nodeId !== onWorker.nodeId)
        ? true
        : undefined;
    });
    await healAll();
    await until('the old containers to stop', async () => {
      const pid = onWorker.status.pid ?? 0;
      const { code } = await host.exec(['test', '-d', `/proc/${pid}`], { okCodes: [0, 1] });
      return code === 1 ? true : undefined;
    });
    expect(await running('app')).toHaveLength(4);
  });

  it('that is drained gives its tasks away, and takes new ones when active again', async () => {
    await ok('node', 'drain', 'w1');
    const [node] = JSON.parse(await ok('node', 'inspect', 'w1')) as [{ id: string }];
    await until('w1 to be empty', async () => {
      const alive = await running('app');
      return alive.length === 4 && alive.every((task) => task.nodeId !== node.id)
        ? true
        : undefined;
    });
    await ok('node', 'activate', 'w1');
    await ok('service', 'scale', 'app=10');
    expect((await untilRunning('app', 10)).some((task) => task.nodeId === node.id)).toBe(true);
  });
});

/** Names of all configs, as this manager knows them as soon as there is a leader. */
async function configs(asking: string): Promise<Set<string>> {
  const rows = await until(`the configs, from ${asking}`, () =>
    okOn(asking, 'config', 'ls', '--format', 'json'),
  );
  return new Set((JSON.parse(rows) as { spec: { name: string } }[]).map(({ spec }) => spec.name));
}

/** Kills swarmd and its manager child with SIGKILL, as an operator's kill -9 of all of them would. */
async function killDaemonAndManager(name: string): Promise<void> {
  const host = lab.host(name);
  const pid = await host.servicePid('swarmd');
  if (pid === undefined) throw new Error(`no swarmd on ${name}`);
  await host.exec(['sh', '-c', `kill -9 ${pid} $(cat /proc/${pid}/task/${pid}/children)`], {
    okCodes: [0, 1],
  });
}
