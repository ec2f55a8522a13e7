export type { AssignmentDelta, NetworkDelta } from './assignment-delta.ts';
export { applyDelta, diffAssignments, sameForNode } from './assignment-diff.ts';
export { connect, type Channel, type ChannelOptions, type ClientTls } from './client/channel.ts';
export {
  createAgentClient,
  createCaClient,
  createControlClient,
  createDispatcherClient,
  createEngineClient,
  createLeaderClient,
  createLocalClient,
  createLogsClient,
  createMembershipClient,
  createWatchClient,
} from './client/clients.ts';
export {
  decodeChanges,
  decodeObject,
  encodeChanges,
  encodeObject,
  type StoredObject,
} from './codec/change.ts';
export type { Call, Origin, PeerIdentity, ReplicaState } from './contract/call.ts';
export type {
  Control,
  ListFilter,
  NodeVerdict,
  PlannedWait,
  Preview,
  ServiceCounts,
  TaskFilter,
  Write,
} from './contract/control.ts';
export type {
  ContainerDetails,
  CopyInRequest,
  Engine,
  Image,
  ImageDetails,
  LoadRequest,
  PullEvent,
  SessionRequest,
  SessionResponse,
  Volume,
} from './contract/engine.ts';
export type {
  Ca,
  Leader,
  AppliedNetwork,
  LiveNode,
  Local,
  LocalInfo,
  Membership,
  RaftMemberInfo,
  RaftPeerInfo,
  RaftStatusInfo,
  StatusReport,
  Watch,
} from './contract/manager-side.ts';
export type {
  AgentMessage,
  AgentService,
  Dispatcher,
  LogRequest,
  Logs,
  LogSelector,
  LogSubscribeRequest,
  ManagerAddress,
  ManagerMessage,
  TaskLogChunk,
  TaskMeasure,
  TaskStatusUpdate,
  TaskUsage,
} from './contract/node-side.ts';
export { serveHealth, type Health, type HealthStatus } from './server/health.ts';
export { serveReflection } from './server/reflection.ts';
export type { ApiServer } from './server/api-server.ts';
export {
  createClusterServer,
  type ClusterServer,
  type ServerTls,
} from './server/cluster-server.ts';
export { guarded } from './server/guard.ts';
export { createLocalServer } from './server/local-server.ts';
export {
  serveAgent,
  serveCa,
  serveControl,
  serveDispatcher,
  serveEngine,
  serveLeader,
  serveLocal,
  serveLogs,
  serveMembership,
  serveWatch,
} from './server/serve.ts';
