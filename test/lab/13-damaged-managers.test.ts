/** Managers whose log is damaged on the disk: they say what they found, vote no more, and come back as new ones. */
import { afterAll, describe, expect, it } from 'vitest';

import { BUSYBOX, casesOf, ctl, lab, ok, remove, sh, until, untilRunning } from './support.ts';

const RAFT = '/var/lib/swarmd/manager/raft';
const VICTIM = 'm3';
const victim = lab.host(VICTIM);

interface Member {
  readonly raftId: number;
  readonly role: string;
  readonly address: string;
}

async function members(): Promise<Member[]> {
  const { code, stdout } = await ctl('m1', 'swarm', 'raft', 'status', '--format', 'json');
  return code === 0 ? (JSON.parse(stdout) as [{ members: Member[] }])[0].members : [];
}

async function untilVoters(count: number): Promise<Member[]> {
  return until(`${count} voters`, async () => {
    const all = await members();
    return all.length === count && all.every(({ role }) => role === 'voter') ? all : undefined;
  });
}

async function raftIdOf(address: string): Promise<number> {
  const found = (await untilVoters(3)).find((member) => member.address.startsWith(`${address}:`));
  return found?.raftId ?? 0;
}

/** Flips a bit in the middle of a file. */
const flip = (file: string): string =>
  `f=${file}; at=$(( $(stat -c %s $f) / 2 )); old=$(od -An -tu1 -j $at -N 1 $f); ` +
  `printf "\\\\x$(printf %x $(( old ^ 1 )))" | dd of=$f bs=1 seek=$at conv=notrunc status=none`;

afterAll(async () => {
  await ctl('m1', 'node', 'promote', VICTIM);
  await lab.cluster.startDaemon(victim).catch(() => undefined); // It runs already.
  await untilVoters(3);
  await remove('kept');
});

describe('scenario 60, 64: a manager whose log', () => {
  const damages = casesOf([
    {
      short: true,
      what: 'has a flipped bit',
      damage: flip(`$(ls -S ${RAFT}/log/*.log | head -1)`),
      finding: /is damaged: /,
    },
    {
      what: 'has lost a file',
      damage: `rm ${RAFT}/high-water`,
      finding: /is damaged: its high-water file is missing/,
    },
    {
      what: 'was wiped',
      damage: `rm -r ${RAFT}`,
      finding: /is damaged: it is empty although .* it was wiped/,
    },
    {
      short: true,
      what: 'is a copy of another one',
      damage: `rm -r ${RAFT}; mkdir ${RAFT}; tar -C ${RAFT} -xf /run/copy.tar`,
      finding: /is damaged: it belongs to another member/,
    },
  ]);
  it.each(damages)(
    '$what says so, votes no more, and comes back as a new one while its tasks go on',
    async ({ damage, finding }) => {
      const former = await raftIdOf(victim.place.address);
      if ((await ctl('m1', 'service', 'inspect', 'kept')).code !== 0) {
        const flags = ['--name', 'kept', '--constraint', `node.hostname==${VICTIM}`];
        await ok('service', 'create', ...flags, BUSYBOX, 'sleep', '100000');
      }
      const [task] = await untilRunning('kept', 1);
      const copy = await sh(lab.host('m2'), `tar -C ${RAFT} -cf - . | base64 -w 0`);
      // On purpose, so that its tasks are waited for.
      await victim.stopService('swarmd', 'TERM');
      await victim.exec(['sh', '-c', 'base64 -d > /run/copy.tar'], { input: copy });
      await sh(victim, damage);
      await lab.cluster.startDaemon(victim);
      const told = await until('it to say what it found', async () => {
        const { stdout } = await ctl(VICTIM, 'info');
        return finding.test(stdout) ? stdout : undefined;
      });
      expect(told).toContain('must not vote');
      expect(told).toContain('swarmctl node demote');
      // The others go on, and know it as a member that is silent.
      await ok('node', 'ls');
      expect((await members()).map(({ raftId }) => raftId)).toContain(former);
      await ok('node', 'demote', VICTIM);
      await untilVoters(2);
      await until('it to be a worker', async () =>
        (await ctl(VICTIM, 'info')).stdout.includes('worker') ? true : undefined,
      );
      await ok('node', 'promote', VICTIM);
      expect(await raftIdOf(victim.place.address)).not.toBe(former);
      await until('it to answer', async () =>
        (await ctl(VICTIM, 'node', 'ls')).code === 0 ? true : undefined,
      );
      expect((await untilRunning('kept', 1)).map(({ id }) => id)).toEqual([task?.id]);
    },
    480_000,
  );
});
