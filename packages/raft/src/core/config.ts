import { assert } from '@swarmd/base';
import type { RaftConfig, RaftId } from './types.ts';

const MIB = 1024 * 1024;

/**
 * What production runs with: 50 ms ticks give a heartbeat of 100 ms and elections after 1 to 2 s.
 * Byte bounds: a message fills one gRPC frame comfortably, a window covers 100 MB/s at 40 ms.
 */
export function productionConfig(id: RaftId, applied: number): RaftConfig {
  return {
    id,
    electionTicks: 20,
    heartbeatTicks: 2,
    applied,
    maxMessageBytes: MIB,
    maxCommittedBytes: MIB,
    maxUncommittedBytes: 64 * MIB,
    maxInflightMessages: 16,
    maxInflightBytes: 4 * MIB,
    snapshotTicks: 2400,
    checkQuorum: true,
    preVote: true,
    readMode: 'safe',
    forwardProposals: false,
    validateConfChanges: true,
    stepDownOnRemoval: true,
    commitInVotes: true,
    holdUntilTermIsDurable: true,
    applyUnstable: false,
    manualLoopback: false,
  };
}

/** @throws AssertionError for settings under which Raft would not work. */
export function checkConfig(config: RaftConfig): void {
  assert(Number.isSafeInteger(config.id) && config.id > 0, 'a Raft id is a safe integer above 0');
  assert(config.heartbeatTicks > 0, 'heartbeats take at least one tick');
  assert(config.electionTicks > config.heartbeatTicks, 'elections take longer than heartbeats');
  assert(config.maxInflightMessages > 0, 'at least one message may be in flight');
  assert(config.maxCommittedBytes > 0, 'at least one byte may be applied at a time');
  assert(
    config.readMode === 'safe' || config.checkQuorum,
    'leases need a leader that checks its quorum',
  );
}
