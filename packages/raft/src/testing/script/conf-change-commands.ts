/** The commands of membership scripts: simple, enter-joint, leave-joint. */
import {
  EMPTY_GROUP,
  MembershipChanger,
  type ChangeResult,
  type Group,
} from '../../core/conf-change.ts';
import { ascending, isJoint, type Membership } from '../../core/membership.ts';
import type { RaftId } from '../../core/types.ts';
import { parseConfChangeSteps } from './conf-change-words.ts';
import type { ScriptCase } from './datadriven.ts';
import { describeProgress } from './describe.ts';

const LIMITS = { messages: 10, bytes: Infinity };

/** A membership that one script changes step by step; the log grows by one with every command. */
export class ConfChangeScript {
  #group: Group = EMPTY_GROUP;
  #lastIndex = 0;

  /** Undefined if it is none of these commands. */
  run(test: ScriptCase): string[] | undefined {
    const changer = new MembershipChanger(this.#group, {
      lastIndex: this.#lastIndex,
      limits: LIMITS,
    });
    const result = change(changer, test);
    if (!result) return undefined;
    this.#lastIndex++;
    if (!result.ok) return [result.why];
    this.#group = result.group;
    return describeGroup(this.#group);
  }
}

function change(changer: MembershipChanger, test: ScriptCase): ChangeResult | undefined {
  switch (test.command) {
    case 'simple':
      return changer.simple(parseConfChangeSteps(test.input));
    case 'enter-joint': {
      const autoLeave = test.args.some(
        ({ key, values }) => key === 'autoleave' && values[0] === 'true',
      );
      return changer.enterJoint(autoLeave, parseConfChangeSteps(test.input));
    }
    case 'leave-joint':
      if (test.input !== '') return { ok: false, why: 'this command takes no input' };
      return changer.leaveJoint();
    default:
      return undefined;
  }
}

function describeGroup({ membership, progress }: Group): string[] {
  const peers = ascending(progress.keys()).flatMap((id) => {
    const peer = progress.get(id);
    return peer ? [describeProgress(peer.status(id))] : [];
  });
  return [describeMembership(membership), ...peers];
}

function describeMembership(membership: Membership): string {
  const set = (ids: ReadonlySet<RaftId>): string =>
    `(${ascending(ids)
      .map((id) => id.toString(16))
      .join(' ')})`;
  const { incoming, outgoing, learners, learnersNext, autoLeave } = membership;
  let text = `voters=${set(incoming)}`;
  if (isJoint(membership)) text += `&&${set(outgoing)}`;
  if (learners.size > 0) text += ` learners=${set(learners)}`;
  if (learnersNext.size > 0) text += ` learners_next=${set(learnersNext)}`;
  return autoLeave ? `${text} autoleave` : text;
}
