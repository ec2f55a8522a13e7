/** swarm.v1.Control: the desired state. Any manager answers; followers forward to the leader. */
import type {
  Cluster,
  ClusterSpec,
  Config,
  ConfigId,
  ConfigSpecInput,
  DesiredState,
  FieldChange,
  Network,
  NetworkId,
  NetworkSpec,
  Node,
  NodeId,
  NodeSpec,
  PlannedTask,
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

/** A write that can be previewed, as its request. */
export type Write =
  | { readonly kind: 'create-service'; readonly spec: ServiceSpecInput }
  | {
      readonly kind: 'update-service';
      readonly id: ServiceId;
      readonly version: number;
      readonly spec?: ServiceSpecInput;
      readonly rollback: boolean;
      readonly rollbackTo?: number;
      readonly run?: boolean;
      readonly continueUpdate?: boolean;
    }
  | { readonly kind: 'remove-service'; readonly id: ServiceId }
  | {
      readonly kind: 'update-node';
      readonly id: NodeId;
      readonly version: number;
      readonly spec: NodeSpec;
    }
  | { readonly kind: 'remove-node'; readonly id: NodeId; readonly force: boolean }
  | ({ readonly kind: 'create-network' } & CreateNetwork)
  | ({ readonly kind: 'update-network' } & UpdateNetwork)
  | { readonly kind: 'remove-network'; readonly id: NetworkId }
  | { readonly kind: 'create-secret'; readonly spec: SecretSpecInput }
  | ({ readonly kind: 'update-secret' } & UpdateFile<SecretId, SecretSpecInput>)
  | { readonly kind: 'remove-secret'; readonly id: SecretId }
  | { readonly kind: 'create-config'; readonly spec: ConfigSpecInput }
  | ({ readonly kind: 'update-config' } & UpdateFile<ConfigId, ConfigSpecInput>)
  | { readonly kind: 'remove-config'; readonly id: ConfigId }
  | ({ readonly kind: 'update-cluster' } & UpdateCluster);

interface CreateNetwork {
  readonly spec: Partial<NetworkSpec> & { readonly name: string };
}

/** Only labels and further subnets can change. */
interface UpdateNetwork {
  readonly id: NetworkId;
  readonly version: number;
  readonly spec: NetworkSpec;
}

/** A secret or config: without content in the spec, the content stays as it is. */
interface UpdateFile<Id, Spec> {
  /** Of the newest version. */
  readonly id: Id;
  readonly version: number;
  readonly spec: Spec;
  /** Services keep the version they use until they are updated. */
  readonly keepServices?: boolean;
}

interface UpdateCluster {
  readonly version: number;
  readonly spec?: ClusterSpec;
  readonly rotateWorkerToken: boolean;
  readonly rotateManagerToken: boolean;
  /** As soon as every node has the present keys of encrypted networks. */
  readonly rotateOverlayKeys?: boolean;
}

/** Something a service waits for that comes by itself. */
export interface PlannedWait {
  /** The rule that waits, e.g. "update-delay". */
  readonly code: string;
  readonly message: string;
  /** Milliseconds since the epoch; undefined: nobody can tell. */
  readonly until?: number;
  /** The task that it is about; undefined: the service as a whole. */
  readonly taskId?: TaskId;
}

/** What a write would do at once. */
export interface Preview {
  readonly spec: readonly FieldChange[];
  readonly tasks: readonly PlannedTask[];
  /** Soonest first. */
  readonly waits: readonly PlannedWait[];
  /** Tasks of an older spec that later steps of an update would replace. */
  readonly later: number;
}

export interface NodeVerdict {
  readonly nodeId: NodeId;
  /** Why it refuses; undefined: it would take the task. */
  readonly lacks?: string;
  /** Commands after which it would take the task, all of them; none: no commands do it. */
  readonly cure: readonly string[];
}

export interface Control {
  /** `registryAuth` as in `parseRegistryAuth` of the model; it becomes a secret that goes with the service. */
  createService(
    request: { spec: ServiceSpecInput; registryAuth?: Uint8Array },
    call: Call,
  ): Promise<Service>;
  getService(request: { id: ServiceId }, call: Call): Promise<Service>;
  listServices(request: { filter: ListFilter }, call: Call): Promise<Service[]>;
  listServiceCounts(
    request: { serviceIds: readonly ServiceId[] },
    call: Call,
  ): Promise<ServiceCounts[]>;
  /** `version` is the object's `meta.version` the caller has read. `rollback` ignores `spec`. */
  updateService(
    request: {
      id: ServiceId;
      version: number;
      spec?: ServiceSpecInput;
      rollback: boolean;
      /** `specVersion` of the spec in its history; undefined: the previous one. */
      rollbackTo?: number;
      /** Of a job: run it now, with the spec it has; `spec` and `rollback` are ignored. */
      run?: boolean;
      /** Takes the place of what the service has; replaces none of its tasks. */
      registryAuth?: Uint8Array;
      /** The update goes on from the canary step where it waits for this; `spec` is ignored. */
      continueUpdate?: boolean;
    },
    call: Call,
  ): Promise<Service>;
  removeService(request: { id: ServiceId }, call: Call): Promise<void>;

  /** The write is carried out and taken back; fails as it would. */
  preview(request: Write, call: Call): Promise<Preview>;

  getTask(request: { id: TaskId }, call: Call): Promise<Task>;
  listTasks(request: { filter: TaskFilter }, call: Call): Promise<Task[]>;

  /** Soonest first. */
  listServiceWaits(request: { serviceId: ServiceId }, call: Call): Promise<PlannedWait[]>;
  listNodeVerdicts(request: { taskId: TaskId }, call: Call): Promise<NodeVerdict[]>;

  getNode(request: { id: NodeId }, call: Call): Promise<Node>;
  listNodes(request: { filter: ListFilter }, call: Call): Promise<Node[]>;
  updateNode(request: { id: NodeId; version: number; spec: NodeSpec }, call: Call): Promise<Node>;
  removeNode(request: { id: NodeId; force: boolean }, call: Call): Promise<void>;

  createNetwork(request: CreateNetwork, call: Call): Promise<Network>;
  getNetwork(request: { id: NetworkId }, call: Call): Promise<Network>;
  listNetworks(request: { filter: ListFilter }, call: Call): Promise<Network[]>;
  updateNetwork(request: UpdateNetwork, call: Call): Promise<Network>;
  removeNetwork(request: { id: NetworkId }, call: Call): Promise<void>;

  createSecret(request: { spec: SecretSpecInput }, call: Call): Promise<Secret>;
  getSecret(request: { id: SecretId }, call: Call): Promise<Secret>;
  listSecrets(request: { filter: ListFilter }, call: Call): Promise<Secret[]>;
  updateSecret(request: UpdateFile<SecretId, SecretSpecInput>, call: Call): Promise<Secret>;
  removeSecret(request: { id: SecretId }, call: Call): Promise<void>;

  createConfig(request: { spec: ConfigSpecInput }, call: Call): Promise<Config>;
  getConfig(request: { id: ConfigId }, call: Call): Promise<Config>;
  listConfigs(request: { filter: ListFilter }, call: Call): Promise<Config[]>;
  updateConfig(request: UpdateFile<ConfigId, ConfigSpecInput>, call: Call): Promise<Config>;
  removeConfig(request: { id: ConfigId }, call: Call): Promise<void>;

  getCluster(request: Record<string, never>, call: Call): Promise<Cluster>;
  updateCluster(request: UpdateCluster, call: Call): Promise<Cluster>;
}
