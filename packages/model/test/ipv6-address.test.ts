/** IPv6 addresses as the kernel writes them. */
import { expect, test } from 'vitest';

import { canonicalIpv6 } from '../src/index.ts';

test.each([
  ['2001:DB8:0:0:0:0:0:7', '2001:db8::7'],
  ['2001:db8::7', '2001:db8::7'],
  ['::1', '::1'],
  ['::', '::'],
  ['fe80::', 'fe80::'],
  ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
  ['1:0:0:2:3:0:0:4', '1::2:3:0:0:4'],
  ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
  ['10::0100:0', '10::100:0'],
  ['fe80::1%eth0', undefined],
  ['::ffff:1.2.3.4', undefined],
])('%s is %s', (text, expected) => {
  expect(canonicalIpv6(text)).toBe(expected);
});
