/**
 * Every write of swarmctl, first with --dry-run and then without, against a real manager: the dry run changes
 * nothing in the state, shows what is different in the spec, and which tasks start and stop where; the write
 * then changes it.
 */
import { until } from '@swarmd/base/testing';
import { buildProgram } from '@swarmd/cli';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { FakeAgent } from '../../packages/manager/test/support/fake-agent.ts';
import { aCall, TestCluster, type Host } from '../../packages/manager/test/support/managers.ts';
import { Session } from './session.ts';

const QUICK = '--no-resolve-image --restart-delay 0 --update-monitor 0 --rollback-monitor 0';

interface Step {
  readonly line: string;
  /** In what the dry run prints. */
  readonly shows: readonly (string | RegExp)[];
  /** Of what nothing is asked: it is there already, or makes what comes next. */
  readonly before?: string;
}

/** One after the other, on one cluster. `N1` and `M1` are ids of its worker and its manager. */
const STEPS: readonly Step[] = [
  {
    line: `service create -d ${QUICK} --name web --replicas 2 registry.test/web:1`,
    shows: ['mode.replicas: none -> 2', /start +web\.1 +n1 +2 replicas are wanted/],
  },
  {
    line: 'service update -d --env-add A=1 web',
    shows: ['env[0]: none -> "A=1"', /replace +web\.1 +n1 +n1/, '1 more task follows'],
  },
  {
    line: 'service rollback -d web',
    shows: ['env[0]: "A=1" -> none', /replace +web\.1/],
  },
  {
    line: 'service scale -d web=3',
    shows: ['mode.replicas: 2 -> 3', /start +web\.3 +n1/],
  },
  {
    before: `service create -d --no-resolve-image --mode replicated-job --name job registry.test/job:1`,
    line: 'service run -d job',
    shows: [/start +job\.1|replace +job\.1|stop +job\.1/],
  },
  {
    line: 'service rm job',
    shows: ['the spec stays as it is', 'no task starts, stops or moves'],
  },
  {
    line: 'network create --subnet 10.50.0.0/24 back',
    shows: ['subnet: none -> "10.50.0.0/24"', 'no task starts, stops or moves'],
  },
  {
    line: 'network update --subnet-add 10.51.0.0/24 back',
    shows: ['moreSubnets[0]: none -> "10.51.0.0/24"'],
  },
  {
    line: 'network connect back web',
    shows: ['task.networks[0].target: none -> ', /replace +web\./, '2 more tasks follow'],
  },
  {
    line: 'network disconnect back web',
    shows: [/task\.networks\[0\]\.target: .* -> none/, /replace +web\./],
  },
  {
    before: 'network create gone',
    line: 'network rm gone',
    shows: ['the spec stays as it is', 'no task starts'],
  },
  {
    before: 'network create spare',
    line: 'network prune',
    shows: ['dry run: spare would be removed'],
  },
  { line: 'secret create key one', shows: ['version: none -> 1'] },
  {
    before: 'service update -d --update-parallelism 1 --secret-add key web',
    line: 'secret update -d key two',
    shows: ['version: 1 -> 2', 'services.web.secrets.key.version: 1 -> 2', /replace +web\./],
  },
  {
    before: 'secret create spare one',
    line: 'secret rm spare',
    shows: ['the spec stays as it is', 'no task starts'],
  },
  { line: 'config create conf one', shows: ['version: none -> 1'] },
  { line: 'config update conf two', shows: ['version: 1 -> 2'] },
  { line: 'config rm conf', shows: ['the spec stays as it is'] },
  { line: 'node update --label-add a=1 N1', shows: ['labels.a: none -> "1"', 'no task starts'] },
  { line: 'node pause N1', shows: ['availability: "active" -> "pause"', 'no task starts'] },
  {
    line: 'node drain N1',
    shows: ['availability: "pause" -> "drain"', /wait +web\.1 +n1 .*no suitable node/],
  },
  {
    line: 'node activate N1',
    shows: ['availability: "drain" -> "active"', /start +web\.1 +n1/],
  },
  { line: 'node promote N1', shows: ['role: "worker" -> "manager"'] },
  { line: 'node demote N1', shows: ['role: "manager" -> "worker"'] },
  { line: 'swarm update --task-history-limit 2', shows: ['taskHistoryLimit: 5 -> 2'] },
  {
    line: 'swarm join-token --rotate --quiet worker',
    shows: ['joinTokens.worker: "the present one" -> "a new one"'],
  },
  { line: 'service rm web', shows: ['the spec stays as it is', /stop +web\.1/] },
  { line: 'node rm --force N1', shows: ['the spec stays as it is', 'no task starts'] },
];

describe('a dry run', () => {
  const cluster = new TestCluster();
  let host: Host;
  let agent: FakeAgent;
  let session: Session;
  beforeAll(async () => {
    host = await cluster.init();
    agent = await cluster.worker(host);
    agent.describe({ hostname: 'n1' });
    agent.completes = true;
    await until('the node is ready and described', async () => {
      const node = await host.control.getNode({ id: agent.nodeId }, aCall());
      return node.status.state === 'ready' && node.description?.hostname === 'n1';
    });
    session = new Session(host.manager.controlSocket);
  });
  afterAll(async () => {
    session[Symbol.dispose]();
    await cluster[Symbol.asyncDispose]();
  });

  /** Everything that is stored. */
  async function state(): Promise<string> {
    const { control } = host;
    const all = { filter: {} };
    const parts = await Promise.all([
      control.getCluster({}, aCall()),
      control.listNodes(all, aCall()),
      control.listNetworks(all, aCall()),
      control.listSecrets(all, aCall()),
      control.listConfigs(all, aCall()),
      control.listServices(all, aCall()),
      control.listTasks(all, aCall()),
    ]);
    return JSON.stringify(parts, null, 1);
  }

  /** Once nothing happens any more by itself. */
  async function settled(): Promise<string> {
    let last = '';
    let calm = 0;
    await until('nothing changes any more', async () => {
      const now = await state();
      const { control } = host;
      const services = await control.listServices({ filter: {} }, aCall());
      const isBusy = services.some(({ updateStatus }) => updateStatus?.state === 'updating');
      const tasks = await control.listTasks({ filter: {} }, aCall());
      const isMoving = tasks.some(
        ({ serviceName, status, desiredState, nodeId }) =>
          serviceName === 'web' && nodeId !== undefined && status.state !== desiredState,
      );
      calm = now === last && !isBusy && !isMoving ? calm + 1 : 0;
      last = now;
      return calm >= CALM_LOOKS;
    });
    return last;
  }

  const CALM_LOOKS = 4;

  async function typed(line: string): Promise<string> {
    const { code, out, err } = await session.type(`swarmctl ${line.replace('N1', agent.nodeId)}`);
    expect([line, code, code === 0 ? '' : err]).toEqual([line, 0, '']);
    return out;
  }

  it.each(STEPS)('of $line', async ({ line, shows, before }) => {
    if (before !== undefined) await typed(before);
    let was = '';
    // Others may still be at work, such as the reaper; a dry run that changes something does it each time.
    const shown = await until('a dry run changes nothing', async () => {
      was = await settled();
      const text = await typed(line.replace(/^(\S+ \S+)/, '$1 --dry-run'));
      return (await state()) === was && text;
    });
    expect(shown).toMatch(/^dry run: /);
    const missing = shows.filter((text) =>
      typeof text === 'string' ? !shown.includes(text) : !text.test(shown),
    );
    expect(missing, shown).toEqual([]);
    await typed(line);
    expect(await state()).not.toBe(was);
  });

  it('is tried with every command that has one and writes the desired state', () => {
    const tried = new Set(STEPS.map(({ line }) => line.split(' ', 2).join(' ')));
    const program = buildProgram({
      terminal: { out: () => undefined, err: () => undefined },
    } as never);
    const all = program.commands.flatMap((group) =>
      group.commands
        .filter(({ options }) => options.some(({ long }) => long === '--dry-run'))
        .map((command) => `${group.name()} ${command.name()}`),
    );
    const ofNodes = /^(image|volume) /;
    expect(all.filter((name) => !ofNodes.test(name) && !tried.has(name))).toEqual([]);
    expect(all.length).toBeGreaterThan(30);
  });
});
