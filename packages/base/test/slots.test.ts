import { expect, it } from 'vitest';

import { Slots } from '../src/index.ts';

it('so many at a time, in the order in which they came; who gives up leaves the others their turns', async () => {
  const slots = new Slots(1);
  const told: string[] = [];
  const first = Promise.withResolvers<void>();
  const impatient = new AbortController();
  const say = (word: string) => async (): Promise<void> => void told.push(word);
  const running = slots.run(undefined, () => first.promise);
  const gaveUp = slots.run(impatient.signal, say('gave up'));
  const later = ['a', 'b', 'c'].map((word) => slots.run(undefined, say(word)));
  impatient.abort(new Error('enough'));
  await expect(gaveUp).rejects.toThrow('enough');
  expect(told).toEqual([]);
  first.resolve();
  // Nobody who comes just now is before them.
  await Promise.all([running, ...later, slots.run(undefined, say('d'))]);
  expect(told).toEqual(['a', 'b', 'c', 'd']);
});
