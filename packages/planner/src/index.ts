export { allocateEndpoint } from './allocate/endpoint.ts';
export { allocateNetwork, changedNetwork } from './allocate/network.ts';
export { subnetsOf } from './allocate/subnet.ts';
export { allocateNode, nodeAddresses } from './allocate/node.ts';
export type { Allocated } from './allocate/result.ts';
export { isProgress, isQuiet } from './quiet/quiet.ts';
export { lacksEncryption } from './place/plugins.ts';
export { nodeVerdicts, type NodeVerdict } from './place/explain-placement.ts';
export { planService } from './service/plan-service.ts';
export { serviceWaits } from './service/service-waits.ts';
export { REASONS, WAITING_REASONS, type ReasonCode } from './reasons.ts';
export type {
  AssignView,
  Plan,
  PlanContext,
  PlanView,
  TimedWait,
  Wait,
  WaitCode,
} from './types.ts';
export {
  fileIds,
  fileReferences,
  missingFile,
  unusedVersions,
  withFileVersion,
  type FileTable,
  type FileView,
} from './files/versions.ts';
export {
  advanceRing,
  firstRing,
  planKeys,
  type KeyDecision,
  type KeyView,
} from './encryption/key-ring.ts';
export { followsNodes } from './service/follows-nodes.ts';
export { countTasks, type TaskCounts } from './service/count-tasks.ts';
export {
  changedService,
  continuedService,
  newService,
  repeatedJob,
  rollbackSpec,
  rolledBackService,
} from './service-change.ts';
export { acceptStatus, type StatusIntake } from './task-status.ts';
export { assign } from './assign/assign.ts';
export { followTasks } from './follow-tasks.ts';
export { asTold, holdersOf, isLeaving } from './assign/release.ts';
export { reason } from './reasons.ts';
export { planAutoscale, type Measured, type TaskUsage } from './service/autoscale.ts';
export { scheduleFault } from './schedule/cron.ts';
export {
  outdatedTasks,
  plannedTasks,
  servicesConcerned,
  servicesWaiting,
} from './preview/planned-tasks.ts';
