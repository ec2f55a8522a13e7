/** The words that a user goes on by when an update has stopped. */
import type { Service } from '@swarmd/model';

/** What a user can do about an update or a rollback that has stopped; undefined: it has not. */
export function wayOut({ spec: { name }, updateStatus }: Service): string | undefined {
  if (updateStatus?.state === 'paused') {
    return `mend it with service update (swarmctl service update --force ${name} tries the same spec again), or go back with: swarmctl service rollback ${name}`;
  }
  // The spec that failed is no way back, so there is none before this one.
  if (updateStatus?.state === 'rollback-paused') {
    return `mend what the tasks lack and try again with: swarmctl service update --force ${name}; or take another spec: swarmctl service rollback --to SPEC ${name} (swarmctl service history ${name} lists them)`;
  }
  return undefined;
}
