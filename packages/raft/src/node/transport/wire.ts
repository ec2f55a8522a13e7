/** The messages of raft.proto as `proto-loader` hands them over: numbers for 64-bit fields. */

export interface WireEntryId {
  readonly term: number;
  readonly index: number;
}

export interface WireEntry extends WireEntryId {
  readonly kind: string;
  readonly data: Uint8Array;
}

export interface WireConfState {
  readonly voters: readonly number[];
  readonly votersOutgoing: readonly number[];
  readonly learners: readonly number[];
  readonly learnersNext: readonly number[];
  readonly autoLeave: boolean;
}

export interface WireSnapshotMeta {
  readonly last: WireEntryId | null;
  readonly confState: WireConfState | null;
}

/** Which of the members is set stands in `kind`, a virtual field of the oneof. */
export interface WireMessage {
  readonly from: number;
  readonly to: number;
  readonly term: number;
  readonly kind?: string;
  readonly append?: {
    readonly previous: WireEntryId | null;
    readonly entries: readonly WireEntry[];
    readonly commit: number;
  };
  readonly appendReply?: {
    readonly index: number;
    readonly reject: boolean;
    readonly hint: WireEntryId | null;
  };
  readonly vote?: {
    readonly pre: boolean;
    readonly last: WireEntryId | null;
    readonly transfer: boolean;
    readonly commit: WireEntryId | null;
  };
  readonly voteReply?: {
    readonly pre: boolean;
    readonly reject: boolean;
    readonly commit: WireEntryId | null;
  };
  readonly heartbeat?: { readonly commit: number; readonly readSeq: number };
  readonly heartbeatReply?: { readonly readSeq: number };
  readonly snapshot?: { readonly meta: WireSnapshotMeta | null };
  readonly timeoutNow?: object;
  readonly transfer?: { readonly target: number };
  readonly readIndex?: { readonly id: number };
  readonly readIndexReply?: { readonly id: number; readonly index: number };
}

export interface WireHello {
  readonly clusterId: string;
  readonly from: number;
  readonly to: number;
  readonly nodeId: string;
  readonly address: string;
  readonly incarnation: number;
}

export interface WireDelivery {
  readonly hello?: WireHello | null;
  readonly messages?: readonly WireMessage[];
}

export interface WireFetchRequest {
  readonly clusterId: string;
  readonly from: number;
  readonly last: WireEntryId | null;
  readonly firstFrame: number;
}

export interface WireSnapshotFrame {
  readonly number: number;
  readonly payload: Uint8Array;
  readonly crc: number;
  readonly sha256: Uint8Array;
}
