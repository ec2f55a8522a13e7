/** Membership changes take effect here, on every member, when their entry is applied. */
import { assert } from '@swarmd/base';
import { MembershipChanger, type Group } from './conf-change.ts';
import { LEAVE_JOINT, encodeConfChange } from './conf-change-codec.ts';
import { propose } from './leader.ts';
import type { Member } from './member.ts';
import { confirmReads } from './reads.ts';
import { broadcastAppend, commitByQuorum, sendAppendIfAny } from './replication.ts';
import { becomeFollower } from './roles.ts';
import { NO_ID, type ConfChange } from './types.ts';

/** The change in the committed entry at `index`. */
export function applyConfChange(member: Member, change: ConfChange, index: number): void {
  // It was handed out before a snapshot overtook it.
  if (index <= member.confIndex) return;
  member.confIndex = index;
  const changer = new MembershipChanger(member.tracker.group, {
    lastIndex: member.log.last(),
    limits: member.inflightLimits,
  });
  const result = changer.apply(change);
  // The change is committed: everybody else has applied it, or will.
  assert(result.ok, `committed membership change applies${result.ok ? '' : `: ${result.why}`}`);
  switchTo(member, result.group);
}

function switchTo(member: Member, group: Group): void {
  member.tracker.adopt(group);
  if (member.role !== 'leader') return;
  const own = member.tracker.progress(member.id);
  if (!own || own.learner) {
    if (member.config.stepDownOnRemoval) becomeFollower(member, member.term, NO_ID);
    return;
  }
  // A smaller quorum may have everything it needs already.
  if (commitByQuorum(member)) {
    broadcastAppend(member);
  } else {
    for (const [id] of member.tracker.members()) {
      if (id !== member.id) sendAppendIfAny(member, id, { evenIfEmpty: false });
    }
  }
  confirmReads(member);
  if (!member.tracker.isVoter(member.transferTarget)) member.transferTarget = NO_ID;
}

/** Everything up to `index` is applied; leaves a joint membership if that is its turn. */
export function appliedTo(member: Member, index: number): void {
  const payload = member.log.appliedTo(index);
  member.uncommittedBytes = Math.max(0, member.uncommittedBytes - payload);
  leaveJointIfDue(member);
}

/** A proposal may be refused, while leadership is being transferred: this is tried again then. */
export function leaveJointIfDue(member: Member): void {
  const applied = member.log.applied >= member.pendingConfIndex;
  if (member.role !== 'leader' || !member.tracker.membership.autoLeave || !applied) return;
  propose(member, [{ kind: 'confChange', data: encodeConfChange(LEAVE_JOINT) }]);
}
