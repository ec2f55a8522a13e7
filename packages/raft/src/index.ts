export { startRaft } from './node/start-raft.ts';
export type {
  AppliedEntry,
  MembershipChange,
  PeerProgress,
  Raft,
  RaftDependencies,
  RaftMember,
  RaftOptions,
  RaftStatus,
  RaftTiming,
  RaftTls,
  StateMachine,
} from './node/types.ts';
