/**
 * Which ids of this machine stand for the ids of remapped containers (user_namespaces(7)): a range that
 * /etc/subuid and /etc/subgid give to a user, as for Docker's userns-remap.
 */
import { SwarmError } from '@swarmd/base';

import { readIfExists } from '../files/atomic-file.ts';

export interface IdRange {
  /** On this machine; 0 in the container. */
  readonly first: number;
  readonly count: number;
}

export interface IdMapping {
  readonly uid: IdRange;
  readonly gid: IdRange;
}

/** Images use ids up to 65534 ("nobody"); with fewer, files of the image have owners that nobody can be. */
const COUNT_MIN = 65_536;

/** @param user a name or number of the files' first column. @throws SwarmError `failed-precondition`. */
export async function idMapping(user: string, folder = '/etc'): Promise<IdMapping> {
  const range = async (file: string): Promise<IdRange> => {
    const path = `${folder}/${file}`;
    const found = rangeOf(user, String((await readIfExists(path)) ?? ''));
    if (found !== undefined) return found;
    throw new SwarmError(
      'failed-precondition',
      `this node has no ids for remapped containers: ${path} gives "${user}" no range of ${COUNT_MIN}; add e.g. "${user}:100000:${COUNT_MIN}", or run the service without --userns remap`,
    );
  };
  return { uid: await range('subuid'), gid: await range('subgid') };
}

/** The first line of the user that is large enough: "user:first:count". */
export function rangeOf(user: string, text: string): IdRange | undefined {
  for (const line of text.split('\n')) {
    const [name, first, count] = line.trim().split(':');
    const range = { first: Number(first), count: Number(count) };
    // Id 0 of the machine stands for nobody: that would be no remapping.
    const isUsable = Number.isInteger(range.first) && range.first > 0 && range.count >= COUNT_MIN;
    if (name === user && isUsable) return range;
  }
  return undefined;
}
