import { expect, it } from 'vitest';

import { LeaveKeys } from '../src/leave-keys.ts';

/** Pieces as they are typed, "^P" and "^Q" for the keys to leave; what the program gets, "!" where it is left. */
it.each<[string[], string[]]>([
  [['ab^P^Qcd'], ['ab!']],
  [
    ['ab^P', '^Qcd'],
    ['ab', '!'],
  ],
  [
    ['a', '^P', '^Q'],
    ['a', '', '!'],
  ],
  [
    ['^P', 'x^Q'],
    ['', '^Px^Q'],
  ],
  [
    ['^P^P', '^Q'],
    ['^P', '!'],
  ],
  [
    ['^P', '^P', '^P^Q'],
    ['', '^P', '^P!'],
  ],
  [
    ['^Q^P', 'a'],
    ['^Q', '^Pa'],
  ],
  [
    ['^P', '', '^Q'],
    ['', '', '!'],
  ],
])('%j becomes %j', (pieces, expected) => {
  const leaveKeys = new LeaveKeys();
  const got = pieces.map((text) => {
    const typed = Buffer.from(text.replaceAll('^P', '\u0010').replaceAll('^Q', '\u0011'));
    const { keys, leaves } = leaveKeys.take(typed);
    const shown = Buffer.from(keys)
      .toString()
      .replaceAll('\u0010', '^P')
      .replaceAll('\u0011', '^Q');
    return `${shown}${leaves ? '!' : ''}`;
  });
  expect(got).toEqual(expected);
});
