/**
 * `--volumes-from SERVICE[:ro]`: what another service has mounted when this one is created. A copy of its
 * mounts, not a bond: volumes of the driver `local` are the node's (docs/mounts.md says how to bring services together).
 */
import { SwarmError } from '@swarmd/base';
import type { MountSpec } from '@swarmd/model';
import { InvalidArgumentError } from 'commander';

export interface VolumesFrom {
  /** Name, id or id prefix. */
  readonly service: string;
  readonly readOnly: boolean;
}

/** "web", "web:ro", "web:rw". */
export function parseVolumesFrom(text: string): VolumesFrom {
  const [service = '', access = 'rw', ...rest] = text.split(':');
  if (service === '' || rest.length > 0 || !['ro', 'rw'].includes(access))
    throw new InvalidArgumentError('expected SERVICE, SERVICE:ro or SERVICE:rw.');
  return { service, readOnly: access === 'ro' };
}

/**
 * The mounts of a service with those of others: its own come first, then the first that names a target. A tmpfs is
 * each container's own and not taken.
 * @throws SwarmError `failed-precondition` for a volume without a name, and for a service that has nothing to give.
 */
export function mountsWith(
  own: readonly MountSpec[],
  others: readonly {
    readonly name: string;
    readonly mounts: readonly MountSpec[];
    readonly readOnly: boolean;
  }[],
): readonly MountSpec[] {
  const byTarget = new Map(own.map((mount) => [mount.target, mount]));
  for (const { name, mounts, readOnly } of others) {
    const shared = mounts.filter(({ kind }) => kind !== 'tmpfs');
    if (shared.length === 0) {
      throw new SwarmError(
        'failed-precondition',
        `service ${name} has neither bind mounts nor volumes that --volumes-from could take`,
      );
    }
    for (const mount of shared) {
      if (mount.source === '') {
        throw new SwarmError(
          'failed-precondition',
          `the volume at ${mount.target} of service ${name} has no name, so each of its tasks has its own: give it a source, then both services can have it`,
        );
      }
      if (byTarget.has(mount.target)) continue;
      byTarget.set(mount.target, { ...mount, readOnly: mount.readOnly || readOnly });
    }
  }
  return [...byTarget.values()];
}
