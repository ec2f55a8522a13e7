/** The short words for membership changes: v1 (voter), l1 (learner), r1 (remove), u1 (update). */
import { SwarmError } from '@swarmd/base';
import type { ConfChangeStep } from '../../core/types.ts';

const KINDS: Readonly<Record<string, ConfChangeStep['kind']>> = {
  v: 'addVoter',
  l: 'addLearner',
  r: 'remove',
  u: 'update',
};

/** @throws SwarmError `invalid-argument` for a word that is none of these. */
export function parseConfChangeSteps(text: string): ConfChangeStep[] {
  return text
    .split(/\s+/)
    .filter((word) => word !== '')
    .map((word) => {
      const kind = KINDS[word.charAt(0)];
      const id = Number(word.slice(1));
      if (word.length < 2) throw new SwarmError('invalid-argument', `unknown token ${word}`);
      if (!kind || !Number.isSafeInteger(id)) {
        throw new SwarmError('invalid-argument', `unknown input: ${word}`);
      }
      return { kind, id };
    });
}
