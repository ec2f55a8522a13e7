/** What every call carries besides its request. The same interfaces serve clients and servers. */
import type { ClusterId, NodeId, NodeRole } from '@swarmd/model';

/** Who is at the other end, from its certificate. */
export interface PeerIdentity {
  readonly nodeId: NodeId;
  readonly role: NodeRole;
  readonly clusterId: ClusterId;
}

/** Who made a call that a manager passes on to the leader: a node, a local user, or a joiner. */
export interface Origin {
  readonly peer?: PeerIdentity;
  readonly local: boolean;
}

/** The copy of the state that an answer comes from. */
export interface ReplicaState {
  /** Raft index of the last entry in it. */
  readonly index: number;
  /**
   * How long that manager has known no leader, in milliseconds. 0: it knows one, and is at most an
   * election timeout behind.
   */
  readonly ageMs: number;
}

export interface Call {
  /** Client: aborts the call. Server: aborts when the client is gone or its deadline has passed. */
  readonly signal: AbortSignal;
  /** Server side of a mutually authenticated connection; undefined on local sockets and for joiners. */
  readonly peer?: PeerIdentity;
  /** Server side: true when the call came over the local socket (guarded by file permissions). */
  readonly local?: boolean;
  /** Client side, between managers: passes the call on in the name of its origin. */
  readonly onBehalfOf?: Origin;
  /**
   * Server side: the manager that passed the call on; `peer` and `local` are then the origin's. Only
   * believed of a peer with a manager's certificate. Such a call is never passed on again.
   */
  readonly forwardedBy?: PeerIdentity;
  /**
   * Reads only: answer from the called manager's own copy of the state, also without a quorum. It may
   * be out of date.
   */
  readonly stale?: boolean;
  /** Told once before a stale read is answered, on both sides. */
  readonly onState?: (state: ReplicaState) => void;
  /**
   * Writes only: the same for every attempt of one request, which then takes effect once. At most 64
   * characters, never used for anything else.
   */
  readonly requestId?: string;
  /** Client side: milliseconds until the call fails with `deadline-exceeded`. */
  readonly timeoutMs?: number;
}
