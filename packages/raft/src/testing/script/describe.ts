/** The core's objects in the words of etcd-raft's traces (its `Describe...` functions). */
import { decodeConfChange } from '../../core/conf-change-codec.ts';
import type {
  ConfChangeStep,
  ConfState,
  Entry,
  HardState,
  Message,
  ProgressStatus,
  Proposal,
  RaftId,
  Role,
  SnapshotMeta,
  StoredNotice,
} from '../../core/types.ts';

export const APPEND_THREAD = -1;
export const APPLY_THREAD = -2;

/** Says that a member's state machine has applied `entries`. */
export interface AppliedNotice {
  readonly kind: 'applied';
  readonly to: RaftId;
  readonly entries: readonly Entry[];
}

/** Everything that is on its way in a script's world. */
export type EnvMessage = Message | StoredNotice | AppliedNotice;

/** One shape for all messages, as in etcd's protocol. What is absent is not printed or is 0. */
export interface TraceMessage {
  readonly type: string;
  readonly from: number;
  readonly to: number;
  readonly term: number;
  readonly logTerm?: number;
  readonly index?: number;
  readonly commit?: number;
  readonly vote?: number;
  readonly rejectHint?: number;
  readonly entries?: readonly string[];
  readonly snapshot?: SnapshotMeta;
  readonly responses?: readonly EnvMessage[];
}

const TYPES: Readonly<Record<EnvMessage['kind'], string>> = {
  append: 'MsgApp',
  appendReply: 'MsgAppResp',
  vote: 'MsgVote',
  voteReply: 'MsgVoteResp',
  preVote: 'MsgPreVote',
  preVoteReply: 'MsgPreVoteResp',
  heartbeat: 'MsgHeartbeat',
  heartbeatReply: 'MsgHeartbeatResp',
  snapshot: 'MsgSnap',
  timeoutNow: 'MsgTimeoutNow',
  transfer: 'MsgTransferLeader',
  propose: 'MsgProp',
  readIndex: 'MsgReadIndex',
  readIndexReply: 'MsgReadIndexResp',
  stored: 'MsgStorageAppendResp',
  applied: 'MsgStorageApplyResp',
};

const KINDS: Readonly<Record<Entry['kind'], string>> = {
  normal: 'EntryNormal',
  confChange: 'EntryConfChangeV2',
  confChangeV1: 'EntryConfChange',
};

const ROLES: Readonly<Record<Role, string>> = {
  follower: 'StateFollower',
  'pre-candidate': 'StatePreCandidate',
  candidate: 'StateCandidate',
  leader: 'StateLeader',
};

const STEPS: Readonly<Record<ConfChangeStep['kind'], string>> = {
  addVoter: 'v',
  addLearner: 'l',
  remove: 'r',
  update: 'u',
};

export function typeOf(message: EnvMessage): string {
  return TYPES[message.kind];
}

export function isKnownType(type: string): boolean {
  const local = ['MsgHup', 'MsgBeat', 'MsgUnreachable', 'MsgSnapStatus', 'MsgCheckQuorum'];
  const threads = ['MsgStorageAppend', 'MsgStorageApply', 'MsgForgetLeader'];
  return [...Object.values(TYPES), ...local, ...threads].includes(type);
}

export function describeRole(role: Role): string {
  return ROLES[role];
}

export function describeHardState({ term, vote, commit }: HardState): string {
  return `Term:${term}${vote === 0 ? '' : ` Vote:${vote}`} Commit:${commit}`;
}

export function describeConfState(conf: ConfState): string {
  const list = (ids: readonly RaftId[]): string => `[${ids.join(' ')}]`;
  return (
    `Voters:${list(conf.voters)} VotersOutgoing:${list(conf.votersOutgoing)} ` +
    `Learners:${list(conf.learners)} LearnersNext:${list(conf.learnersNext)} ` +
    `AutoLeave:${conf.autoLeave}`
  );
}

export function describeSnapshot({ index, term, confState }: SnapshotMeta): string {
  return `Index:${index} Term:${term} ConfState:${describeConfState(confState)}`;
}

export function describeEntry(entry: Entry | Proposal): string {
  const at = 'index' in entry ? `${entry.term}/${entry.index}` : '0/0';
  const content =
    entry.kind === 'normal'
      ? quote(entry.data)
      : decodeConfChange(entry)
          .steps.map((step) => `${STEPS[step.kind]}${step.id}`)
          .join(' ');
  return `${at} ${KINDS[entry.kind]}${content === '' ? '' : ` ${content}`}`;
}

export function describeProgress(progress: ProgressStatus): string {
  const state = progress.state[0]?.toUpperCase() + progress.state.slice(1);
  const parts = [`State${state} match=${progress.match} next=${progress.next}`];
  if (progress.learner) parts.push('learner');
  if (progress.paused) parts.push('paused');
  if (progress.pendingSnapshot > 0) parts.push(`pendingSnap=${progress.pendingSnapshot}`);
  if (!progress.recentActive) parts.push('inactive');
  if (progress.inflightMessages > 0) {
    parts.push(
      `inflight=${progress.inflightMessages}${progress.inflightFull !== undefined ? '[full]' : ''}`,
    );
  }
  return `${progress.id}: ${parts.join(' ')}`;
}

export function describeMessage(message: EnvMessage): string {
  return describeTrace(traceOf(message));
}

export function describeTrace(message: TraceMessage, indent = ''): string {
  const { entries = [], responses = [], snapshot } = message;
  let text =
    `${indent}${target(message.from)}->${target(message.to)} ${message.type} ` +
    `Term:${message.term} Log:${message.logTerm ?? 0}/${message.index ?? 0}`;
  if (message.rejectHint !== undefined) text += ` Rejected (Hint: ${message.rejectHint})`;
  if (message.commit) text += ` Commit:${message.commit}`;
  if (message.vote) text += ` Vote:${message.vote}`;
  if (entries.length === 1) text += ` Entries:[${entries[0]}]`;
  else if (entries.length > 1) {
    const lines = entries.map((entry) => `\n${indent}  ${entry}`);
    text += ` Entries:[${lines.join('')}\n${indent}]`;
  }
  if (snapshot) text += `\n${indent}  Snapshot: ${describeSnapshot(snapshot)}`;
  if (responses.length > 0) {
    const lines = responses.map((own) => `\n${describeTrace(traceOf(own), `${indent}  `)}`);
    text += ` Responses:[${lines.join('')}\n${indent}]`;
  }
  return text;
}

function target(id: number): string {
  if (id === APPEND_THREAD) return 'AppendThread';
  if (id === APPLY_THREAD) return 'ApplyThread';
  return id === 0 ? 'None' : id.toString(16);
}

function traceOf(message: EnvMessage): TraceMessage {
  const type = typeOf(message);
  if (message.kind === 'stored') {
    const { to, term, last, snapshot } = message;
    const log = { logTerm: last.term, index: last.index };
    return { type, from: APPEND_THREAD, to, term, ...log, ...(snapshot && { snapshot }) };
  }
  if (message.kind === 'applied') {
    const entries = message.entries.map(describeEntry);
    return { type, from: APPLY_THREAD, to: message.to, term: 0, entries };
  }
  return { type, from: message.from, to: message.to, term: message.term, ...details(message) };
}

function details(message: Message): Partial<TraceMessage> {
  switch (message.kind) {
    case 'append': {
      const { previous, commit, entries } = message;
      const log = { logTerm: previous.term, index: previous.index };
      return { ...log, commit, entries: entries.map(describeEntry) };
    }
    case 'appendReply': {
      const { index, reject, hint } = message;
      return reject ? { index, logTerm: hint.term, rejectHint: hint.index } : { index };
    }
    case 'vote':
    case 'preVote':
      return { logTerm: message.last.term, index: message.last.index };
    case 'voteReply':
    case 'preVoteReply':
      return message.reject ? { rejectHint: 0 } : {};
    case 'heartbeat':
      return { commit: message.commit };
    case 'snapshot':
      return { snapshot: message.snapshot };
    case 'transfer':
      // Its sender is whom leadership should go to.
      return { from: message.target };
    case 'propose':
      return { entries: message.entries.map(describeEntry) };
    case 'readIndexReply':
      return { index: message.index };
    case 'heartbeatReply':
    case 'timeoutNow':
    case 'readIndex':
      return {};
    default:
      return message satisfies never;
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/** Go's %q, as far as scripts need it. */
function quote(data: Uint8Array): string {
  let text = '';
  for (const byte of data) {
    const char = String.fromCharCode(byte);
    const printable = byte >= 32 && byte < 127;
    text += ESCAPES[char] ?? (printable ? char : `\\x${byte.toString(16).padStart(2, '0')}`);
  }
  return `"${text}"`;
}
