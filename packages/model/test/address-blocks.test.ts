import * as fc from 'fast-check';
import { expect, it } from 'vitest';

import { addressBlocks, AddressBlocks, addressesOfBlocks, formatIpv4 } from '@swarmd/model';

it.each([
  { of: [], blocks: [] },
  { of: ['10.0.0.1'], blocks: ['10.0.0.1'] },
  { of: ['10.0.0.2', '10.0.0.1', '10.0.0.1'], blocks: ['10.0.0.1-2'] },
  { of: ['10.0.0.0', '10.0.0.255', '10.0.1.0'], blocks: ['10.0.0.0,255', '10.0.1.0'] },
  {
    of: ['192.168.0.9', '10.0.3.20', '10.0.3.1', '10.0.3.2'],
    blocks: ['10.0.3.1-2,20', '192.168.0.9'],
  },
  { of: ['a host', '10.0.0.1'], blocks: ['10.0.0.1', 'a host'] },
])('$of is $blocks', ({ of, blocks }) => {
  expect(addressBlocks(of)).toEqual(blocks);
});

it('says exactly the addresses it was given', () => {
  const near = fc.integer({ min: 0x0a_00_00_00, max: 0x0a_00_03_ff });
  const far = fc.integer({ min: 0, max: 0xff_ff_ff_ff });
  fc.assert(
    fc.property(fc.array(fc.oneof(near, far), { maxLength: 600 }), (addresses) => {
      const texts = [...new Set(addresses.map(formatIpv4))];
      expect(addressesOfBlocks(addressBlocks(texts)).toSorted()).toEqual(texts.toSorted());
    }),
    { numRuns: 50 },
  );
});

it('five thousand hosts of a few subnets are some hundred bytes', () => {
  const texts = Array.from({ length: 5_000 }, (_, at) => formatIpv4(0xc0_a8_00_00 + at));
  expect(addressBlocks(texts).join('').length).toBeLessThan(400);
});

it('is the same for addresses that came and went as for those that are there', () => {
  const address = fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.7.9', 'a host', '');
  const step = fc.record({ address, comes: fc.boolean(), isAsked: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const blocks = new AddressBlocks();
      const there: string[] = [];
      for (const one of steps) {
        const at = there.indexOf(one.address);
        if (one.comes) there.push(one.address);
        else if (at >= 0) there.splice(at, 1);
        if (one.comes) blocks.add(one.address);
        else blocks.remove(one.address);
        expect(one.isAsked ? blocks.list() : []).toEqual(one.isAsked ? addressBlocks(there) : []);
      }
      expect(blocks.list()).toEqual(addressBlocks(there));
    }),
    { numRuns: 100 },
  );
});
