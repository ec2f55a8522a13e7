/** Clients that stay with one backend: how even, and how many move when backends come and go. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { balancing, firstFor } from '../src/desired/balance.ts';
import { shareSlots } from '../src/desired/hash.ts';

const SLOTS = 4_096;
const addresses = fc
  .uniqueArray(fc.nat(65_535), { minLength: 2, maxLength: 32 })
  .map((hosts) => hosts.map((host) => `10.1.${host >> 8}.${host & 255}`).toSorted());

test('a backend that leaves moves its own clients only', () => {
  fc.assert(
    fc.property(addresses, fc.nat(), (backends, which) => {
      const gone = backends[which % backends.length];
      const staying = backends.filter((one) => one !== gone);
      const before = shareSlots(backends, SLOTS).map((at) => backends[at]);
      const after = shareSlots(staying, SLOTS).map((at) => staying[at]);
      const moved = before.filter((owner, slot) => owner !== gone && after[slot] !== owner);
      expect(moved).toEqual([]);
    }),
  );
});

test('shares are even', () => {
  fc.assert(
    fc.property(addresses, (backends) => {
      const counts = backends.map(() => 0);
      for (const at of shareSlots(backends, SLOTS)) counts[at] = (counts[at] ?? 0) + 1;
      const fair = SLOTS / backends.length;
      for (const count of counts) {
        // Five standard deviations of a fair draw.
        expect(Math.abs(count - fair)).toBeLessThan(5 * Math.sqrt(fair));
      }
    }),
  );
});

test('askers begin their turns at different backends, and each has turns of the same length', () => {
  const backends = ['10.1.0.1', '10.1.0.2', '10.1.0.3'];
  const begins = new Map<string, number>();
  for (let asker = 0; asker < 300; asker += 1) {
    const [, [rule = '']] = balancing({
      chain: 'c',
      first: firstFor(`t${asker}`, 'c'),
      backends,
      affinity: 'none',
      affinityTimeoutMs: 0,
    }).chains[0] ?? ['', []];
    const turns = [...rule.matchAll(/\d : ([\d.]+)/g)].map(([, address = '']) => address);
    expect(turns.toSorted()).toEqual(backends);
    begins.set(turns[0] ?? '', (begins.get(turns[0] ?? '') ?? 0) + 1);
  }
  for (const backend of backends) expect(begins.get(backend)).toBeGreaterThan(60);
});

test('the rules of clients that are hashed, and of those that are remembered', () => {
  const backends = ['10.1.0.1', '10.1.0.2'];
  const base = { chain: 'c', first: 0, backends, affinity: 'client-ip', port: 80 } as const;
  const hashed = balancing({ ...base, affinityTimeoutMs: 0 });
  expect(hashed.sets).toEqual([]);
  expect(hashed.chains[0]?.[1][0]).toMatch(
    /^dnat to jhash ip saddr mod 256 seed 0x5a map \{ 0 : 10\.1\.0\.[12] \. 80, 1 : .*, 255 : 10\.1\.0\.[12] \. 80 \}$/,
  );
  const remembered = balancing({ ...base, affinityTimeoutMs: 60_000 });
  expect(remembered.sets.map(([name]) => name)).toEqual(['mem_c_to_10_1_0_1', 'mem_c_to_10_1_0_2']);
  expect(remembered.chains.map(([name]) => name)).toEqual(['c', 'c_to_10_1_0_1', 'c_to_10_1_0_2']);
  expect(remembered.chains[0]?.[1]).toHaveLength(3);
  const many = Array.from({ length: 33 }, (_, host) => `10.1.0.${host}`);
  const spread = balancing({ ...base, backends: many, affinityTimeoutMs: 0 });
  expect(spread.chains[0]?.[1][0]).toContain('mod 4096');
});
