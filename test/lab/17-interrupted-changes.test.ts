/** kill -9 of a machine's daemon at each step of becoming a manager, a worker, or nobody: the roles converge. */
import type { Node } from '@swarmd/model';
import { afterAll, describe, expect, it } from 'vitest';

import { casesOf, ctl, lab, ok, sh, until } from './support.ts';

const NAME = 'w1';
const victim = lab.host(NAME);
const STATE = '/var/lib/swarmd';
const TEST_MS = 480_000;
const RAFT_PORT = 4243;
/** Is there while the file is watched. */
const WATCHED = '/run/watched';
const WATCHES_S = 90;

afterAll(async () => {
  await lab.cluster.startDaemon(victim);
  await lab.cluster.form();
  await ctl('m1', 'node', 'demote', NAME);
  await untilVoters(3);
  // The node that it was before it left is another one, which nobody has told that it is gone.
  await until('every node to be a host of the lab', async () => {
    const nodes = JSON.parse(await ok('node', 'ls', '--format', 'json')) as Node[];
    for (const { id, status } of nodes)
      if (status.state === 'down') await ok('node', 'rm', '--force', id);
    return nodes.length === lab.nodes.length ? true : undefined;
  });
});

async function voters(): Promise<number> {
  const { code, stdout } = await ctl('m1', 'swarm', 'raft', 'status', '--format', 'json');
  if (code !== 0) return 0;
  const [{ members }] = JSON.parse(stdout) as [{ members: { role: string }[] }];
  return members.every(({ role }) => role === 'voter') ? members.length : 0;
}

function untilVoters(count: number): Promise<true> {
  return until(`${count} voters`, async () => ((await voters()) === count ? true : undefined));
}

function untilRole(role: 'manager' | 'worker'): Promise<true> {
  return until(`${NAME} to be a ${role}`, async () => {
    const { stdout } = await ctl(NAME, 'info');
    const isIt = new RegExp(`State: +active\\n(.*\\n)*Role: +${role}`).test(stdout);
    const answers = (await ctl(NAME, 'node', 'ls')).code === 0;
    return isIt && answers === (role === 'manager') ? true : undefined;
  });
}

/**
 * Kills the daemon and its manager as soon as a file has been replaced, made or removed so many times.
 * @returns when that is watched for; `killed` once they are dead.
 */
async function killWhen(file: string, times: number): Promise<{ killed: Promise<string> }> {
  const seen = `$(stat -c %i ${STATE}/${file} 2>/dev/null)`;
  await sh(victim, `rm -f ${WATCHED}`);
  const killed = sh(
    victim,
    `end=$(( $(date +%s) + ${WATCHES_S} )); old=${seen}; : >${WATCHED}
     for time in $(seq ${times}); do
       while now=${seen}; [ "$now" = "$old" ]; do [ $(date +%s) -lt $end ] || exit 9; done
       old=$now
     done
     pid=$(cat /run/swarmd.pid); kill -9 $pid $(cat /proc/$pid/task/*/children)
     while kill -0 $pid 2>/dev/null; do :; done`,
  );
  // Whoever waits for the kill hears of it.
  killed.catch(() => undefined);
  await until('the file to be watched', async () =>
    (await sh(victim, `ls ${WATCHED} 2>/dev/null || true`)) === '' ? undefined : true,
  );
  return { killed };
}

/** The file tells the step. What asks for the change may be told anything: it is committed or it is not. */
async function interrupted(
  step: { file: string; times: number },
  ...change: string[]
): Promise<void> {
  const { killed } = await killWhen(step.file, step.times);
  const asked = ctl('m1', ...change);
  await killed;
  await lab.cluster.startDaemon(victim);
  await asked;
  // What was not even committed is asked for again.
  await until(change.join(' '), async () =>
    (await ctl('m1', ...change)).code === 0 ? true : undefined,
  );
}

describe('a manager that cannot be started', () => {
  it(
    'says why, and takes its place once it can',
    async () => {
      const listen = `require('node:net').createServer().listen(${RAFT_PORT}, () => console.log('taken'))`;
      const taker = '/run/taken';
      const pid = await sh(
        victim,
        `: >${taker}; setsid ${process.execPath} -e "${listen}" >${taker} 2>&1 </dev/null & echo $!`,
      );
      await until('the port to be taken', async () =>
        (await sh(victim, `cat ${taker}`)) === 'taken' ? true : undefined,
      );
      try {
        await ok('node', 'promote', NAME);
        const why = await until('it to say why', async () => {
          const { stdout } = await ctl(NAME, 'info');
          return /EADDRINUSE.*|address already in use.*/.exec(stdout)?.[0];
        });
        expect(why).toContain(String(RAFT_PORT));
      } finally {
        await sh(victim, `kill ${pid}; rm -f ${taker}`);
      }
      await untilVoters(4);
      await untilRole('manager');
      await ok('node', 'demote', NAME);
      await untilVoters(3);
      await untilRole('worker');
    },
    TEST_MS,
  );
});

describe('a daemon that is killed', () => {
  const promotions = casesOf([
    { at: 'its certificate is there', file: 'identity/node.pem', times: 1 },
    { short: true, at: 'it has a place in Raft', file: 'identity/node.json', times: 1 },
    { at: 'its log is begun', file: 'manager/raft/high-water', times: 1 },
    { at: 'its manager has served', file: 'identity/node.json', times: 2 },
  ]);
  it.each(promotions)(
    'when $at becomes a manager all the same',
    async (step) => {
      await interrupted(step, 'node', 'promote', NAME);
      await untilVoters(4);
      await untilRole('manager');
      await ok('node', 'demote', NAME);
      await untilVoters(3);
      await untilRole('worker');
    },
    TEST_MS,
  );

  const demotions = casesOf([
    { at: 'its certificate is there', file: 'identity/node.pem', times: 1 },
    { at: 'it has noted its role', file: 'identity/node.json', times: 1 },
    { short: true, at: 'its log is being removed', file: 'manager/raft/high-water', times: 1 },
  ]);
  it.each(demotions)(
    'when $at becomes a worker all the same',
    async (step) => {
      await ok('node', 'promote', NAME);
      await untilVoters(4);
      await untilRole('manager');
      await interrupted(step, 'node', 'demote', NAME);
      await untilVoters(3);
      await untilRole('worker');
    },
    TEST_MS,
  );

  it(
    'while it leaves as a manager is out of Raft, and can be told again',
    async () => {
      await ok('node', 'promote', NAME);
      await untilVoters(4);
      await untilRole('manager');
      const left = ctl(NAME, 'swarm', 'leave', '--force');
      await untilVoters(3);
      await victim.killService('swarmd');
      await left;
      await lab.cluster.startDaemon(victim);
      const out = await until('it to have left', async () => {
        const { stdout } = await ctl(NAME, 'info');
        if (stdout.includes('inactive')) return true;
        await ctl(NAME, 'swarm', 'leave', '--force');
        return undefined;
      });
      expect(out).toBe(true);
      await untilVoters(3);
      await lab.cluster.form();
      await untilRole('worker');
    },
    TEST_MS,
  );
});
