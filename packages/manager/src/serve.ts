/** Which services a manager serves, where, and to whom. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import {
  createClusterServer,
  createLocalServer,
  serveCa,
  serveControl,
  serveDispatcher,
  serveEngine,
  serveHealth,
  serveLeader,
  serveLogs,
  serveMembership,
  serveReflection,
  serveWatch,
  type ApiServer,
  type ClusterServer,
  type Health,
  type ServerTls,
} from '@swarmd/api';
import type { RaftStatus } from '@swarmd/raft';

import { createControl } from './control/control.ts';
import type { Core } from './core.ts';
import { createCa } from './identity/ca.ts';
import { createLeaderService } from './leadership/leader-service.ts';
import { createMembership } from './membership/membership.ts';
import { forKnownManagers } from './net/known-managers.ts';
import type { Peers } from './net/peers.ts';
import { createEngine } from './observe/engine.ts';
import { createLogs } from './observe/logs.ts';
import { createWatch } from './observe/watch.ts';
import type { ManagerIdentity } from './options.ts';

/** The cluster port opens last: what comes in finds everything in place. */
export async function serve(
  core: Core,
  reached: { peers: Peers; identity: () => ManagerIdentity; stack: AsyncDisposableStack },
): Promise<{ controlSocket: string; cluster: ClusterServer }> {
  const { options, store, raft, route, leadership, dispatcher } = core;
  const { peers, identity, stack } = reached;
  const { clock, logger, clusterId } = options;
  const control = createControl({ ...options, store, raft, route });
  const watch = createWatch(store);
  const logs = createLogs({ ...options, store, agentAt: (address) => peers.agent(address).agent });
  const engine = createEngine({ store, engineAt: (address) => peers.agent(address).engine });
  const membership = createMembership({ ...options, store, raft, route });
  const addShared = (server: ApiServer): void => {
    serveControl(server, forKnownManagers(control, store.view));
    serveWatch(server, forKnownManagers(watch, store.view));
    serveLogs(server, forKnownManagers(logs, store.view));
    serveEngine(server, forKnownManagers(engine, store.view));
    serveMembership(server, forKnownManagers(membership, store.view));
    serveReflection(server);
  };
  await mkdir(options.runDir, { recursive: true, mode: 0o700 });
  const controlSocket = join(options.runDir, 'control.sock');
  const local = stack.use(await createLocalServer({ path: controlSocket, logger }));
  addShared(local);
  followHealth(core, serveHealth(local), stack);
  const tls = (): ServerTls => ({ ...identity(), clusterId });
  const cluster = stack.use(await createClusterServer({ ...options.listen, tls, logger }));
  addShared(cluster);
  serveDispatcher(cluster, dispatcher);
  const reports = createLeaderService({ leadership, store, raft, clock });
  serveLeader(cluster, forKnownManagers(reports, store.view));
  serveCa(cluster, createCa({ ...options, store, raft, route }));
  followHealth(core, serveHealth(cluster), stack);
  return { controlSocket, cluster };
}

/** A manager can be used while it knows a leader to bring requests to. */
function followHealth({ raft }: Core, health: Health, stack: AsyncDisposableStack): void {
  const tell = ({ leader }: Pick<RaftStatus, 'leader'>): void => {
    const status = leader === 0 ? 'not-serving' : 'serving';
    health.set('', status);
    health.set('swarm.v1.Control', status);
  };
  tell(raft.status());
  stack.use(raft.onStatus(tell));
}
