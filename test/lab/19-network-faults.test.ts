/**
 * Faults of the network while containers and clients outside talk over it: what may fail, for how long
 * after the fault is over, and that connections which promise to live on do.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { run } from '@swarmd/base/system';
import { SeededRandom } from '@swarmd/base/testing';
import { between, type Host } from '@swarmd/lab';
import type { Task } from '@swarmd/model';

import type { Watched, Way } from './matrix/watcher.ts';
import {
  BUSYBOX,
  casesOf,
  ctl,
  hostOf,
  lab,
  LONG,
  ok,
  pidOf,
  remove,
  running,
  service,
  sh,
  until,
  untilRunning,
} from './support.ts';

const SERVER = fileURLToPath(new URL('matrix/server.ts', import.meta.url));
const WATCHER = fileURLToPath(new URL('matrix/watcher.ts', import.meta.url));
const TARGET_PORT = 7_100;
const [PUBLISHED, PUBLISHED_ECHO] = [9_101, 9_102];
/** How long a fault lasts that managers do not notice. */
const FAULT_MS = LONG ? 8_000 : 2_000;
/** And of one that they must not: they would give up the node, and TCP repeats itself in pauses. */
const NOTICED_MS = 1_000;
/**
 * How long managers wait for a node here. Twice the default: what a node has left of it after such a fault
 * is to be heard again, which two labs on two processors take their time for.
 */
const NODE_DOWN_AFTER = '6s';
/** TCP repeats itself after 3 s and then after 6.2 s, which is longer than managers wait in all. */
const OUT_SECONDS = 3.1;
const OUT_WATCHED_MS = 4_500;
/** After the end of a fault all is to be well again. TCP repeats itself less and less often: it is most of it. */
const RECOVERY_MS = 1_000;
/** How long we go on looking then: after what lasted, until TCP has repeated itself. */
const WATCHED_MS = LONG ? 8_000 : 2_000;
const WATCHED_AT_LEAST_MS = 1_200;

/** Of the daemon, at moments of chance while it makes and removes namespaces. */
const KILLS = LONG ? 20 : 2;
const PROGRAMS_MS = 1_500;
/** A daemon is killed, started and told to scale in a few seconds, on a busy machine. */
const ROUND_MS = 60_000;
/** Longer than all of this takes. */
const SERVES_MS = 1_200_000;
const SEED = 7;

/** Who asks, by which way: a container on w1 and one on the manager by name, a client by a node. */
type Asker = 'w1 -> task' | 'w1 -> vip' | 'm1 -> vip' | 'outside -> w1' | 'outside -> m1';
const ALL: readonly Asker[] = [
  'w1 -> task',
  'w1 -> vip',
  'm1 -> vip',
  'outside -> w1',
  'outside -> m1',
];
/** Those whose packets go from w1 to w2, where the task is. */
const FROM_W1: readonly Asker[] = ['w1 -> task', 'w1 -> vip', 'outside -> w1'];

const [w1, w2] = [lab.host('w1'), lab.host('w2')];
let server: Task | undefined;
let clients: readonly Task[];
let vip: string;
const serverFile = `${w2.dir}/listens-${randomUUID()}`;

beforeAll(async () => {
  await ok('swarm', 'update', '--node-down-after', NODE_DOWN_AFTER);
  await ok('network', 'create', 'faulty');
  const run = ['--detach', '--network', 'faulty', '--stop-grace-period', '0s', BUSYBOX];
  const create = (...flags: string[]): Promise<string> =>
    ok('service', 'create', ...flags, ...run, 'sleep', '100000');
  const publish = [`${PUBLISHED}:${TARGET_PORT}`, `${PUBLISHED_ECHO}:${TARGET_PORT + 1}`];
  const ports = publish.flatMap((port) => ['--publish', port]);
  await create('--name', 'target', ...ports, '--constraint', 'node.hostname==w2');
  await create('--name', 'asker', '--mode', 'global');
  clients = await untilRunning('asker', lab.nodes.length);
  vip = (await service('target')).endpoint.virtualIps[0]?.address ?? '';
});

afterAll(async () => {
  rmSync(serverFile, { force: true });
  await lab.mendLinks();
  await sh(w1, 'iptables -P FORWARD ACCEPT');
  await remove('target', 'asker', 'churn');
  await ctl('m1', 'network', 'rm', 'faulty');
  await ok('swarm', 'update', '--node-down-after', '3s');
});

/** A server in the task that runs now: a fault that went on for too long has replaced the one before. */
async function serve(): Promise<void> {
  const [found] = (await untilRunning('target', 1)) as [Task];
  if (found.id === server?.id) return;
  rmSync(serverFile, { force: true });
  const enter = ['nsenter', `--target=${pidOf(found)}`, '--net', '--'];
  const argv = [process.execPath, SERVER, 'target', String(TARGET_PORT), serverFile];
  // Ends with its file.
  w2.exec([...enter, ...argv], { timeoutMs: SERVES_MS }).catch(() => undefined);
  await until('the server to listen', () => (existsSync(serverFile) ? true : undefined));
  server = found;
}

async function clientOn(name: string): Promise<Task> {
  for (const task of clients) if ((await hostOf(task)).name === name) return task;
  throw new Error(`no asker on ${name}`);
}

interface Watch {
  stop(): Promise<Record<Asker, Watched>>;
}

async function startWatching(): Promise<Watch> {
  await serve();
  const [stopFile, startFile] = ['stop', 'start'].map((word) => {
    return `${lab.layout.stateDir}/${word}-${randomUUID()}`;
  }) as [string, string];
  const direct = (host: string): Way => ({ host, port: TARGET_PORT, echoPort: TARGET_PORT + 1 });
  const published = (name: string): Way => {
    return { host: lab.host(name).place.address, port: PUBLISHED, echoPort: PUBLISHED_ECHO };
  };
  const at = server?.networks[0]?.address.split('/')[0] ?? '';
  const watchers: [Host, Task | undefined, Partial<Record<Asker, Way>>][] = [
    [lab.host('w1'), await clientOn('w1'), { 'w1 -> task': direct(at), 'w1 -> vip': direct(vip) }],
    [lab.host('m1'), await clientOn('m1'), { 'm1 -> vip': direct(vip) }],
    [lab.client, undefined, { 'outside -> w1': published('w1'), 'outside -> m1': published('m1') }],
  ];
  const results = watchers.map(async ([host, inside, ways], i) => {
    const enter = inside === undefined ? [] : ['nsenter', `--target=${pidOf(inside)}`, '--net'];
    const argv = [WATCHER, JSON.stringify(Object.values(ways)), stopFile, `${startFile}${i}`];
    const { stdout } = await host.exec([...enter, process.execPath, ...argv], {
      timeoutMs: SERVES_MS,
    });
    const watched = JSON.parse(stdout) as Watched[];
    return Object.fromEntries(Object.keys(ways).map((asker, at) => [asker, watched[at]]));
  });
  // Whoever waits for the start hears of an early end; otherwise they are awaited at the stop.
  for (const result of results) result.catch(() => undefined);
  const files = watchers.map((_, i) => `${startFile}${i}`);
  await until('the watchers to start', () => (files.every(existsSync) ? true : undefined));
  return {
    stop: async () => {
      writeFileSync(stopFile, '');
      const found = await Promise.all(results);
      for (const file of [stopFile, ...files]) rmSync(file, { force: true });
      return Object.assign({}, ...found) as Record<Asker, Watched>;
    },
  };
}

interface Fault {
  readonly what: string;
  /** Not only in the long form. */
  readonly short?: true;
  readonly begin: () => Promise<unknown>;
  readonly lastsMs: number;
  /** How long to look on afterwards, if not for as long as it lasted. */
  readonly watchedMs?: number;
  readonly end: () => Promise<unknown>;
  /** Whom it may hurt while it lasts; all others must not notice. */
  readonly hurts: readonly Asker[];
  /** Whose connections need not live on. */
  readonly ends?: readonly Asker[];
}

const FAULTS: readonly Fault[] = [
  {
    what: 'a partition between two nodes only',
    short: true,
    begin: () => lab.breakLinks(between([['w1'], ['w2']])),
    lastsMs: FAULT_MS,
    end: () => lab.mendLinks(),
    hurts: FROM_W1,
  },
  {
    what: 'a cut of the control plane only',
    short: true,
    begin: () => {
      const others = lab.nodes.map(({ name }) => name).filter((name) => name !== 'w2');
      return lab.breakLinks(between([['w2'], others], 'control'));
    },
    lastsMs: NOTICED_MS,
    end: () => lab.mendLinks(),
    hurts: [],
  },
  {
    what: 'a cut of the data plane only',
    begin: () => lab.breakLinks(between([['w1'], ['w2']], 'data')),
    lastsMs: FAULT_MS,
    end: () => lab.mendLinks(),
    hurts: FROM_W1,
  },
  {
    what: 'a link that flaps',
    short: true,
    begin: async () => {
      const link = `ip -n ${lab.layout.switchNetns} link set ${lab.layout.port('w2')}`;
      const flap = `${link} down; sleep 0.1; ${link} up; sleep 0.2`;
      // In one go: longer together than managers wait for a node, it would be another fault.
      await run('sh', ['-ec', `for i in 1 2 3; do ${flap}; done`]);
    },
    lastsMs: 0,
    end: () => w2.healCable(),
    hurts: ALL,
  },
  {
    what: 'a link that is out for longer than TCP waits, and less long than managers do',
    short: true,
    begin: async () => {
      const link = `ip -n ${lab.layout.switchNetns} link set ${lab.layout.port('w2')}`;
      await run('sh', ['-ec', `${link} down; sleep ${OUT_SECONDS}; ${link} up`]);
    },
    lastsMs: 0,
    end: () => w2.healCable(),
    watchedMs: OUT_WATCHED_MS,
    hurts: ALL,
  },
  {
    what: 'a network in between that loses large packets',
    begin: () => lab.breakLinks(between([['w1'], ['w2']], 'large')),
    lastsMs: FAULT_MS,
    end: () => lab.mendLinks(),
    // They ask by small ones.
    hurts: [],
  },
  {
    what: 'all firewall rules of a node flushed',
    short: true,
    begin: () => sh(w1, 'nft flush ruleset'),
    lastsMs: 0,
    end: () => Promise.resolve(),
    hurts: ['outside -> w1'],
    // Between the flush and the repair their packets are the node's own, which knows nothing of them.
    ends: ['outside -> w1'],
  },
  {
    what: 'a foreign firewall that drops what is forwarded',
    short: true,
    begin: () => sh(w1, 'iptables -P FORWARD DROP'),
    lastsMs: 0,
    end: () => Promise.resolve(),
    hurts: ['outside -> w1'],
  },
];

function verdict(
  watched: Record<Asker, Watched>,
  { healedAt, hurts, ends }: { healedAt: number } & Required<Pick<Fault, 'hurts' | 'ends'>>,
) {
  const recoveryMs = Math.max(0, ...ALL.map((one) => watched[one].lastFailedAt - healedAt));
  const failed = Object.fromEntries(ALL.map((one) => [one, watched[one].failed]));
  const ended = ALL.filter((one) => watched[one].ended !== undefined && !ends.includes(one));
  const unhurt = ALL.filter((one) => !hurts.includes(one));
  return {
    recoveryMs,
    failed,
    deaf: ALL.filter((one) => watched[one].lastHeardAt < healedAt && !ends.includes(one)),
    ended: ended.map((one) => `${one}: ${watched[one].ended}`),
    silenceMs: Math.max(...ALL.map((one) => watched[one].silenceMs)),
    noticed: unhurt.filter((one) => watched[one].failed > 0),
    asked: Math.min(...ALL.map((one) => watched[one].asked)),
  };
}

it.each(casesOf(FAULTS))('$what', async ({ hurts, ends = [], ...fault }) => {
  const { what, begin, lastsMs, end } = fault;
  const watch = await startWatching();
  await begin();
  await delay(lastsMs);
  await end();
  const healedAt = Date.now();
  await delay(fault.watchedMs ?? (lastsMs < FAULT_MS ? WATCHED_AT_LEAST_MS : WATCHED_MS));
  const seen = verdict(await watch.stop(), { healedAt, hurts, ends });
  process.stdout.write(`${JSON.stringify({ what, ...seen })}\n`);
  expect(seen.noticed).toEqual([]);
  expect([seen.ended, seen.deaf]).toEqual([[], []]);
  expect(seen.recoveryMs).toBeLessThan(RECOVERY_MS);
  expect((await running('target')).map(({ id }) => id)).toEqual([server?.id]);
});

it(
  'the daemon killed again and again while it programs: no traffic notices, nothing is left half made',
  { timeout: 60_000 + KILLS * ROUND_MS },
  async () => {
    const dice = new SeededRandom(SEED);
    const watch = await startWatching();
    const on = ['--network', 'faulty', '--stop-grace-period', '0s', '--publish', '9103:80'];
    const create = 'service create --detach --name churn --constraint node.hostname==w1'.split(' ');
    await ok(...create, ...on, BUSYBOX, 'sleep', '100000');
    for (let round = 0; round < KILLS; round += 1) {
      await ok('service', 'scale', '--detach', `churn=${round % 2 === 0 ? 6 : 1}`);
      await delay(dice.next() * PROGRAMS_MS);
      await lab.crash('w1');
      await lab.cluster.startDaemon(w1);
    }
    await ok('service', 'scale', '--detach', 'churn=2');
    await untilRunning('churn', 2);
    const seen = verdict(await watch.stop(), { healedAt: Date.now(), hurts: [], ends: [] });
    process.stdout.write(`${JSON.stringify({ what: 'kills', rounds: KILLS, ...seen })}\n`);
    expect(seen.noticed).toEqual([]);
    expect(seen.ended).toEqual([]);
    await until('the doctor to find nothing wrong on w1', async () => {
      const { code } = await ctl('w1', 'doctor', 'network');
      return code === 0 ? true : undefined;
    });
    const { nodeId } = await clientOn('w1');
    await until('as many namespaces as tasks on w1', async () => {
      const names = await sh(w1, 'ls /run/netns | grep -c ^swt- || true');
      const rows = JSON.parse(await ok('task', 'ls', '--format', 'json')) as Task[];
      const here = rows.filter((task) => task.nodeId === nodeId && task.status.state === 'running');
      return Number(names) === here.length ? true : undefined;
    });
  },
);
