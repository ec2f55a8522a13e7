/** The network plane as its users see it. */
import type { Clock, Logger } from '@swarmd/base';
import type { NetworkFinding, NetworkState, NodeEncryption, Task, TaskId } from '@swarmd/model';

import type { Resolver } from './desired/resolver.ts';
import type { NetworkScope } from './desired/scope.ts';

export interface NetworkAttachment {
  /** Path of the container's network namespace. */
  readonly namespace: string;
  /** Addresses with prefix length inside the container, overlay networks first. */
  readonly addresses: readonly string[];
  /** What its resolv.conf is to say. */
  readonly resolver: Resolver;
}

export interface CheckOptions {
  readonly repair: boolean;
  /** Only what belongs to a network or a service; unless given, all. */
  readonly scope?: NetworkScope;
  readonly signal: AbortSignal;
}

/**
 * The network plane of this machine. Disposing it stops our own work (DNS, timers) and leaves the
 * kernel's state alone, so that containers keep their network while the daemon restarts.
 */
export interface NetworkPlane extends AsyncDisposable {
  /** Brings the kernel to `state`. Calls while one is under way coalesce to the newest state. */
  apply(state: NetworkState, signal: AbortSignal): Promise<void>;
  /** Makes (or finds) the task's namespace with all its interfaces; waits for its networks. */
  attach(task: Task, signal: AbortSignal): Promise<NetworkAttachment>;
  /** Removes the task's namespace and all that belongs to it. */
  detach(taskId: TaskId, signal: AbortSignal): Promise<void>;
  /** Task ids that have a namespace on this machine, from an earlier life too. */
  attached(signal: AbortSignal): Promise<readonly TaskId[]>;
  /** Compares the kernel with what it should be, and tries ways to other nodes; repairs if asked. */
  check(options: CheckOptions): Promise<readonly NetworkFinding[]>;
  /** This node's part in encrypted networks, and when that changes. */
  readonly encryption: NodeEncryption;
  onEncryptionChange(listener: () => void): Disposable;
  /** Removes everything of ours from the kernel, for a node that leaves. Ends the plane. */
  destroy(): Promise<void>;
}

export interface NetworkPlaneOptions {
  /** Folder on a tmpfs: notes that must not outlive a boot, as the kernel's state does not. */
  readonly runDir: string;
  /** Bytes; unless given, the MTU of the interface that holds the node's address. */
  readonly underlay?: { readonly mtu: number };
  /** What the kernel lacks for encrypted networks; unless given, that is tried out. */
  readonly encryption?: { readonly lacks: string };
  readonly clock: Clock;
  readonly logger: Logger;
  /** Servers for names that are not the cluster's; unless given, the host's resolv.conf. */
  readonly dnsUpstreams?: readonly string[];
  /** TCP ports of the control plane, closed to containers. 4242 to 4244 unless given. */
  readonly controlPorts?: readonly number[];
}
