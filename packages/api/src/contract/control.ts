/** swarm.v1.Control: the desired state. Any manager answers; followers forward to the leader. */
import type {
  Cluster,
  ClusterSpec,
  Config,
  ConfigId,
  ConfigSpecInput,
  DesiredState,
  Network,
  NetworkId,
  NetworkSpec,
  Node,
  NodeId,
  NodeSpec,
  Secret,
  SecretId,
  SecretSpecInput,
  Service,
  ServiceId,
  ServiceSpecInput,
  Task,
  TaskId,
} from '@swarmd/model';

import type { Call } from './call.ts';

/** Empty fields do not restrict. Several values of one field are alternatives; fields must all hold. */
export interface ListFilter {
  readonly ids?: readonly string[];
  readonly idPrefixes?: readonly string[];
  readonly names?: readonly string[];
  /** "key" or "key=value"; all must hold. */
  readonly labels?: readonly string[];
}

export interface TaskFilter extends ListFilter {
  readonly serviceIds?: readonly ServiceId[];
  readonly nodeIds?: readonly NodeId[];
  readonly desiredStates?: readonly DesiredState[];
}

export interface ServiceCounts {
  readonly serviceId: ServiceId;
  /** Tasks that should run; of jobs: that should complete. */
  readonly desired: number;
  readonly running: number;
  /** Of jobs: tasks of the present run that have completed. */
  readonly completed: number;
}

export interface Control {
  createService(request: { spec: ServiceSpecInput }, call: Call): Promise<Service>;
  getService(request: { id: ServiceId }, call: Call): Promise<Service>;
  listServices(request: { filter: ListFilter }, call: Call): Promise<Service[]>;
  listServiceCounts(
    request: { serviceIds: readonly ServiceId[] },
    call: Call,
  ): Promise<ServiceCounts[]>;
  /** `version` is the object's `meta.version` the caller has read. `rollback` ignores `spec`. */
  updateService(
    request: { id: ServiceId; version: number; spec?: ServiceSpecInput; rollback: boolean },
    call: Call,
  ): Promise<Service>;
  removeService(request: { id: ServiceId }, call: Call): Promise<void>;

  getTask(request: { id: TaskId }, call: Call): Promise<Task>;
  listTasks(request: { filter: TaskFilter }, call: Call): Promise<Task[]>;

  getNode(request: { id: NodeId }, call: Call): Promise<Node>;
  listNodes(request: { filter: ListFilter }, call: Call): Promise<Node[]>;
  updateNode(request: { id: NodeId; version: number; spec: NodeSpec }, call: Call): Promise<Node>;
  removeNode(request: { id: NodeId; force: boolean }, call: Call): Promise<void>;

  createNetwork(
    request: { spec: Partial<NetworkSpec> & { name: string } },
    call: Call,
  ): Promise<Network>;
  getNetwork(request: { id: NetworkId }, call: Call): Promise<Network>;
  listNetworks(request: { filter: ListFilter }, call: Call): Promise<Network[]>;
  /** Only labels and further subnets can change. */
  updateNetwork(
    request: { id: NetworkId; version: number; spec: NetworkSpec },
    call: Call,
  ): Promise<Network>;
  removeNetwork(request: { id: NetworkId }, call: Call): Promise<void>;

  createSecret(request: { spec: SecretSpecInput }, call: Call): Promise<Secret>;
  getSecret(request: { id: SecretId }, call: Call): Promise<Secret>;
  listSecrets(request: { filter: ListFilter }, call: Call): Promise<Secret[]>;
  removeSecret(request: { id: SecretId }, call: Call): Promise<void>;

  createConfig(request: { spec: ConfigSpecInput }, call: Call): Promise<Config>;
  getConfig(request: { id: ConfigId }, call: Call): Promise<Config>;
  listConfigs(request: { filter: ListFilter }, call: Call): Promise<Config[]>;
  removeConfig(request: { id: ConfigId }, call: Call): Promise<void>;

  getCluster(request: Record<string, never>, call: Call): Promise<Cluster>;
  updateCluster(
    request: {
      version: number;
      spec?: ClusterSpec;
      rotateWorkerToken: boolean;
      rotateManagerToken: boolean;
    },
    call: Call,
  ): Promise<Cluster>;
}
