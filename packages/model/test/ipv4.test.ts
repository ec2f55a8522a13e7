import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  formatIpv4,
  formatIpv4Network,
  ipv4Contains,
  ipv4Overlap,
  ipv4Part,
  parseIpv4,
  parseIpv4Network,
  type Ipv4Network,
} from '../src/index.ts';

function network(text: string): Ipv4Network {
  const parsed = parseIpv4Network(text);
  if (parsed === undefined) throw new Error(`${text} is no network`);
  return parsed;
}

describe('IPv4 arithmetic', () => {
  it('reads what it writes, for every address', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (address) => {
        expect(parseIpv4(formatIpv4(address))).toBe(address);
      }),
    );
  });

  it.each([
    '',
    '10.0.0',
    '10.0.0.0.1',
    '10.0.0.256',
    '10.0.0.-1',
    '10.0.0.1e1',
    'a.b.c.d',
    '10..0.1',
  ])('refuses the address "%s"', (text) => expect(parseIpv4(text)).toBeUndefined());

  it.each(['10.0.0.0', '10.0.0.0/', '10.0.0.0/33', '10.0.0.1/24', '10.0.0.0/8/8', '10.0.0.0/x'])(
    'refuses the network "%s"',
    (text) => expect(parseIpv4Network(text)).toBeUndefined(),
  );

  it('overlaps exactly when some address is in both', () => {
    const anyNetwork = fc
      .tuple(fc.integer({ min: 24, max: 32 }), fc.integer({ min: 0, max: 511 }))
      .map(([prefixLength, offset]) => {
        const size = 2 ** (32 - prefixLength);
        return { prefixLength, size, base: Math.floor(offset / size) * size };
      });
    fc.assert(
      fc.property(anyNetwork, anyNetwork, (a, b) => {
        const shared = Array.from({ length: a.size }, (_, at) => a.base + at).some((address) =>
          ipv4Contains(b, address),
        );
        expect(ipv4Overlap(a, b)).toBe(shared);
      }),
    );
  });

  it('divides a pool into parts, and ends with it', () => {
    const pool = network('100.64.0.0/10');
    const part = (n: number) => {
      const found = ipv4Part(pool, 24, n);
      return found && formatIpv4Network(found);
    };
    expect([part(0), part(3), part(16_383), part(16_384), part(-1)]).toEqual([
      '100.64.0.0/24',
      '100.64.3.0/24',
      '100.127.255.0/24',
      undefined,
      undefined,
    ]);
  });
});
