/** What people do with running containers, from managers on other hosts than the container's. */
import type { Task } from '@swarmd/model';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  BUSYBOX,
  cgroupFile,
  ctl,
  inTask,
  lab,
  ok,
  remove,
  running,
  tasks,
  until,
  untilRunning,
  type Outcome,
} from './support.ts';

/** Stops at once, so that the suite need not wait for grace periods. */
const QUICK = ['--stop-signal', 'SIGKILL', '--restart-delay', '0'];
const SERVICES = ['box', 'sick', 'store'];
const WORKER = ['--constraint', 'node.role==worker'];

async function only(name: string): Promise<Task> {
  const [task] = await untilRunning(name, 1);
  if (task === undefined) throw new Error(`${name} runs`);
  return task;
}

/** Runs a shell line on a host, whatever its exit code. */
async function line(host: string, text: string, input = ''): Promise<Outcome> {
  const okCodes = Array.from({ length: 256 }, (_, code) => code);
  return lab.host(host).exec(['sh', '-c', text], { okCodes, input });
}

beforeAll(async () => {
  const create = (name: string, ...rest: string[]): Promise<string> =>
    ok('service', 'create', '--name', name, ...QUICK, ...WORKER, ...rest);
  const well = ['--health-cmd', 'test -f /well', '--health-retries', '2'];
  const times = ['--health-interval', '200ms', '--health-start-period', '600s'];
  const soon = ['--health-start-interval', '200ms', '--detach'];
  const mount = ['--mount', 'type=volume,source=kept,target=/v'];
  const loop = 'trap "echo hangup" HUP; echo up; while :; do sleep 0.1; done';
  await Promise.all([
    create('box', '--limit-memory', '64M', BUSYBOX, 'sh', '-c', loop),
    create('sick', ...well, ...times, ...soon, BUSYBOX, 'sleep', '100000'),
    create('store', '--update-monitor', '100ms', ...mount, BUSYBOX, 'sleep', '100000'),
  ]);
});

afterAll(async () => {
  await remove(...SERVICES);
  for (const host of ['w1', 'w2']) await ctl('m1', 'volume', 'rm', '--node', host, 'kept');
});

describe('a task on another host', () => {
  it('is entered: output, errors and exit code come back', async () => {
    const entered = await line(
      'm2',
      `swarmctl task exec -e X=y -u 12:34 box.1 -- sh -c 'echo $X; id -u; echo bad >&2; exit 42'`,
    );
    expect(entered).toMatchObject({ code: 42, stdout: 'y\n12\n', stderr: 'bad\n' });
    const fed = await line('m3', 'swarmctl task exec -i box.1 -- tr a-z A-Z', 'through the pipe');
    expect(fed).toMatchObject({ code: 0, stdout: 'THROUGH THE PIPE' });
  });

  it('is entered on a terminal of the size of the own one', async () => {
    const program = 'tty; stty size; touch /tmp/up; read word; echo got:$word; exit 7';
    const command = `stty rows 31 cols 77; swarmctl task exec -it box.1 -- sh -c "${program.replaceAll('$', '\\$')}"`;
    // Nobody types before there is something to see.
    const keys = 'until swarmctl task exec box.1 -- test -e /tmp/up; do sleep 0.2; done; echo key';
    const typed = `{ ${keys}; } | script -qec '${command}' /dev/null`;
    const { code, stdout } = await line('m3', typed);
    expect(stdout).toMatch(/\/dev\/pts\/\d+\r+\n31 77\r+\n/);
    expect(stdout).toContain('got:key');
    expect(code).toBe(7);
  });

  it('is given files, and gives them back as they were', async () => {
    const { code, stdout, stderr } = await line(
      'm2',
      `set -e; d=$(mktemp -d); trap 'rm -r "$d"' EXIT; mkdir "$d/tree"
      head -c 3000000 /dev/urandom >"$d/tree/big"; ln -s big "$d/tree/link"; chmod 751 "$d/tree/big"
      swarmctl task cp "$d/tree" box.1:/tmp
      swarmctl task exec box.1 -- mv /tmp/tree /tmp/moved
      swarmctl task cp box.1:/tmp/moved "$d"
      cmp "$d/tree/big" "$d/moved/big"; readlink "$d/moved/link"; stat -c %a "$d/moved/big"`,
    );
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/big\n751\n$/);
    const missing = await ctl('m2', 'task', 'cp', 'box.1:/no/such', '-');
    expect(missing.code).not.toBe(0);
    expect(missing.stderr).toContain('/no/such');
  });

  it('tells what it uses', async () => {
    const { stdout } = await ctl('m3', 'task', 'stats', '--no-stream', '--format', 'json', 'box.1');
    const [figures] = JSON.parse(stdout) as Record<string, number | string>[];
    expect(figures).toMatchObject({ task: 'box.1', memoryLimitBytes: 64 * 1024 * 1024 });
    for (const name of ['cpuNs', 'memoryBytes', 'pids']) {
      expect(Number(figures?.[name]), name).toBeGreaterThan(0);
    }
    expect((await ctl('m2', 'task', 'top', 'box.1')).stdout).toMatch(/^1 +0 .*trap/m);
  });

  it('takes signals', async () => {
    const task = await only('box');
    expect((await ctl('m3', 'task', 'signal', 'HUP', 'box.1')).code).toBe(0);
    await until('the program to say so', async () => {
      const { stdout } = await ctl('m2', 'service', 'logs', '--raw', 'box');
      return stdout.includes('hangup') ? true : undefined;
    });
    expect((await only('box')).id).toBe(task.id);
    const nonsense = await ctl('m2', 'task', 'signal', 'NONSENSE', 'box.1');
    expect(nonsense.code).toBe(2);
    expect(nonsense.stderr).toContain('NONSENSE');
  });

  it('stands still while it is paused, and is still the same task after that', async () => {
    const task = await only('box');
    const files = { v1: 'freezer/freezer.state', v2: 'cgroup.freeze' };
    expect((await ctl('m2', 'task', 'pause', 'box.1')).code).toBe(0);
    expect(await cgroupFile(task, files)).toMatch(/^(FROZEN|1)$/);
    const refused = await ctl('m3', 'task', 'exec', 'box.1', '--', 'true');
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('paused');
    expect((await ctl('m3', 'task', 'unpause', 'box.1')).code).toBe(0);
    expect(await cgroupFile(task, files)).toMatch(/^(THAWED|0)$/);
    expect((await ctl('m2', 'task', 'exec', 'box.1', '--', 'true')).code).toBe(0);
    expect((await only('box')).id).toBe(task.id);
  });
});

describe('a health check', () => {
  it('lets a task run once it is healthy, and replaces it when it no longer is', async () => {
    const starting = await until('the first failed check', async () => {
      const [task] = await tasks('sick');
      if (task?.status.state !== 'starting') return undefined;
      const [told] = JSON.parse(await ok('task', 'inspect', task.id)) as {
        container?: { health?: { results: unknown[] } };
      }[];
      return (told?.container?.health?.results.length ?? 0) > 0 ? task : undefined;
    });
    expect(await running('sick')).toEqual([]);
    await ok('task', 'exec', starting.id, '--', 'touch', '/well');
    const task = await only('sick');
    expect(task.id).toBe(starting.id);

    await ok('task', 'exec', task.id, '--', 'rm', '/well');
    const next = await until('another in its place', async () =>
      (await tasks('sick')).find(({ id, status }) => id !== task.id && status.state === 'starting'),
    );
    expect(next.slot).toBe(task.slot);
    const old = (await tasks('sick')).find(({ id }) => id === task.id);
    expect(old?.status.state).toBe('failed');
    expect(old?.status.error).toMatch(/unhealthy: 2 checks failed in a row.* exit code 1/);
  });
});

describe('a named volume', () => {
  it('keeps what is in it when the service is updated, and is not removed while it is used', async () => {
    const before = await only('store');
    await ok('task', 'exec', 'store.1', '--', 'sh', '-c', 'echo precious >/v/data');
    const [node] = JSON.parse(await ok('node', 'inspect', before.nodeId ?? '')) as {
      description: { hostname: string };
    }[];
    const where = node?.description.hostname ?? '';
    const pin = ['--constraint-add', `node.hostname==${where}`];
    await ok('service', 'update', ...pin, '--env-add', 'NEW=1', 'store');
    const after = await only('store');
    expect(after.id).not.toBe(before.id);
    expect(await inTask(after, 'cat /v/data')).toBe('precious');
    expect(await ok('volume', 'ls', '--node', where)).toMatch(/^kept +local +yes/m);
    const used = await ctl('m2', 'volume', 'rm', '--node', where, 'kept');
    expect(used.code).not.toBe(0);
    await remove('store');
    expect((await ctl('m2', 'volume', 'rm', '--node', where, 'kept')).code).toBe(0);
    expect(await ok('volume', 'ls', '--node', where)).not.toContain('kept');
  });
});
