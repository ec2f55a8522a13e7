/** The wire format against another implementation of it. */
import { decode, encode, RECURSION_DESIRED, type Packet } from 'dns-packet';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { DNS_CODE, readQuery, writeAnswer, writeError, type Query } from '../src/dns/message.ts';

const label = fc.stringMatching(/^[a-zA-Z0-9_-]{1,20}$/);
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'));
const address = fc.ipV4();
const LIMITS = { bytes: 512, ttlSeconds: 1 };

function queryFor(packet: Omit<Packet, 'type'>): Query {
  const reading = readQuery(encode({ type: 'query', flags: RECURSION_DESIRED, ...packet }));
  if (reading.kind !== 'query') throw new Error(reading.kind);
  return reading.query;
}

test('reads what another encoder wrote, with and without EDNS', () => {
  fc.assert(
    fc.property(name, fc.boolean(), fc.nat(0xffff), (name, edns, id) => {
      const opt = { type: 'OPT', name: '.', udpPayloadSize: 4096, extendedRcode: 0 } as const;
      const additionals = edns
        ? [{ ...opt, ednsVersion: 0, flags: 0, flag_do: false, options: [] }]
        : [];
      const query = queryFor({ id, questions: [{ type: 'AAAA', name }], additionals });
      expect(query.question).toEqual({ name: name.toLowerCase(), type: 28 });
      expect(query.udpBytes).toBe(edns ? 4096 : undefined);
    }),
  );
});

test('another decoder reads what we wrote', () => {
  fc.assert(
    fc.property(
      name,
      fc.array(address, { maxLength: 25 }),
      fc.nat(0xffff),
      (name, addresses, id) => {
        const query = queryFor({ id, questions: [{ type: 'A', name }] });
        const records = addresses.map((address) => ({ type: 'a' as const, address }));
        const answer = decode(writeAnswer(query, { code: DNS_CODE.noError, records }, LIMITS));
        expect(answer).toMatchObject({
          id,
          type: 'response',
          flag_rd: true,
          flag_ra: true,
          flag_tc: false,
        });
        expect(answer.questions).toEqual([{ name, type: 'A', class: 'IN' }]);
        expect(answer.answers?.map((one) => 'data' in one && one.data)).toEqual(addresses);
      },
    ),
  );
});

test('cuts what does not fit, and says so', () => {
  const query = queryFor({ id: 7, questions: [{ type: 'A', name: 'tasks.web' }] });
  const records = Array.from({ length: 100 }, () => ({ type: 'a' as const, address: '10.0.0.1' }));
  const bytes = writeAnswer(query, { code: 0, records }, LIMITS);
  expect(bytes.byteLength).toBeLessThanOrEqual(512);
  expect(decode(bytes).flag_tc).toBe(true);
});

test('names in answers', () => {
  const query = queryFor({ id: 7, questions: [{ type: 'PTR', name: '5.0.0.10.in-addr.arpa' }] });
  const records = [{ type: 'ptr' as const, name: 'web.1.abc' }];
  const answer = decode(writeAnswer(query, { code: 0, records }, LIMITS));
  expect(answer.answers?.[0]).toMatchObject({ type: 'PTR', data: 'web.1.abc', ttl: 1 });
});

test('noise is not answered, bad queries are refused, nothing throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const reading = readQuery(bytes);
      const code = reading.kind === 'error' ? reading.code : 0;
      expect((writeError(bytes, code)[3] ?? 0) & 15).toBe(code);
      if (reading.kind === 'query') writeAnswer(reading.query, { code: 3, records: [] }, LIMITS);
    }),
    { numRuns: 2_000 },
  );
  expect(
    readQuery(encode({ type: 'response', questions: [{ type: 'A', name: 'web' }] })).kind,
  ).toBe('noise');
  expect(readQuery(encode({ type: 'query', questions: [] }))).toEqual({ kind: 'error', code: 1 });
});
