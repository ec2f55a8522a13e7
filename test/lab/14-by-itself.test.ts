/** What happens without anybody asking: jobs by a schedule, replicas by use. With real containers. */
import type { Task } from '@swarmd/model';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  BUSYBOX,
  LONG,
  ctl,
  inTask,
  lab,
  leader,
  ok,
  remove,
  service,
  tasks,
  until,
  untilRunning,
} from './support.ts';

const QUICK = ['--stop-signal', 'SIGKILL'];
const MINUTE_MS = 60_000;
/** A run begins on the minute. */
const TWO_MINUTES_MS = 130_000;

async function runs(name: string) {
  return (await service(name)).jobStatus?.runs ?? [];
}

function untilRuns(name: string, state: string, count: number) {
  return until(
    `${count} runs of ${name} that are ${state}`,
    async () => {
      const found = (await runs(name)).filter((run) => run.state === state);
      return found.length >= count ? found : undefined;
    },
    TWO_MINUTES_MS,
  );
}

/** One job that ends at once, one that never does: both are due every minute from here on. */
beforeAll(async () => {
  const job = ['--mode', 'replicated-job', '--schedule', '* * * * *', ...QUICK];
  await ok('service', 'create', '--name', 'tick', ...job, '--keep-completed', '9', BUSYBOX, 'true');
  await ok('service', 'create', '--name', 'long', ...job, BUSYBOX, 'sleep', '100000');
});

afterAll(async () => {
  for (const host of lab.nodes) await lab.heal(host.name);
  await lab.cluster.allReady(lab.host('m1'));
  await remove('tick', 'long', 'burner', 'metered');
});

describe('replicas follow what the tasks use', () => {
  const burn = 'until [ -e /idle ]; do :; done; exec sleep 100000';

  it('more of a task that burns CPU, and fewer when it is idle', async () => {
    const bounds = ['--autoscale-max', '3', '--autoscale-cpu', '50%'];
    const pace = ['--autoscale-warmup', '0', '--autoscale-interval', '1s'];
    const windows = ['--autoscale-down-window', '6s'];
    const cpu = ['--reserve-cpu', '0.02', '--limit-cpu', '0.1'];
    const flags = ['--name', 'burner', ...bounds, ...pace, ...windows, ...cpu, ...QUICK];
    await ok('service', 'create', ...flags, BUSYBOX, 'sh', '-c', burn);
    const busy = await untilRunning('burner', 3);
    expect((await service('burner')).because.at(-1)?.message).toMatch(
      /to 3 replicas: .*(task uses|tasks use) \d+% of the target \(cpu 50%\)/,
    );
    const { code, stderr } = await ctl('m1', 'service', 'scale', 'burner=1');
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/autoscaling decides on its replicas \(1 to 3\)/);
    await Promise.all(busy.map((task) => inTask(task, 'touch /idle')));
    await untilRunning('burner', 1);
    expect(await ok('explain', 'service', 'burner')).toMatch(
      /autoscaling, 1 to 3 replicas by cpu 50%: 1 for/,
    );
  });
});

describe('a job by a schedule', () => {
  it('runs on the minute', async () => {
    const [first] = await untilRuns('tick', 'complete', 1);
    expect((first?.plannedFor ?? 1) % MINUTE_MS).toBe(0);
    const late = (first?.at ?? 0) - (first?.plannedFor ?? 0);
    expect(late).toBeGreaterThanOrEqual(0);
    expect(late).toBeLessThan(MINUTE_MS);
    // Not while the next run is under way.
    const ended = /tick +replicated-job +0 running \(1\/1 completed\), next \d{4}-/;
    await until('it to be listed', async () =>
      ended.test(await ok('service', 'ls')) ? true : undefined,
    );
  });

  it('runs once more when it is asked for, beside its schedule', async () => {
    const before = (await runs('tick')).length;
    await until('a run that is asked for', async () => {
      const { code, stderr } = await ctl('m1', 'service', 'run', 'tick');
      if (code !== 0 && /has not ended/.test(stderr)) return undefined; // It has just become due.
      expect(code, stderr).toBe(0);
      return true;
    });
    const asked = (await runs('tick')).filter((run) => run.plannedFor === undefined);
    expect(asked.map(({ state }) => state)).toEqual(['complete']);
    expect((await runs('tick')).length).toBeGreaterThan(before);
    await untilRuns('long', 'active', 1);
    const refused = await ctl('m1', 'service', 'run', 'long');
    expect(refused.stderr).toMatch(/run 1 has not ended/);
  });
});

/** Another minute of the clock, and more of what simulations have all of. */
describe.runIf(LONG)('when the leader is lost', () => {
  let lostAt: number;
  beforeAll(async () => {
    const victim = await leader();
    lostAt = Date.now();
    await lab.kill(victim);
    const asking = lab.nodes.find(({ name }) => name.startsWith('m') && name !== victim)?.name;
    await leader(asking);
    await lab.heal(victim);
    await lab.cluster.allReady(lab.host('m1'));
  });

  it('a new service is scaled by its own metric', async () => {
    const page =
      'mkdir /www; echo "inflight{path=\\"/\\"} 50" >/www/metrics; httpd -f -p 8080 -h /www';
    const flags = ['--autoscale-max', '4', '--autoscale-metric', 'inflight=20@8080/metrics'];
    const pace = ['--autoscale-warmup', '0', '--autoscale-interval', '1s'];
    const all = ['--name', 'metered', ...flags, ...pace, ...QUICK];
    await ok('service', 'create', ...all, BUSYBOX, 'sh', '-c', page);
    await untilRunning('metered', 4);
    expect((await service('metered')).because.at(-1)?.message).toMatch(/\(inflight 20\)/);
  });

  it('a job by a schedule misses nothing and repeats nothing', async () => {
    await until(
      'a run after the loss',
      async () =>
        (await runs('tick')).find(
          ({ plannedFor, state }) => (plannedFor ?? 0) > lostAt && state === 'complete',
        ),
      TWO_MINUTES_MS,
    );
    const planned = (await runs('tick')).flatMap(({ plannedFor }) => plannedFor ?? []);
    const gaps = planned.slice(1).map((at, i) => at - (planned[i] ?? 0));
    expect(gaps).toEqual(gaps.map(() => MINUTE_MS));
    const made = (await tasks('tick')).map((task: Task) => task.jobIteration);
    expect(new Set(made).size).toBe(made.length);
  });

  it('a run is skipped while the last one has not ended', async () => {
    const [skipped] = await untilRuns('long', 'skipped', 1);
    expect(skipped?.message).toMatch(/run 1 has not ended/);
    expect(await ok('explain', 'service', 'long')).toMatch(/no run due .*: run 1 has not ended/);
  });
});
