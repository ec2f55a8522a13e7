/**
 * Five real managers under faults, with clients at all of them: the short form of `npm run lab:raft`. It
 * has a lab of its own, whose hosts have disks that can be spoiled.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { between, Lab, oneWay, waitUntil } from '@swarmd/lab';

import { runFaults } from './faults/run.ts';
import { LAB_NAME, sh } from './support.ts';

const DISK_MIB = 256;
const UP_MS = 600_000;
const RUN_MS = 600_000;
const HEAL_MS = 120_000;

interface Status {
  readonly leader: number;
  readonly term: number;
  readonly members: readonly { readonly raftId: number; readonly address: string }[];
}

const lab = new Lab({ name: `${LAB_NAME}r`, managers: 5, workers: 0, diskMiB: DISK_MIB });

beforeAll(async () => {
  await lab.down();
  await lab.up();
}, UP_MS);

afterAll(() => lab.down(), UP_MS);

/** A host's echo requests that arrive at another, whether or not the answers come back. */
async function arriving(from: string, to: string): Promise<number> {
  const count = async (): Promise<number> => {
    const [names, values] = (await sh(lab.host(to), 'grep ^Icmp: /proc/net/snmp')).split('\n');
    const at = (names ?? '').split(' ').indexOf('InEchos');
    return Number((values ?? '').split(' ')[at]);
  };
  const before = await count();
  const address = lab.host(to).place.address;
  await sh(lab.host(from), `ping -q -c 3 -i 0.1 -W 1 ${address} >/dev/null 2>&1; :`);
  return (await count()) - before;
}

describe('the faults themselves', () => {
  it('cut links in the directions that are named, and no others', async () => {
    await lab.breakLinks(oneWay(['m1'], ['m2']));
    expect(await arriving('m1', 'm2')).toBe(0);
    expect(await arriving('m2', 'm1')).toBe(3);
    await lab.mendLinks();
    await lab.breakLinks(between([['m1'], ['m2', 'm3']]));
    expect(await arriving('m2', 'm1')).toBe(0);
    expect(await arriving('m2', 'm3')).toBe(3);
    await lab.mendLinks();
    expect(await arriving('m1', 'm2')).toBe(3);
  });

  it('fill a disk until nothing fits, and give the room back', async () => {
    const write = 'dd if=/dev/zero of=/var/lib/swarmd/test bs=64k count=1 2>/dev/null; echo $?';
    await lab.spoilDisk('m4', 'fill');
    expect(await sh(lab.host('m4'), write)).toBe('1');
    await lab.heal('m4');
    expect(await sh(lab.host('m4'), write)).toBe('0');
  });

  it('lose what was not synced when the power goes, and keep what was', async () => {
    const folder = '/var/lib/swarmd';
    const line = `cd ${folder}; echo kept > synced; sync synced; sync .; echo lost > unsynced`;
    await sh(lab.host('m5'), line);
    await lab.kill('m5');
    await lab.heal('m5');
    expect(await sh(lab.host('m5'), `cd ${folder}; cat synced unsynced 2>/dev/null; :`)).toBe(
      'kept',
    );
    await lab.cluster.allReady(lab.host('m1'));
  });
});

describe('scenario 63: a leader whose disk hangs', () => {
  const status = async (name: string): Promise<{ leader: string; term: number } | undefined> => {
    const asked = ['swarmctl', 'swarm', 'raft', 'status', '--format', 'json'];
    const { code, stdout } = await lab.host(name).exec(asked, { okCodes: [0, 1, 2, 3, 4, 5] });
    if (code !== 0) return undefined;
    const [{ leader, term, members }] = JSON.parse(stdout) as [Status];
    const address = members.find(({ raftId }) => raftId === leader)?.address.split(':')[0];
    const led = lab.nodes.find((host) => host.place.address === address);
    return led === undefined ? undefined : { leader: led.name, term };
  };

  it('hands over, without an election, and the others go on', async () => {
    const before = await waitUntil({ what: 'a leader', timeoutMs: HEAL_MS }, () => status('m1'));
    const [asked = ''] = lab.nodes.map(({ name }) => name).filter((name) => name !== before.leader);
    await lab.spoilDisk(before.leader, 'hang');
    // A disk that nobody writes to tells nobody that it hangs. What becomes of the write is not the question.
    const write = sh(lab.host(asked), 'echo x | timeout 60 swarmctl config create it-hangs -; :');
    try {
      const after = await waitUntil({ what: 'another leader', timeoutMs: HEAL_MS }, async () => {
        const seen = await status(asked);
        return seen === undefined || seen.leader === before.leader ? undefined : seen;
      });
      expect(after.term).toBe(before.term + 1);
      await sh(lab.host(asked), 'echo x | swarmctl config create while-it-hangs -');
    } finally {
      await lab.heal(before.leader);
      await write;
    }
    await lab.cluster.allReady(lab.host('m1'));
  });
});

describe('what clients of real managers see is linearizable, and nothing acknowledged is lost', () => {
  it.each([
    // Beginning a run and looking at everything after it takes far longer than a fault.
    {
      name: 'scenario 1, 26, 58, 65, 66: kill -9 of some, and of all; partitions, full and one-way',
      faults: ['crash', 'all-crash', 'partition', 'one-way'],
    },
    {
      name: 'scenario 50, 62, 63, 67: frozen managers; a disk that hangs, and a full one',
      faults: ['stop', 'hang', 'fill'],
    },
  ])(
    '$name',
    async ({ faults }) => {
      const { violations, counts } = await runFaults({
        lab,
        seed: faults.length,
        faults,
        registers: 4,
        faultMs: { least: 3_000, more: 0 },
        quietMs: { least: 1_000, more: 0 },
        say: () => undefined,
      });
      expect(violations).toEqual([]);
      // Clients that are always refused would see nothing wrong.
      expect(counts.changes).toBeGreaterThan(5);
      expect(counts.reads).toBeGreaterThan(10);
    },
    RUN_MS,
  );
});
