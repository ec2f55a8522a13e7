/** A registry that wants to know who asks, images that travel by swarmctl, and limits of what runs. */
import { startGuardedRegistry } from '@swarmd/lab';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  BUSYBOX,
  cgroupFile,
  ctl,
  hostOf,
  lab,
  ok,
  remove,
  running,
  sh,
  tasks,
  until,
  untilRunning,
  type Outcome,
} from './support.ts';

const GUARDED = lab.layout.guardedEndpoint;
const APP = `${GUARDED}/team/app:1`;
const OTHER = `${GUARDED}/team/other:1`;
const PLAIN_BIG = `${lab.layout.registryEndpoint}/big:1`;
const WORKERS = ['--constraint', 'node.role==worker', '--stop-signal', 'SIGKILL'];
const MIB = 1024 * 1024;

/** swarmctl of somebody on m1 who has a home of her own: hosts of a lab share the machine's. */
function ann(args: readonly string[], input = ''): Promise<Outcome> {
  const okCodes = [0, 1, 2, 3, 4, 5];
  return lab.host('m1').exec(['env', 'HOME=/run/ann', 'swarmctl', ...args], { okCodes, input });
}

const login = (password: string): Promise<Outcome> =>
  ann(['registry', 'login', '--username', 'ann', '--password-stdin', GUARDED], password);

beforeAll(async () => {
  await startGuardedRegistry(lab.layout, lab.registry);
});

afterAll(async () => {
  await remove('guarded', 'nobody', 'big', 'sized');
  await sh(lab.host('m1'), 'rm -rf /run/ann');
  for (const node of ['m1', 'w1', 'w2']) {
    for (const image of [APP, OTHER, PLAIN_BIG, 'scratch:1']) {
      await ctl('m1', 'image', 'rm', '--node', node, image);
    }
  }
});

describe('a registry with a guard', () => {
  it('is logged in to with the right password, and takes an image then', async () => {
    expect(await login('guessed')).toMatchObject({
      code: expect.not.toSatisfy((code: number) => code === 0),
      stderr: expect.stringContaining(GUARDED),
    });
    await ok('image', 'pull', BUSYBOX);
    await ok('image', 'tag', BUSYBOX, APP);
    const refused = await ctl('m1', 'image', 'push', APP);
    expect(refused.stderr).toContain(`swarmctl registry login ${GUARDED}`);
    expect(await login('pass')).toMatchObject({ code: 0 });
    const root =
      'mkdir -p /run/ann/o && echo other > /run/ann/o/name && tar -C /run/ann/o -cf /run/ann/o.tar .';
    await sh(lab.host('m1'), root);
    await ok('image', 'import', '/run/ann/o.tar', OTHER);
    for (const image of [APP, OTHER]) {
      expect(await ann(['image', 'push', image])).toMatchObject({ code: 0 });
    }
  });

  it('gives it to workers for services that bring credentials, and to no others', async () => {
    const create = (name: string, ...more: string[]): Promise<Outcome> =>
      ann(['service', 'create', '--detach', '--name', name, ...WORKERS, ...more]);
    const itself = await ctl('m1', 'image', 'pull', '--node', 'w1', APP);
    expect(itself.stderr).toContain(`registry login ${GUARDED}`);
    await create('guarded', '--replicas', '2', '--with-registry-auth', APP, 'sleep', '100000');
    const placed = await untilRunning('guarded', 2);
    const hosts = await Promise.all(placed.map(async (task) => (await hostOf(task)).name));
    expect(hosts.toSorted()).toEqual(['w1', 'w2']);
    // By its digest it is not asked for before a worker pulls it.
    const [{ digest = '' } = {}] = JSON.parse(await ok('image', 'inspect', OTHER)) as {
      digest?: string;
    }[];
    const other = `${GUARDED}/team/other@${digest}`;
    await create('nobody', '--restart-condition', 'none', other, '/true');
    const rejected = await until('the task without credentials is rejected', async () =>
      (await tasks('nobody')).find((task) => task.status.state === 'rejected'),
    );
    expect(rejected.status.error).toContain(`registry login ${GUARDED}`);
  });
});

describe('images', () => {
  it('travel from node to node as archives', async () => {
    await sh(lab.host('m1'), `swarmctl image save -o /run/ann/app.tar ${APP}`);
    await ok('image', 'load', '--node', 'w2', '-i', '/run/ann/app.tar');
    const [here, there] = await Promise.all(
      ['m1', 'w2'].map(async (node) => ok('image', 'inspect', '--node', node, APP)),
    );
    const digestOf = (text = ''): unknown => (JSON.parse(text) as { digest: string }[])[0]?.digest;
    expect(digestOf(there)).toBe(digestOf(here));
    const imported = `mkdir -p /run/ann/i/etc && echo imported > /run/ann/i/etc/name && tar -C /run/ann/i -cf /run/ann/i.tar . && swarmctl image import --node w1 /run/ann/i.tar scratch:1`;
    expect(await sh(lab.host('m1'), imported)).toContain('scratch:1');
    expect(await ok('image', 'history', '--node', 'w1', 'scratch:1')).not.toBe('');
  });

  it('go on coming after kill -9 of the daemon that pulls them', async () => {
    const make = `mkdir -p /run/ann/b && head -c ${12 * MIB} /dev/urandom > /run/ann/b/noise && tar -C /run/ann/b -cf /run/ann/b.tar .`;
    await sh(lab.host('m1'), make);
    await ok('image', 'import', '/run/ann/b.tar', PLAIN_BIG);
    await ok('image', 'push', PLAIN_BIG);
    const slow = (rate: string): Promise<string> =>
      sh(lab.registry, `tc qdisc replace dev eth0 root tbf rate ${rate} burst 64k latency 400ms`);
    // So slow that it cannot have ended before the daemon is killed, on a busy machine too.
    await slow('8mbit');
    try {
      const on = ['--constraint', 'node.hostname==w1', '--restart-condition', 'none'];
      await ok('service', 'create', '--detach', '--name', 'big', ...on, PLAIN_BIG, '/no-program');
      const bytes = async (): Promise<number> =>
        Number(
          await sh(lab.host('w1'), 'cat /var/lib/swarmd/images/partial/* 2>/dev/null | wc -c'),
        );
      const before = await until('some of the image is there', async () => {
        const now = await bytes();
        return now > 2 * MIB ? now : undefined;
      });
      await lab.crash('w1');
      const kept = await bytes();
      expect(kept).toBeGreaterThanOrEqual(before);
      await slow('32mbit');
      await lab.cluster.startDaemon(lab.host('w1'));
      const seen: number[] = [];
      const ended = await until('the pull comes to its end', async () => {
        seen.push(await bytes());
        return (await tasks('big')).find(({ status }) =>
          ['failed', 'rejected'].includes(status.state),
        );
      });
      // It is there, and has no such program: nothing was fetched a second time.
      expect(ended.status.error).toContain('no-program');
      expect(Math.min(...seen.filter((count) => count > 0))).toBeGreaterThanOrEqual(kept);
    } finally {
      await sh(lab.registry, 'tc qdisc del dev eth0 root');
    }
  });
});

describe('limits of a service', () => {
  it('change where its tasks run, and what is too little is said', async () => {
    const holds = 'head -c 24000000 /dev/zero | tail -c 20000000 | sleep 100000';
    const args = ['--limit-memory', '128M', BUSYBOX, 'sh', '-c', holds];
    await ok('service', 'create', '--name', 'sized', ...WORKERS, ...args);
    const [before] = await untilRunning('sized', 1);
    if (before === undefined) throw new Error('it runs');
    const limit = (): Promise<string> =>
      cgroupFile(before, { v1: 'memory/memory.limit_in_bytes', v2: 'memory.max' });
    await ok('service', 'update', '--limit-memory', '256M', '--limit-pids', '77', 'sized');
    await until('the limit is raised', async () =>
      (await limit()) === String(256 * MIB) ? true : undefined,
    );
    expect(await cgroupFile(before, { v1: 'pids/pids.max', v2: 'pids.max' })).toBe('77');
    await ok('service', 'update', '--detach', '--limit-memory', '8M', 'sized');
    const told = await until('the node says that this is too little', async () =>
      (await running('sized')).find(({ status }) =>
        status.error.includes('more than the new limit'),
      ),
    );
    expect(told.id).toBe(before.id);
    expect(await limit()).toBe(String(256 * MIB));
    await ok('service', 'update', '--limit-memory', '200M', 'sized');
    const after = await until('the limit is changed and the error gone', async () =>
      (await running('sized')).find(({ status }) => status.error === ''),
    );
    expect([after.id, await limit()]).toEqual([before.id, String(200 * MIB)]);
  });
});
