/** Following a service through whatever happens: each line of each task once, in its order. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  BUSYBOX,
  casesOf,
  ctl,
  hostOf,
  lab,
  leader,
  ok,
  remove,
  running,
  sh,
  tasks,
  until,
  untilRunning,
} from './support.ts';

/** A hundred lines in one go, so that they are of the same moment; then a pause. */
const COUNT = 'i=1; while :; do seq $i $((i+99)); i=$((i+100)); usleep 300000; done';
const FOLLOWED = '/run/followed.txt';

const reader = lab.host('m1');

/** On the reader's host, because there is much of it: the last line of each task, and what is out of order. */
const CHECK = `awk '{ id = $1; sub(/@.*/, "", id); sub(/.*\\./, "", id)
  if ($NF != last[id] + 1) print "wrong", id, last[id], $NF; last[id] = $NF }
  END { for (id in last) print "last", id, last[id] }' ${FOLLOWED}`;

interface Followed {
  readonly last: ReadonlyMap<string, number>;
  readonly wrong: readonly string[];
}

async function followed(): Promise<Followed> {
  const rows = (await sh(reader, CHECK)).split('\n').filter((row) => row !== '');
  const last = rows.map((row) => row.split(' ')).filter(([kind]) => kind === 'last');
  return {
    last: new Map(last.map(([, id = '', number]) => [id, Number(number)])),
    wrong: rows.filter((row) => row.startsWith('wrong')),
  };
}

/** Waits until everything that was printed by now has come. @returns what came out of order. */
async function allHasCome(): Promise<readonly string[]> {
  const printed = new Map<string, number>();
  for (const { id, status } of await tasks('chatty')) {
    if (status.state !== 'running') continue;
    printed.set(id, Number(await ok('task', 'logs', '--raw', '--tail', '1', id)));
  }
  expect(printed.size).toBeGreaterThan(0);
  const found = await until('what was printed to be shown', async () => {
    const now = await followed();
    const isThere = ([id, last]: [string, number]): boolean => (now.last.get(id) ?? 0) >= last;
    return [...printed].every(isThere) ? now : undefined;
  });
  return found.wrong;
}

async function taskHost(): Promise<string> {
  const [task] = await running('chatty');
  if (task === undefined) throw new Error('no task runs');
  return (await hostOf(task)).name;
}

interface Event {
  readonly name: string;
  readonly short?: boolean;
  readonly happen: () => Promise<void>;
}

const EVENTS: readonly Event[] = [
  {
    name: 'kill -9 of swarmd where a task runs, and of the manager that passes the lines on',
    short: true,
    happen: async () => {
      const name = await taskHost();
      await Promise.all([lab.crash(name), lab.crash('m1')]);
      await Promise.all([lab.heal(name), lab.heal('m1')]);
      await lab.cluster.allReady(reader);
    },
  },
  {
    name: 'a task that ends and is restarted',
    happen: async () => {
      const [task] = await running('chatty');
      await ok('task', 'signal', 'KILL', task?.id ?? '');
      await until('the next task', async () => {
        const now = await running('chatty');
        return now.length === 2 && now.every(({ id }) => id !== task?.id) ? true : undefined;
      });
    },
  },
  {
    name: 'the leader loses power',
    happen: async () => {
      const name = await leader();
      // The reader is a program of m1: it would go with it.
      if (name === 'm1') await lab.crash('m1');
      else await lab.kill(name);
      await until('another leader', async () =>
        (await leader(name === 'm2' ? 'm3' : 'm2')) === name ? undefined : true,
      );
      await lab.heal(name);
      await lab.cluster.allReady(reader);
    },
  },
  {
    name: 'a node is cut off, its task replaced, and the node comes back',
    happen: async () => {
      const name = await taskHost();
      await lab.cut(name);
      await until('a replacement', async () => {
        const now = await running('chatty');
        const hosts = await Promise.all(now.map(hostOf));
        return now.length === 2 && hosts.every((host) => host.name !== name) ? true : undefined;
      });
      await lab.heal(name);
      await lab.cluster.allReady(reader);
    },
  },
];

const JOURNAL = 'journal';
const withJournal = lab.host('w1');
// Its files are its own, and with a name of its own it does not read the kernel's messages.
const START_JOURNAL = `mkdir -p /run/systemd && ln -sfn journal.lab /run/systemd/journal &&
  exec unshare --mount --propagation private sh -c 'mount -t tmpfs tmpfs /var/log && exec /lib/systemd/systemd-journald lab'`;

/** Nodes tell what they have a few times a minute: a journal that is begun now is known at the end. */
async function beginJournal(): Promise<void> {
  const args = ['--log-driver', 'journald', '--log-opt', 'tag={{.Name}}', '--stop-signal', 'KILL'];
  const script = 'echo out; echo bad >&2; sleep 100000';
  await ok('service', 'create', '-d', '--name', 'journaled', ...args, BUSYBOX, 'sh', '-c', script);
  const why = 'journaled.1 has not started: pending: no suitable node (no log driver journald on';
  await until('logs to say why there are none', async () =>
    (await ctl('m1', 'service', 'logs', 'journaled')).stderr.includes(why) ? true : undefined,
  );
  await withJournal.startService(JOURNAL, ['sh', '-c', START_JOURNAL]);
}

beforeAll(async () => {
  await beginJournal();
  const where = ['--constraint', 'node.role==worker', '--restart-delay', '0'];
  const spec = ['--name', 'chatty', '--replicas', '2', '--stop-signal', 'SIGKILL', ...where];
  await ok('service', 'create', ...spec, BUSYBOX, 'sh', '-c', COUNT);
  await untilRunning('chatty', 2);
  const follow = ['swarmctl', 'service', 'logs', '--follow', '--no-trunc', 'chatty'];
  await reader.startService('follow', follow, FOLLOWED);
  await until('lines of both', async () => ((await followed()).last.size === 2 ? true : undefined));
});

afterAll(async () => {
  for (const host of lab.nodes) await lab.heal(host.name);
  await lab.cluster.allReady(reader);
  await remove('chatty', 'journaled');
  await withJournal.stopService(JOURNAL, 'KILL');
  await sh(withJournal, 'rm -rf /run/systemd');
  await until('the follower to end with the service', async () =>
    (await reader.servicePid('follow')) === undefined ? true : undefined,
  );
});

describe('swarmctl service logs --follow', () => {
  it.each(casesOf(EVENTS))('$name', async ({ happen }) => {
    await happen();
    expect(await allHasCome()).toEqual([]);
  });
});

describe('a journal', () => {
  it('gets the lines of services that want it, once there is one', async () => {
    const [task] = await untilRunning('journaled', 1);
    const files = `/proc/$(cat /run/${JOURNAL}.pid)/root/var/log/journal/*/system.journal`;
    const read = `journalctl --file "${files}" -o json CONTAINER_ID_FULL=${task?.id}`;
    const rows = await until('both lines in the journal', async () => {
      const { stdout } = await withJournal.exec(['sh', '-c', read], { okCodes: [0, 1] });
      const found = stdout.split('\n').filter((row) => row.startsWith('{'));
      return found.length === 2 ? found : undefined;
    });
    const tag = { CONTAINER_TAG: expect.stringMatching(/^journaled\.1/) as string };
    expect(rows.map((row) => JSON.parse(row) as object)).toMatchObject([
      { MESSAGE: 'out', PRIORITY: '6', ...tag },
      { MESSAGE: 'bad', PRIORITY: '3', ...tag },
    ]);
    // What the journal has, the node has too, for those who read by swarmctl.
    expect(await ok('service', 'logs', '--raw', 'journaled')).toContain('out');
  });
});
