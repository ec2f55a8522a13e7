/**
 * An update that was paused, or a rollback that failed, stays noted as that until the next spec, also when
 * its tasks have come to run by themselves. Then there is nothing to go on with.
 */
import {
  isWantedState,
  STANDBY_SLOT,
  wantedReplicas,
  type Service,
  type Task,
} from '@swarmd/model';

import { isCurrent } from './converge.ts';

/** Says so; undefined while anything is left of the update. */
export function overcome(service: Service, tasks: readonly Task[]): string | undefined {
  const state = service.updateStatus?.state;
  if (state !== 'paused' && state !== 'rollback-paused') return undefined;
  const wanted = tasks.filter(
    ({ slot, desiredState }) => slot !== STANDBY_SLOT && isWantedState(desiredState),
  );
  const least = service.spec.mode.kind === 'replicated' ? wantedReplicas(service) : 1;
  const areAllWell = wanted.every(
    (task) => task.status.state === 'running' && isCurrent(service, task),
  );
  return areAllWell && wanted.length >= least
    ? 'every task has come to run the present spec since, and nothing is left to do; the next service update takes this note away'
    : undefined;
}
