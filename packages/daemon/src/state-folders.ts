/** What is kept for a cluster in this machine's folders, and goes with it. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

type Folders = Readonly<Record<'stateDir' | 'runDir', string>>;

/** The log, the store and the keys of a manager that this machine no longer is. */
export async function removeManagerState({ stateDir }: Folders): Promise<void> {
  await remove(join(stateDir, 'manager'));
}

/** All that is kept for the cluster this machine was in, but for its identity. */
export async function removeClusterState(folders: Folders): Promise<void> {
  await removeManagerState(folders);
  await remove(join(folders.stateDir, 'agent'));
  await remove(join(folders.runDir, 'agent'));
}

function remove(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true });
}
