export { startRaft } from './node/start-raft.ts';
export { electionMsOf, RAFT_TIMINGS, type RaftProfile } from './node/timing.ts';
export type {
  AppliedEntry,
  DurationSummary,
  MembershipChange,
  PeerProgress,
  PeerReport,
  Raft,
  RaftDependencies,
  RaftMember,
  RaftOptions,
  RaftReport,
  RaftStatus,
  RaftTiming,
  RaftTls,
  ReplicationReport,
  Restoring,
  StateMachine,
} from './node/types.ts';
