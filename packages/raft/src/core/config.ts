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
