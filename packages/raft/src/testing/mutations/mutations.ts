/**
 * Known ways to get Raft wrong, as edits of the source that are made while it is loaded: the
 * source itself has no switches. The suite must fail on every one.
 */
import type { Mutation as BaseMutation } from '@swarmd/base/testing';

/** Its path begins at `src/`. */
export interface Mutation extends BaseMutation {
  /** The scenario of raft's checklist that it breaks, where there is one. */
  readonly scenario?: number;
}

/** No mistake: must not be caught, or the table says nothing. */
export const CONTROL: Mutation = {
  name: 'nothing',
  file: 'core/config.ts',
  find: 'const MIB = 1024 * 1024;',
  replace: 'const MIB = 1024 ** 2;',
};

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'votes leave before they are durable',
    scenario: 4,
    file: 'core/member.ts',
    find: 'if (PROMISES.has(message.kind)) {',
    replace:
      "if (PROMISES.has(message.kind) && (message.kind !== 'voteReply' || message.to === this.id)) {",
  },
  {
    name: 'a vote is given although the leader is alive',
    scenario: 7,
    file: 'core/election.ts',
    find: 'member.electionElapsed < member.config.electionTicks',
    replace: 'false',
  },
  {
    name: 'learners do not vote',
    scenario: 9,
    file: 'core/election.ts',
    find: 'if (free && ',
    replace: 'if (!member.isLearner && free && ',
  },
  {
    name: 'one probe for every entry of a divergent tail',
    scenario: 14,
    file: 'core/raft-log.ts',
    find: 'if (own <= term) return { term: own, index: at };',
    replace: 'return { term: own, index: at - 1 };',
  },
  {
    name: 'entries of older terms are committed by counting',
    scenario: 23,
    file: 'core/replication.ts',
    find: 'member.log.tryCommit({ term: member.term, index: member.tracker.quorumIndex() })',
    replace:
      'member.log.tryCommit({ term: member.log.term(member.tracker.quorumIndex()) ?? 0, index: member.tracker.quorumIndex() })',
  },
  {
    name: "the leader's own entries count before they are durable",
    scenario: 25,
    file: 'core/replication.ts',
    find: 'acknowledge(member, member.id, last + entries.length);',
    replace:
      'member.tracker.progress(member.id)?.acknowledge(last + entries.length); commitByQuorum(member);',
  },
  {
    name: 'a new leader takes membership changes at once',
    scenario: 31,
    file: 'core/roles.ts',
    find: 'member.pendingConfIndex = member.log.last();',
    replace: '',
  },
  {
    name: 'campaigns with an unapplied membership change',
    scenario: 32,
    file: 'core/election.ts',
    find: 'if (hasUnappliedConfChange(member, member.log.applied)) return;',
    replace: '',
  },
  {
    name: 'a lost snapshot without report silences the peer',
    scenario: 44,
    file: 'core/ticks.ts',
    find: 'progress.snapshotTicks++;',
    replace: '',
  },
  {
    name: 'reads before the first commit of the term',
    scenario: 51,
    file: 'core/reads.ts',
    find: 'if (!hasCommittedInTerm(member)) member.reads.addEarly(request);',
    replace: 'if (false as boolean) member.reads.addEarly(request);',
  },
  {
    name: 'late heartbeat answers confirm newer reads',
    scenario: 52,
    file: 'core/leader.ts',
    find: 'member.reads.acknowledge(reply.from, reply.readSeq);',
    replace: 'member.reads.acknowledge(reply.from, member.reads.heartbeatSeq());',
  },
  {
    name: 'appends are acknowledged before they are durable',
    file: 'core/member.ts',
    find: 'if (PROMISES.has(message.kind)) {',
    replace:
      "if (PROMISES.has(message.kind) && (message.kind !== 'appendReply' || message.to === this.id)) {",
  },
  {
    name: 'votes for logs that are behind',
    file: 'core/raft-log.ts',
    find: 'return candidate.index >= own.index;',
    replace: 'return true;',
  },
  {
    name: 'a joint membership decides by one half',
    file: 'core/quorum.ts',
    find: 'majorityIndex(voters.outgoing, reached)',
    replace: 'Infinity',
  },
  {
    name: 'elections in a joint membership are won in one half',
    file: 'core/quorum.ts',
    find: 'const outgoing = majorityVote(voters.outgoing, votes);',
    replace: 'const outgoing = majorityVote(voters.incoming, votes);',
  },
  {
    name: 'heartbeats commit what the follower may not have',
    file: 'core/replication.ts',
    find: 'Math.min(progress.match, member.log.committed)',
    replace: 'member.log.committed',
  },
  {
    name: 'a completed write vouches for entries that replaced its own',
    file: 'core/unstable-log.ts',
    find: 'if (id.index < this.#offset || this.term(id.index) !== id.term) return;',
    replace: 'if (id.index < this.#offset || this.term(id.index) === undefined) return;',
  },
  {
    name: 'a full window is never probed',
    file: 'core/leader.ts',
    find: 'progress.paused = false;\n  if (progress.match < member.log.last()',
    replace: 'if (progress.match < member.log.last()',
  },
  {
    name: 'pre-votes change the term',
    file: 'core/dispatch.ts',
    find: "if (kind === 'preVote' || (kind === 'preVoteReply' && !message.reject)) return true;",
    replace: "if (kind === 'preVoteReply' && !message.reject) return true;",
  },
  {
    name: 'two votes in a term',
    file: 'core/election.ts',
    find: '(member.vote === NO_ID && member.leader === NO_ID) ||',
    replace: 'member.leader === NO_ID ||',
  },
  {
    name: 'conflicting entries are kept',
    file: 'core/raft-log.ts',
    find: 'entries.find((entry) => !this.matches(entry))',
    replace: 'entries.find((entry) => entry.index > this.last())',
  },
  {
    name: 'match moves back',
    file: 'core/progress.ts',
    find: 'if (index <= this.match) return false;',
    replace: 'if (index === this.match) return false;',
  },
  {
    name: 'damaged hard state is believed',
    scenario: 60,
    file: 'wal/header.ts',
    find: 'return bytes.readUInt32BE(0) === crc32(content) ? content : undefined;',
    replace: 'return content;',
  },
  {
    name: 'a log that ends too early is believed',
    scenario: 60,
    file: 'wal/boot-check.ts',
    find: 'if (header.batch < batch) {',
    replace: 'if (header.batch < 0) {',
  },
  {
    name: 'batches are not synced',
    file: 'wal/log-store.ts',
    find: 'await this.#database.batch(operations, { sync: change.sync });',
    replace: 'await this.#database.batch(operations, { sync: false });',
  },
  {
    name: 'a failed write counts as written',
    scenario: 61,
    file: 'node/persister.ts',
    find: '        this.#options.onFailure(error);\n',
    replace: '        this.#stopped = false;\n        this.#complete(jobs);\n',
  },
  {
    name: 'the file of a snapshot is removed before the log knows of it',
    scenario: 46,
    file: 'node/snapshots.ts',
    find: '      ...this.#taker.waiting(),\n',
    replace: '',
  },
  {
    name: 'a commit index seen in an election is not taken over',
    scenario: 38,
    file: 'core/election.ts',
    find: 'if (!member.log.tryCommit(commit)) return;',
    replace: 'if (commit.index > -1) return;',
  },
  {
    name: 'all members have the same election timeout',
    scenario: 2,
    file: 'core/member.ts',
    find: 'base + Math.floor(this.#random.next() * base)',
    replace: 'base',
  },
  {
    name: 'a leader without a quorum goes on',
    scenario: 6,
    file: 'core/leader.ts',
    find: 'if (!member.tracker.quorumActive())',
    replace: 'if (false as boolean)',
  },
  {
    name: 'a member at a higher term does not free itself',
    scenario: 8,
    file: 'core/dispatch.ts',
    find: 'if (checkQuorum || preVote) answerStaleLeader',
    replace: 'if (!checkQuorum && !preVote) answerStaleLeader',
  },
  {
    name: 'an old pre-vote is not answered',
    file: 'core/dispatch.ts',
    find: 'rejectVote(member, message);',
    replace: '',
  },
  {
    name: 'a failed snapshot counts as the meeting point',
    scenario: 44,
    file: 'core/leader.ts',
    find: 'if (!ok) progress.pendingSnapshot = 0;',
    replace: '',
  },
  {
    name: 'proposals are taken while leadership is handed over',
    scenario: 56,
    file: 'core/leader.ts',
    find: "if (member.transferTarget !== NO_ID) return 'transferring';",
    replace: '',
  },
  {
    name: 'a transfer is never given up',
    scenario: 56,
    file: 'core/ticks.ts',
    find: 'member.transferTarget = NO_ID;',
    replace: '',
  },
  {
    name: 'a removed leader goes on leading',
    scenario: 35,
    file: 'core/reconfigure.ts',
    find: 'if (member.config.stepDownOnRemoval) becomeFollower(member, member.term, NO_ID);',
    replace: '',
  },
  {
    name: 'entries are applied before they are durable here',
    scenario: 24,
    file: 'core/raft-log.ts',
    find: 'if (this.#applyUnstable) return this.#committed;',
    replace: 'if (this.#applyUnstable || this.#committed > 0) return this.#committed;',
  },
  {
    name: 'entries that were replaced before they were written are acknowledged',
    scenario: 58,
    file: 'node/driver.ts',
    find: "return message.kind !== 'appendReply' || message.reject || message.term >= term;",
    replace: 'return message.term >= 0 || term > 0;',
  },
  {
    name: 'a second membership change while one is not applied',
    scenario: 30,
    file: 'core/leader.ts',
    find: 'if (member.pendingConfIndex > member.log.applied) return false;',
    replace: '',
  },
  {
    name: 'a joint membership is not left by itself',
    scenario: 34,
    file: 'core/reconfigure.ts',
    find: '!member.tracker.membership.autoLeave || !applied',
    replace: '!member.tracker.membership.autoLeave || member.term >= 0',
  },
  {
    name: 'a follower commits what the leader has committed, matched or not',
    scenario: 19,
    file: 'core/follower.ts',
    find: 'log.commitTo(Math.min(message.commit, matched));',
    replace: 'log.commitTo(Math.min(message.commit, log.last()));',
  },
  {
    name: 'a snapshot older than the commit index is installed',
    scenario: 45,
    file: 'core/follower.ts',
    find: 'if (snapshot.index <= log.committed) return false;',
    replace: '',
  },
  {
    name: 'a vote although this term has a leader',
    file: 'core/election.ts',
    find: '(member.vote === NO_ID && member.leader === NO_ID) ||',
    replace: 'member.vote === NO_ID ||',
  },
  {
    name: 'reads are answered without asking a quorum',
    scenario: 50,
    file: 'core/reads.ts',
    find: "member.config.readMode === 'lease' || member.tracker.isSoleVoter(member.id)",
    replace: "member.config.readMode === 'lease' || member.tracker.isVoter(member.id)",
  },
];
