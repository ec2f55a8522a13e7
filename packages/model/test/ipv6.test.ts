import { expect, it } from 'vitest';

import { clusterSpec, parseIpv6Network } from '../src/index.ts';

it.each([
  ['fd53:7764::/32', [0xfd53, 0x7764, 0, 0, 0, 0, 0, 0], 32],
  ['::/0', [0, 0, 0, 0, 0, 0, 0, 0], 0],
  ['2001:DB8:0:1:2:3:4:5/128', [0x2001, 0xdb8, 0, 1, 2, 3, 4, 5], 128],
  ['fd00::1:0/112', [0xfd00, 0, 0, 0, 0, 0, 1, 0], 112],
])('%s is a network', (text, groups, length) => {
  expect(parseIpv6Network(text)).toEqual({ groups, length });
});

it.each([
  'fd53:7764::1/32',
  'fd53:7764::',
  'fd53::7764::/32',
  'fd53:7764/32',
  '1:2:3:4:5:6:7:8::/128',
  'fd53::/129',
  '10.0.0.0/8',
  'fd531::/32',
])('%s is none', (text) => {
  expect(parseIpv6Network(text)).toBeUndefined();
});

it('a pool leaves room for networks and the addresses in them', () => {
  expect(clusterSpec.parse({ overlayPool6: '2001:db8:1::/48' }).overlayPool6).toBe(
    '2001:db8:1::/48',
  );
  for (const overlayPool6 of ['fd00::/80', 'fd00::1/32', '10.0.0.0/8']) {
    expect(() => clusterSpec.parse({ overlayPool6 })).toThrow(/at most 64 bits/);
  }
});
