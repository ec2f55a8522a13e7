/** What becomes of a container that an earlier life of the executor left. Pure. */
import { unreachable } from '@swarmd/base';

import type { ContainerExit } from '../types.ts';
import type { ContainerRecord } from './record.ts';

/** What the machine says of the container now. */
export interface Remains {
  readonly bootId: string;
  /** Content of its exit file. */
  readonly exitCode: number | undefined;
  readonly isProcessAlive: boolean;
  readonly isMonitorAlive: boolean;
  /** Its process still waits to be started. */
  readonly isWaiting: boolean;
}

export type Adoption =
  /** It was never whole, is so no more, or nobody knows of it: everything of it goes. */
  | { readonly kind: 'remove' }
  | { readonly kind: 'exited'; readonly exit: ContainerExit }
  /** It has ended and left its exit code in a file. */
  | { readonly kind: 'ended' }
  /** Its monitor is lost: nobody would learn how it ends, and nobody reads its output. */
  | { readonly kind: 'kill'; readonly exit: ContainerExit }
  | { readonly kind: 'adopt'; readonly phase: 'created' | 'running' };

/** As a process killed by SIGKILL. */
const LOST_CODE = 137;

export function decideAdoption(record: ContainerRecord, remains: Remains): Adoption {
  switch (record.phase) {
    case 'creating':
    case 'removing':
      return { kind: 'remove' };
    case 'exited':
      return { kind: 'exited', exit: record.exit ?? lost('its exit code was lost') };
    case 'created':
    case 'running': {
      if (record.bootId !== remains.bootId) {
        return { kind: 'exited', exit: lost('the machine was restarted') };
      }
      if (remains.exitCode !== undefined) return { kind: 'ended' };
      if (!remains.isMonitorAlive) return { kind: 'kill', exit: MONITOR_LOST };
      // A dead process with a living monitor: the exit file is about to be written.
      const isWaiting = remains.isWaiting && record.phase === 'created';
      return { kind: 'adopt', phase: isWaiting ? 'created' : 'running' };
    }
    default:
      return unreachable(record.phase);
  }
}

export const MONITOR_LOST: ContainerExit = lost(
  'the monitor of the container was lost, so it was killed',
);

function lost(error: string): ContainerExit {
  return { code: LOST_CODE, oomKilled: false, error };
}
