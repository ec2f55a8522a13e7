/**
 * One member of a Raft group as a deterministic machine: inputs in, Readys out. No I/O, no clock,
 * no logger; chance comes from `random`. The rules are in the files it calls, the order of work for
 * the driver is at `Ready` in types.ts.
 */
import { assert, unreachable } from '@swarmd/base';
import { checkConfig } from './config.ts';
import { restoreMembership } from './conf-change.ts';
import { encodeConfChange, encodeConfChangeV1 } from './conf-change-codec.ts';
import { handleMessage, roleMessage } from './dispatch.ts';
import { standForElection } from './election.ts';
import { peerUnreachable, propose, snapshotFinished } from './leader.ts';
import { Member } from './member.ts';
import { ReadyMaker } from './ready.ts';
import { appliedTo, applyConfChange } from './reconfigure.ts';
import { becomeFollower } from './roles.ts';
import { statusOf } from './status.ts';
import { tick } from './ticks.ts';
import {
  NO_ID,
  type ConfState,
  type Input,
  type Message,
  type Proposal,
  type RaftCoreOptions,
  type RaftStateMachine,
  type Ready,
  type Status,
  type StepOutcome,
  type StoredNotice,
} from './types.ts';

export class RaftCore implements RaftStateMachine {
  readonly #member: Member;
  readonly #ready: ReadyMaker;

  /** @throws AssertionError when the stored state contradicts itself: it must not be used then. */
  constructor(options: RaftCoreOptions) {
    const { config, hard, log, conf } = options;
    checkConfig(config);
    const limits = { messages: config.maxInflightMessages, bytes: config.maxInflightBytes };
    const member = new Member(options, restoreMembership(conf, { lastIndex: log.last(), limits }));
    assert(
      hard.commit === 0 || (hard.commit >= log.first() - 1 && hard.commit <= log.last()),
      `stored commit ${hard.commit} is within the stored log [${log.first()}, ${log.last()}]`,
    );
    // The commit index is not synced; what was applied proves more.
    member.log.commitTo(Math.max(hard.commit, config.applied));
    member.term = hard.term;
    member.vote = hard.vote;
    if (config.applied > 0) member.log.appliedTo(config.applied);
    becomeFollower(member, hard.term, NO_ID);
    this.#member = member;
    this.#ready = new ReadyMaker(member);
  }

  step(input: Input): StepOutcome {
    const member = this.#member;
    switch (input.kind) {
      case 'tick':
        tick(member);
        return 'accepted';
      case 'message':
        return this.#receive(input.message);
      case 'propose':
        return this.#propose(input.id, { kind: 'normal', data: input.data });
      case 'proposeConfChange':
        return this.#propose(input.id, confChangeProposal(input));
      case 'readIndex':
        return this.#readIndex(input.id);
      case 'transfer':
        return roleMessage(member, {
          ...member.address(member.id),
          kind: 'transfer',
          target: input.to,
        });
      case 'campaign':
        standForElection(member, member.config.preVote ? 'preVote' : 'vote');
        return 'accepted';
      case 'forgetLeader':
        this.#forgetLeader();
        return 'accepted';
      case 'unreachable':
        if (member.role === 'leader') peerUnreachable(member, input.peer);
        return 'accepted';
      case 'snapshotStatus':
        if (member.role === 'leader') snapshotFinished(member, input.peer, input.ok);
        return 'accepted';
      case 'persisted':
        for (const own of this.#ready.persisted(input.seq)) this.#loopBack(own);
        return 'accepted';
      case 'applied':
        appliedTo(member, input.index);
        return 'accepted';
      case 'applyConfChange':
        applyConfChange(member, input.change, input.index);
        return 'accepted';
      case 'stored':
        this.#stored(input.notice);
        return 'accepted';
      default:
        return unreachable(input);
    }
  }

  ready(): Ready | null {
    return this.#ready.next();
  }

  status(): Status {
    return statusOf(this.#member);
  }

  confState(): ConfState {
    return this.#member.tracker.confState();
  }

  /** For scripts that need to know who times out first. */
  setElectionTimeout(ticks: number): void {
    this.#member.electionTimeout = ticks;
  }

  #receive(message: Message): StepOutcome {
    if (ANSWERS.has(message.kind) && !this.#member.tracker.has(message.from)) return 'unknownPeer';
    return handleMessage(this.#member, message);
  }

  #propose(id: number, proposal: Proposal): StepOutcome {
    const member = this.#member;
    const { proposed, dropped } = member.outbox.content;
    if (member.role !== 'leader') {
      const { id: from } = member;
      const entries = [proposal];
      const outcome = roleMessage(member, { from, to: from, term: 0, kind: 'propose', entries });
      // A forwarded one has an unknown fate; that is for scripts, which do not ask.
      if (outcome !== 'accepted') dropped.push({ id, why: outcome as 'noLeader' });
      return outcome;
    }
    const index = member.log.last() + 1;
    const outcome = propose(member, [proposal]);
    if (outcome === 'accepted') proposed.push({ id, index, term: member.term });
    else if (outcome !== 'unknownPeer') dropped.push({ id, why: outcome });
    return outcome;
  }

  #readIndex(id: number): StepOutcome {
    const member = this.#member;
    const candidate = member.role === 'candidate' || member.role === 'pre-candidate';
    const request = { from: member.id, to: member.id, term: 0, kind: 'readIndex', id } as const;
    const outcome = candidate ? 'noLeader' : roleMessage(member, request);
    if (outcome !== 'accepted') member.outbox.content.dropped.push({ id, why: 'noLeader' });
    return outcome;
  }

  #forgetLeader(): void {
    const member = this.#member;
    // A lease counts on followers to stay loyal for an election timeout.
    if (member.role !== 'follower' || member.config.readMode === 'lease') return;
    member.leader = NO_ID;
  }

  #loopBack(own: Message | StoredNotice): void {
    if (own.kind === 'stored') this.#stored(own);
    else handleMessage(this.#member, own);
  }

  /** A notice from an older term may be about entries that a new leader has replaced since. */
  #stored(notice: StoredNotice): void {
    const { log } = this.#member;
    if (notice.term === this.#member.term && notice.last.index !== 0) {
      log.unstable.stored(notice.last);
    }
    if (notice.snapshot) {
      log.unstable.snapshotStored(notice.snapshot.index);
      appliedTo(this.#member, notice.snapshot.index);
    }
  }
}

function confChangeProposal(input: Input & { kind: 'proposeConfChange' }): Proposal {
  const [only] = input.change.steps;
  if (input.v1 && only) return { kind: 'confChangeV1', data: encodeConfChangeV1(only) };
  return { kind: 'confChange', data: encodeConfChange(input.change) };
}

const ANSWERS: ReadonlySet<Message['kind']> = new Set([
  'appendReply',
  'heartbeatReply',
  'voteReply',
  'preVoteReply',
  'readIndexReply',
]);
