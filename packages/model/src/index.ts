export type {
  AssignmentSet,
  FileContent,
  NetworkEndpoint,
  NetworkPeer,
  NetworkState,
  PublishedPort,
  ServiceVip,
} from './assignment.ts';
export { tunnelAddress, tunnelAddressOf, tunnelsByIpv6 } from './assignment.ts';
export { addressBlocks, AddressBlocks, addressesOfBlocks } from './address-blocks.ts';
export { joinList, partsOf } from './joined-list.ts';
export { parseAffinity, type Affinity } from './affinity.ts';
export {
  encryptedVxlanPort,
  isEncrypted,
  type EncryptedPeer,
  type KeyRing,
  type NetworkEncryption,
  type NodeEncryption,
  type OverlayKey,
  type OverlayKeys,
} from './encryption.ts';
export {
  architectureName,
  attributeError,
  meetsConstraint,
  nodeAttribute,
  parseConstraint,
  type Constraint,
} from './constraint.ts';
export { fieldChanges } from './field-changes.ts';
export { isIdleImage } from './idle-image.ts';
export {
  asId,
  type ClusterId,
  type ConfigId,
  type IdOf,
  type NetworkId,
  type NodeId,
  type SecretId,
  type ServiceId,
  type TaskId,
} from './ids.ts';
export {
  formatIpv4,
  formatIpv4Network,
  ipv4Contains,
  ipv4NetworksWithin,
  ipv4Overlap,
  ipv4Part,
  ipv4Within,
  parseIpv4,
  parseIpv4Network,
  type Ipv4Network,
} from './ipv4.ts';
export {
  TABLE_NAMES,
  type AutoscaleStatus,
  type Change,
  type Cluster,
  type Config,
  type GenericResource,
  type JobRun,
  type JobStatus,
  type PastSpec,
  type JoinTokens,
  type Meta,
  type Network,
  type Node,
  type NodeDescription,
  type NodePlugin,
  type NodeState,
  type ObjectOf,
  type Reason,
  type Refusal,
  type Resources,
  type Secret,
  type Service,
  type TableName,
  type Task,
  type TaskNetwork,
  type TaskStatus,
  type UpdateState,
  type CanaryProgress,
  type UpdateStatus,
  type VirtualIp,
} from './objects.ts';
export {
  clusterSpec,
  configSpec,
  networkSpec,
  nodeSpec,
  secretSpec,
  type ClusterSpec,
  type ConfigSpec,
  type ConfigSpecInput,
  type NetworkSpec,
  type NodeAvailability,
  type NodeRole,
  type NodeSpec,
  type SecretSpec,
  type SecretSpecInput,
} from './spec/cluster-objects.ts';
export {
  containerSpec,
  mountSpec,
  secretIds,
  type ContainerSpec,
  type FileReference,
  type HealthcheckSpec,
  type LogSpec,
  type MountSpec,
} from './spec/container.ts';
export {
  parseSeccompProfile,
  type CustomSeccompProfile,
  type SeccompCondition,
} from './spec/seccomp-profile.ts';
export {
  logColumns,
  logLines,
  type LogChunk,
  type LogColumns,
  type LogLine,
  type LogStream,
} from './log-chunk.ts';
export {
  LOG_DRIVERS,
  logPlan,
  type LogAttributes,
  type LogDriver,
  type LogFileBounds,
  type LogPlan,
} from './log-options.ts';
export { expandTag, type TagValues } from './log-tag.ts';
export { type SyslogFormat, type SyslogTarget } from './syslog-options.ts';
export type {
  ContainerStats,
  HealthReport,
  HealthResult,
  LayerProgress,
  NetworkFinding,
  PathInfo,
  ProcessInfo,
} from './observed.ts';
export { hasMeshPort, hostText, portText } from './port.ts';
export type { FieldChange, PlannedTask } from './preview.ts';
export { sameLimits } from './resource-limits.ts';
export { isGlobal, isJob, wantedReplicas } from './service-mode.ts';
export {
  serviceSpec,
  type AutoscalePolicy,
  type EndpointSpec,
  type JobSchedule,
  type PortConfig,
  type ServiceMode,
  type ServiceSpec,
  type ServiceSpecInput,
  type RebalancePolicy,
  type CanaryStep,
  type UpdateConfig,
} from './spec/service.ts';
export {
  resourceLimits,
  taskSpec,
  type NetworkAttachmentSpec,
  type Placement,
  type ResourceLimits,
  type ResourceReservations,
  type RestartPolicy,
  type TaskSpec,
} from './spec/task.ts';
export {
  formatRegistryAuth,
  parseRegistryAuth,
  registryHost,
  splitRegistry,
  type RegistryAuth,
  type RegistryCredentials,
} from './registry-auth.ts';
export {
  isTerminal,
  isWantedState,
  rank,
  STANDBY_SLOT,
  TASK_STATES,
  awaitsLimits,
  refusesLimits,
  waitsForNode,
  type DesiredState,
  type TaskState,
} from './task-state.ts';
export {
  containerTemplateError,
  expandContainer,
  fileTemplateError,
  namesServiceLabels,
  namesSlot,
  taskTemplateScope,
  type TemplateNode,
} from './task-template.ts';
export { expandTemplate, type TemplateScope } from './template.ts';
export { canonicalIpv6, parseIpv6Network } from './ipv6.ts';
