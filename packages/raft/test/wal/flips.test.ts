import { expect, test } from 'vitest';

import { unnoticedFlips } from '../../src/testing/simulator/flip-everything.ts';

test('60: a flipped bit in any byte of any stored value is noticed', async () => {
  expect(await unnoticedFlips()).toEqual([]);
});
