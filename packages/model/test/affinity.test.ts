import { expect, test } from 'vitest';

import { parseAffinity } from '../src/index.ts';

test.each([
  ['service==cache', { service: 'cache', together: true, required: true }],
  [' service != cache ', { service: 'cache', together: false, required: true }],
  ['service==~cache', { service: 'cache', together: true, required: false }],
  ['service!=~cache-2', { service: 'cache-2', together: false, required: false }],
])('%s', (text, expected) => expect(parseAffinity(text)).toEqual(expected));

test.each(['cache', 'service=cache', 'node==cache', 'service==', 'service==a b'])(
  '%s is refused',
  (text) => expect(parseAffinity(text)).toContain('not of the form'),
);
