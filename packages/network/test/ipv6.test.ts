import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { groupsOf, ipv4OfReverse, ipv6Of } from '../src/desired/ipv6.ts';

test.each([
  ['fd53:7764:0:1001::/96', '10.0.1.11', 'fd53:7764:0:1001::a00:10b'],
  ['fd53:7764:1:0::/96', '10.0.1.11', 'fd53:7764:1::a00:10b'],
  ['fd53:7764:0:1001::/96', '100.64.0.0', 'fd53:7764:0:1001::6440:0'],
  ['fd00:1:2:3:4:5::/96', '0.0.0.9', 'fd00:1:2:3:4:5:0:9'],
])('%s and %s is %s', (prefix, ipv4, ipv6) => {
  expect(ipv6Of(prefix, ipv4)).toBe(ipv6);
});

const ipv4s = fc.ipV4();

test('the name of an address leads back to it', () => {
  fc.assert(
    fc.property(ipv4s, (ipv4) => {
      const prefix = 'fd53:7764:0:1001::/96';
      const hex = groupsOf(ipv6Of(prefix, ipv4)).map((one) => one.toString(16).padStart(4, '0'));
      const name = `${hex.join('').split('').toReversed().join('.')}.ip6.arpa`;
      expect(ipv4OfReverse(prefix, name)).toBe(ipv4);
      expect(ipv4OfReverse('fd53:7764:0:1002::/96', name)).toBeUndefined();
    }),
  );
});
