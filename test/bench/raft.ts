/**
 * How fast consensus is, through the API that users have: writes beside etcd's on the same hosts and
 * disk, in one run; the loss of a leader, a restart and catching up with much state.
 */
import { Lab } from '@swarmd/lab';

import { failover } from './raft/failover.ts';
import { bigState } from './raft/big-state.ts';
import { steadyLeader } from './raft/steady-leader.ts';
import { startEtcd, swarm, type Side } from './raft/sides.ts';
import { compareWrites, warmUp } from './raft/compare-writes.ts';

export interface RaftBenchOptions {
  readonly runs: number;
  readonly slowRuns: number;
  /** How long the leader is watched under full scheduling load. */
  readonly minutes: number;
  readonly tasks: number;
  readonly keep: boolean;
  /** Parts to run. */
  readonly parts: readonly string[];
}

/** Unless others are asked for. */
export const RAFT_PARTS = ['writes', 'failover', 'big-state'];
/** It takes its time. */
export const RAFT_LONG_PART = 'steady';

export async function benchRaft(options: RaftBenchOptions): Promise<void> {
  const lab = new Lab({ name: 'benchraft', managers: 3, workers: 0 });
  await lab.down();
  try {
    await lab.up();
    const ours = swarm(lab, 'socket');
    await besideEtcd(lab, ours, options);
    if (options.parts.includes(RAFT_LONG_PART)) await steadyLeader(lab, ours, options.minutes);
    if (options.parts.includes('big-state')) await bigState(lab, ours, options);
  } finally {
    if (!options.keep) await lab.down();
  }
}

/** etcd runs only while it is compared with. */
async function besideEtcd(lab: Lab, ours: Side, options: RaftBenchOptions): Promise<void> {
  const { parts, runs, slowRuns } = options;
  if (!parts.includes('writes') && !parts.includes('failover')) return;
  const etcd = await startEtcd(lab);
  if (parts.includes('writes')) {
    const sides = [etcd, swarm(lab, 'tcp'), ours];
    await warmUp(sides);
    await compareWrites(lab, sides, { clients: 1, runs });
    await compareWrites(lab, sides, { clients: 64, runs });
  }
  if (parts.includes('failover')) {
    await failover(lab, ours, slowRuns);
    // Without a target: what the machine makes of the same timing.
    await failover(lab, etcd, slowRuns);
  }
  for (const host of lab.nodes) await etcd.kill(host);
}
