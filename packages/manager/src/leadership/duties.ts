/** Everything only the leader does. Opened in one scope, disposed with it in reverse. */
import type { Clock, Ids, Logger, Random, Scope } from '@swarmd/base';
import type { Raft, RaftTiming } from '@swarmd/raft';
import type { Store } from '@swarmd/store';

import { AutoscaleLoop } from '../loops/autoscale-loop.ts';
import { FileVersionLoop } from '../loops/file-version-loop.ts';
import { KeyLoop } from '../loops/key-loop.ts';
import { ServiceLoop } from '../loops/service-loop.ts';
import { PromotionLoop } from '../loops/promotion-loop.ts';
import { RoleLoop } from '../membership/role-loop.ts';
import { ensureInitialObjects, type InitialObjects } from './initial-objects.ts';
import { NodeLiveness } from './node-liveness.ts';
import { ReleaseLoop } from './release-loop.ts';

export interface Duties {
  readonly liveness: NodeLiveness;
  readonly services: ServiceLoop;
  readonly release: ReleaseLoop;
  readonly autoscale: AutoscaleLoop;
}

export interface DutiesOptions {
  readonly store: Store;
  readonly raft: Raft;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly initial: InitialObjects;
  /** How long there was no leader before. */
  readonly leaderlessMs: number;
  readonly raftTiming?: RaftTiming | undefined;
}

/** Resolves when the leader may answer requests. */
export async function openDuties(
  options: DutiesOptions,
  scope: Scope,
  signal: AbortSignal,
): Promise<Duties> {
  const { store, clock, logger } = options;
  await ensureInitialObjects(store, options.initial, signal);
  const liveness = scope.own(new NodeLiveness({ ...options, scope }));
  const services = scope.own(new ServiceLoop(options));
  scope.own(new FileVersionLoop(options));
  scope.own(new KeyLoop(options));
  scope.own(new PromotionLoop(options));
  scope.own(new RoleLoop(options));
  const release = scope.own(new ReleaseLoop({ store, clock, logger, scope }));
  const autoscale = scope.own(new AutoscaleLoop(options));
  return { liveness, services, release, autoscale };
}
