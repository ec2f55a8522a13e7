import * as fc from 'fast-check';
import { expect, it } from 'vitest';

import { objectMaker } from '../src/codec/make-object.ts';

/** Of what is there, in the order of the names. */
function entries(
  names: readonly string[],
  items: readonly unknown[],
  kind?: string,
): [string, unknown][] {
  const own = names.flatMap((name, at): [string, unknown][] =>
    items[at] === undefined ? [] : [[name, items[at]]],
  );
  return kind === undefined ? own : [['kind', kind], ...own];
}

it.each([
  { fields: 0, why: 'of messages without fields' },
  { fields: 5, why: 'of few, whose sets have a literal each' },
  { fields: 12, why: 'of more, of which some sets have none' },
  { fields: 31, why: 'of as many as a set can have' },
  { fields: 40, why: 'of so many that there are no literals' },
])('makes objects of the fields that are there, in order: $why', ({ fields }) => {
  const names = Array.from({ length: fields }, (_, at) => `field${at}`);
  for (const kind of [undefined, 'status-ack']) {
    const make = objectMaker(names, kind);
    const item = fc.option(fc.constantFrom<unknown>(0, '', false, null, 'x'), { nil: undefined });
    fc.assert(
      fc.property(fc.array(item, { minLength: fields, maxLength: fields }), (items) => {
        expect(Object.entries(make(items))).toEqual(entries(names, items, kind));
      }),
      { numRuns: 300 },
    );
  }
});

it('makes plain objects, each of its own', () => {
  const make = objectMaker(['a', 'b'], undefined);
  const [one, other] = [make([1, 2]), make([1, 2])];
  expect(one).toStrictEqual({ a: 1, b: 2 });
  expect(one).not.toBe(other);
});
