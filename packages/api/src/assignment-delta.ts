/** Assignments on the wire: complete at the start of a session, changes after that. */
import type {
  ConfigId,
  EncryptedPeer,
  FileContent,
  KeyRing,
  NetworkState,
  SecretId,
  Task,
  TaskId,
} from '@swarmd/model';

export interface AssignmentDelta {
  /** True: forget everything known before. */
  readonly full: boolean;
  readonly putTasks: readonly Task[];
  readonly removeTasks: readonly TaskId[];
  readonly putSecrets: readonly FileContent<SecretId>[];
  readonly removeSecrets: readonly SecretId[];
  readonly putConfigs: readonly FileContent<ConfigId>[];
  readonly removeConfigs: readonly ConfigId[];
  readonly network?: NetworkDelta;
}

/** Present parts replace or extend what is known; see `NetworkState` for their meaning. */
export interface NetworkDelta {
  readonly self?: NetworkState['self'];
  readonly vxlanPort?: number;
  readonly putPeers: NetworkState['peers'];
  readonly removePeers: readonly string[];
  readonly putNetworks: NetworkState['networks'];
  readonly removeNetworks: readonly string[];
  /** Keyed by task id and network id, "task/network" in removals. */
  readonly putEndpoints: NetworkState['endpoints'];
  readonly removeEndpoints: readonly string[];
  /** Keyed "service/network". */
  readonly putVips: NetworkState['vips'];
  readonly removeVips: readonly string[];
  /** Keyed "service/protocol/publishedPort/targetPort/mode/address". */
  readonly putPorts: NetworkState['ports'];
  readonly removePorts: readonly string[];
  readonly putNodes: NetworkState['nodes'];
  readonly removeNodes: readonly string[];
  readonly encryptsMesh?: boolean;
  /** Without keys: there is nothing to encrypt any more. */
  readonly keys?: KeyRing;
  readonly putEncryptedPeers: readonly EncryptedPeer[];
  readonly removeEncryptedPeers: readonly string[];
}
