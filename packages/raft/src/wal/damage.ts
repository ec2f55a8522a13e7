/** How damage is reported: always `data-loss`, always with what was found and what to do. */
import { SwarmError } from '@swarmd/base';

/**
 * A member that lost part of its log may have promised votes or acknowledged entries that it no
 * longer knows of, so it must not take part again (Protocol-Aware Recovery, FAST'18).
 */
export function damaged(directory: string, finding: string, cause?: unknown): SwarmError {
  return new SwarmError(
    'data-loss',
    `the Raft log in ${directory} is damaged: ${finding}. This member must not vote with what is ` +
      'left; it can come back as a new one, with a new Raft id and an empty folder',
    { cause },
  );
}
