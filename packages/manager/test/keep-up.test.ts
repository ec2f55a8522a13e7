import { describe, expect, it } from 'vitest';

import { KeepUp } from '../src/dispatcher/keep-up.ts';
import { FOLLOW_CHANGES } from '../src/limits.ts';

describe('keeping up with what concerns nobody', () => {
  it('takes a turn for so many changes, however they come, and none for fewer', () => {
    const turns: (() => void)[] = [];
    let followed = 0;
    const keepUp = new KeepUp({
      nextTurn: (fn) => turns.push(fn),
      follow: () => (followed += 1),
    });
    keepUp.note(FOLLOW_CHANGES - 1);
    expect(turns).toHaveLength(0);
    keepUp.note(1);
    keepUp.note(5 * FOLLOW_CHANGES);
    expect([turns.length, followed]).toEqual([1, 0]);
    for (const turn of turns.splice(0)) turn();
    keepUp.note(FOLLOW_CHANGES - 1);
    expect([turns.length, followed]).toEqual([0, 1]);
    keepUp.note(1);
    expect(turns).toHaveLength(1);
  });
});
