/** What hosts of a lab have left of networks when they have all left their cluster again. */
import { waitUntil, type Host, type Lab } from '@swarmd/lab';

import { SNAPSHOT } from '../../packages/network/test/lab/snapshot.ts';

/**
 * Other software's tables, and cables that were plugged out and in, are no concern of ours; and the
 * daemon, which runs on, keeps the files of its executor.
 */
const LINES = [
  ...SNAPSHOT.filter((line) => !/^(nft|ip -o link|find) /.test(line)),
  'find /run/swarmd -type f | grep -v -e /bin/ -e /seccomp',
  'nft list tables | grep swarmd',
  'ip -br link | cut -d" " -f1 | cut -d@ -f1',
];

/** What swarmctl exits with when it is told that this cannot be. */
const REFUSED = 5;
const KERNEL_MS = 10_000;

/** By host: all that we might change, as a sorted list. */
export type Snapshots = ReadonlyMap<string, readonly string[]>;

export async function snapshots(lab: Lab): Promise<Snapshots> {
  const each = lab.nodes.map(async (host) => [host.name, await snapshot(host)] as const);
  return new Map(await Promise.all(each));
}

async function snapshot(host: Host): Promise<string[]> {
  const { stdout } = await host.exec(['sh', '-c', `${LINES.join('; ')}; true`]);
  return stdout
    .split('\n')
    .map((line) => line.trim())
    .toSorted();
}

/** Has all nodes leave their cluster. @returns what they have that they had not before, and the reverse. */
export async function leftBehind(lab: Lab, before: Snapshots): Promise<string[]> {
  const isManager = ({ place }: Host): boolean => place.role === 'manager';
  for (const { name } of lab.nodes) await lab.heal(name);
  await Promise.all(lab.nodes.filter((host) => !isManager(host)).map(leave));
  // The last one has nobody to tell.
  for (const host of lab.nodes.filter(isManager)) await leave(host);
  let differences: string[] = [];
  // The kernel takes what namespaces held away some time after they are gone.
  await waitUntil({ what: 'the hosts to be as they were', timeoutMs: KERNEL_MS }, async () => {
    differences = different(await snapshots(lab), before);
    return differences.length === 0 || undefined;
  }).catch((error: unknown) => {
    if (differences.length === 0) throw error;
  });
  return differences;
}

function different(now: Snapshots, before: Snapshots): string[] {
  return [...now].flatMap(([name, after]) => {
    const own = before.get(name) ?? [];
    return [
      ...surplus(after, own).map((line) => `${name} has: ${line}`),
      ...surplus(own, after).map((line) => `${name} lacks: ${line}`),
    ];
  });
}

/** Nothing where a test that failed had it leave before. */
async function leave(host: Host): Promise<void> {
  const argv = ['swarmctl', 'swarm', 'leave', '--force'];
  const { code, stderr } = await host.exec(argv, { okCodes: [0, REFUSED] });
  if (code === REFUSED && !stderr.includes('is in no cluster')) {
    throw new Error(`${host.name} does not leave: ${stderr}`);
  }
}

function surplus(of: readonly string[], over: readonly string[]): string[] {
  const left = [...over];
  return of.filter((line) => {
    const at = left.indexOf(line);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}
