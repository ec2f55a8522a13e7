/** Removal of a lab's cgroups, in every hierarchy that is mounted. */
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';

import { waitUntil } from './condition.ts';
import { killIfAlive } from './process-identity.ts';

const CGROUP_ROOT = '/sys/fs/cgroup';
const REMOVE_TIMEOUT_MS = 60_000;

function hierarchies(): string[] {
  if (existsSync(`${CGROUP_ROOT}/cgroup.controllers`)) return [CGROUP_ROOT];
  return readdirSync(CGROUP_ROOT, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${CGROUP_ROOT}/${entry.name}`);
}

/** Kills what still runs below `path` (relative to every hierarchy) and removes the cgroups. */
export async function removeCgroups(path: string): Promise<void> {
  for (const root of hierarchies()) {
    const top = `${root}/${path}`;
    await waitUntil({ what: `cgroup ${top} to become empty`, timeoutMs: REMOVE_TIMEOUT_MS }, () =>
      removeTree(top),
    );
  }
}

/** @returns true when the tree is gone. */
function removeTree(top: string): true | undefined {
  if (!existsSync(top)) return true;
  let empty = true;
  for (const entry of readdirSync(top, { withFileTypes: true })) {
    if (entry.isDirectory() && removeTree(`${top}/${entry.name}`) === undefined) empty = false;
  }
  for (const pid of readFileSync(`${top}/cgroup.procs`, 'utf8').split('\n').filter(Boolean)) {
    empty = false;
    killIfAlive(Number(pid));
  }
  if (!empty) return undefined;
  try {
    rmdirSync(top);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EBUSY' || code === 'ENOTEMPTY') return undefined; // the last process is still being reaped
    throw error;
  }
}
