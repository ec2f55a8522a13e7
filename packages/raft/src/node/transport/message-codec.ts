/** Core messages <-> wire messages. What does not decode is dropped by the caller: Raft copes. */
import { unreachable } from '@swarmd/base';

import type {
  ConfState,
  Entry,
  EntryId,
  EntryKind,
  Message,
  SnapshotMeta,
} from '../../core/types.ts';
import type {
  WireConfState,
  WireEntry,
  WireEntryId,
  WireMessage,
  WireSnapshotMeta,
} from './wire.ts';

const NORMAL = 'RAFT_ENTRY_KIND_NORMAL';
const CONF_CHANGE = 'RAFT_ENTRY_KIND_CONF_CHANGE';

/** undefined for what never leaves a member (forwarded proposals are switched off). */
export function encodeMessage(message: Message): WireMessage | undefined {
  const head = { from: message.from, to: message.to, term: message.term };
  switch (message.kind) {
    case 'append': {
      const { previous, commit } = message;
      return { ...head, append: { previous, commit, entries: message.entries.map(encodeEntry) } };
    }
    case 'appendReply': {
      const { index, reject, hint } = message;
      return { ...head, appendReply: { index, reject, hint } };
    }
    case 'vote':
    case 'preVote': {
      const { last, transfer, commit } = message;
      return { ...head, vote: { pre: message.kind === 'preVote', last, transfer, commit } };
    }
    case 'voteReply':
    case 'preVoteReply': {
      const { reject, commit } = message;
      return { ...head, voteReply: { pre: message.kind === 'preVoteReply', reject, commit } };
    }
    case 'heartbeat':
      return { ...head, heartbeat: { commit: message.commit, readSeq: message.readSeq } };
    case 'heartbeatReply':
      return { ...head, heartbeatReply: { readSeq: message.readSeq } };
    case 'snapshot':
      return { ...head, snapshot: { meta: encodeSnapshotMeta(message.snapshot) } };
    case 'timeoutNow':
      return { ...head, timeoutNow: {} };
    case 'transfer':
      return { ...head, transfer: { target: message.target } };
    case 'readIndex':
      return { ...head, readIndex: { id: message.id } };
    case 'readIndexReply':
      return { ...head, readIndexReply: { id: message.id, index: message.index } };
    case 'propose':
      return undefined;
    default:
      return unreachable(message);
  }
}

/** undefined for a message of a newer version or with numbers that are not safe integers. */
export function decodeMessage(wire: WireMessage): Message | undefined {
  const head = { from: wire.from, to: wire.to, term: wire.term };
  if (!Object.values(head).every(isIndex)) return undefined;
  const message = decodeReplication(wire, head) ?? decodeElection(wire, head);
  return message ?? decodeRead(wire, head);
}

interface Head {
  readonly from: number;
  readonly to: number;
  readonly term: number;
}

function decodeReplication(wire: WireMessage, head: Head): Message | undefined {
  if (wire.append) {
    const { previous, commit } = wire.append;
    const entries = wire.append.entries.map(decodeEntry);
    if (!isId(previous) || !isIndex(commit) || !entries.every((e) => e !== undefined))
      return undefined;
    return { ...head, kind: 'append', previous, commit, entries };
  }
  if (wire.appendReply) {
    const { index, reject, hint } = wire.appendReply;
    if (!isIndex(index)) return undefined;
    return { ...head, kind: 'appendReply', index, reject, hint: idOr0(hint) };
  }
  if (wire.snapshot) {
    const snapshot = decodeSnapshotMeta(wire.snapshot.meta);
    return snapshot === undefined ? undefined : { ...head, kind: 'snapshot', snapshot };
  }
  return undefined;
}

function decodeElection(wire: WireMessage, head: Head): Message | undefined {
  if (wire.vote) {
    const { pre, last, transfer, commit } = wire.vote;
    if (!isId(last)) return undefined;
    return { ...head, kind: pre ? 'preVote' : 'vote', last, transfer, commit: idOr0(commit) };
  }
  if (wire.voteReply) {
    const { pre, reject, commit } = wire.voteReply;
    const kind = pre ? 'preVoteReply' : 'voteReply';
    return { ...head, kind, reject, commit: idOr0(commit) };
  }
  if (wire.timeoutNow) return { ...head, kind: 'timeoutNow' };
  if (wire.transfer) return { ...head, kind: 'transfer', target: wire.transfer.target };
  return undefined;
}

function decodeRead(wire: WireMessage, head: Head): Message | undefined {
  if (wire.heartbeat) {
    const { commit, readSeq } = wire.heartbeat;
    if (!isIndex(commit)) return undefined;
    return { ...head, kind: 'heartbeat', commit, readSeq };
  }
  if (wire.heartbeatReply) {
    return { ...head, kind: 'heartbeatReply', readSeq: wire.heartbeatReply.readSeq };
  }
  if (wire.readIndex) return { ...head, kind: 'readIndex', id: wire.readIndex.id };
  if (wire.readIndexReply) {
    const { id, index } = wire.readIndexReply;
    return isIndex(index) ? { ...head, kind: 'readIndexReply', id, index } : undefined;
  }
  return undefined;
}

function encodeEntry(entry: Entry): WireEntry {
  const kind = entry.kind === 'normal' ? NORMAL : CONF_CHANGE;
  return { term: entry.term, index: entry.index, kind, data: entry.data };
}

function decodeEntry(wire: WireEntry): Entry | undefined {
  const kinds: Record<string, EntryKind> = { [NORMAL]: 'normal', [CONF_CHANGE]: 'confChange' };
  const kind = kinds[wire.kind];
  if (kind === undefined || !isId(wire)) return undefined;
  return { term: wire.term, index: wire.index, kind, data: wire.data };
}

function encodeSnapshotMeta(meta: SnapshotMeta): WireSnapshotMeta {
  return { last: { term: meta.term, index: meta.index }, confState: meta.confState };
}

function decodeSnapshotMeta(wire: WireSnapshotMeta | null): SnapshotMeta | undefined {
  if (!wire || !isId(wire.last) || !wire.confState) return undefined;
  return {
    term: wire.last.term,
    index: wire.last.index,
    confState: decodeConfState(wire.confState),
  };
}

function decodeConfState(wire: WireConfState): ConfState {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = wire;
  return { voters, votersOutgoing, learners, learnersNext, autoLeave };
}

function isIndex(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isId(id: WireEntryId | null): id is EntryId {
  return id !== null && isIndex(id.term) && isIndex(id.index);
}

function idOr0(id: WireEntryId | null): EntryId {
  return isId(id) ? { term: id.term, index: id.index } : { term: 0, index: 0 };
}
