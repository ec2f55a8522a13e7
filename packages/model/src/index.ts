export type {
  AssignmentSet,
  FileContent,
  NetworkEndpoint,
  NetworkPeer,
  NetworkState,
  PublishedPort,
  ServiceVip,
} from './assignment.ts';
export { parseAffinity, type Affinity } from './affinity.ts';
export {
  architectureName,
  attributeError,
  meetsConstraint,
  nodeAttribute,
  parseConstraint,
  type Constraint,
} from './constraint.ts';
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
  ipv4Overlap,
  ipv4Part,
  ipv4Within,
  parseIpv4,
  parseIpv4Network,
  type Ipv4Network,
} from './ipv4.ts';
export {
  TABLE_NAMES,
  type Change,
  type Cluster,
  type Config,
  type GenericResource,
  type JobStatus,
  type JoinTokens,
  type Meta,
  type Network,
  type Node,
  type NodeDescription,
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
  type ContainerSpec,
  type FileReference,
  type HealthcheckSpec,
  type MountSpec,
} from './spec/container.ts';
export { isGlobal, isJob } from './service-mode.ts';
export {
  serviceSpec,
  type EndpointSpec,
  type PortConfig,
  type ServiceMode,
  type ServiceSpec,
  type ServiceSpecInput,
  type RebalancePolicy,
  type UpdateConfig,
} from './spec/service.ts';
export {
  taskSpec,
  type NetworkAttachmentSpec,
  type Placement,
  type ResourceLimits,
  type ResourceReservations,
  type RestartPolicy,
  type TaskSpec,
} from './spec/task.ts';
export {
  isTerminal,
  isWantedState,
  rank,
  STANDBY_SLOT,
  TASK_STATES,
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
