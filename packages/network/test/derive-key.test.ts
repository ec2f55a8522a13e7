import { expect, test } from 'vitest';

import { deriveKey } from '../src/apply/derive-key.ts';
import { statesOf, policiesOf } from '../src/apply/observe-encryption.ts';
import { withoutKeys } from '../src/desired/differences.ts';
import { espPolicyObject, espStateObject, guardObjects } from '../src/desired/kernel-object.ts';

const secret = new Uint8Array(32).fill(1);

test('a key is that of HKDF-SHA-256: the same on every node, another for every purpose and secret', () => {
  // By RFC 5869 in another language: HMAC(HMAC(32 zeros, secret), "a to b" 0x01), its first 20 bytes.
  expect(deriveKey(secret, 'a to b')).toBe('0xea1ec0bc733d15b081342b7432e4e61af285bb2b');
  expect(deriveKey(secret, 'a to b')).toBe(deriveKey(new Uint8Array(secret), 'a to b'));
  const keys = [
    deriveKey(secret, 'a to b'),
    deriveKey(secret, 'b to a'),
    deriveKey(new Uint8Array(32).fill(2), 'a to b'),
  ];
  expect(new Set(keys).size).toBe(3);
});

const ends = { source: '10.99.0.2', destination: '10.99.0.1', port: 4_790 };

/** As iproute2 6.1 prints them. */
const STATES = `src 10.99.0.2 dst 10.99.0.1
\tproto esp spi 0x02000265 reqid 1398230340 mode transport
\treplay-window 0 flag esn
\taead rfc4106(gcm(aes)) 0x5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a 128
\tanti-replay esn context:
\t seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0x0
\t replay_window 1024, bitmap-length 32
\t 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 
\tsel src 10.99.0.2/32 dst 10.99.0.1/32 proto udp dport 4790 
src 192.0.2.1 dst 192.0.2.2
\tproto esp spi 0xc0000001 reqid 7 mode tunnel
\taead rfc4106(gcm(aes)) 0x00 128
`;
const POLICIES = `src 10.99.0.2/32 dst 10.99.0.1/32 proto udp dport 4790 
\tdir out priority 23041 ptype main 
\ttmpl src 10.99.0.2 dst 10.99.0.1
\t\tproto esp spi 0x02000265 reqid 1398230340 mode transport
src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 4790 
\tdir in priority 23042 ptype main 
\ttmpl src 0.0.0.0 dst 0.0.0.0
\t\tproto esp reqid 1398230340 mode transport
src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 4790 
\tdir out action block priority 23042 ptype main 
src 0.0.0.0/0 dst 0.0.0.0/0 
\tsocket in priority 0 ptype main 
`;

test('what the kernel has is read as what was put there; what others have is left alone', () => {
  const key = `0x${'5a'.repeat(20)}`;
  expect(statesOf(STATES)).toEqual([espStateObject({ ...ends, spi: '0x02000265', key })]);
  const [out, into] = guardObjects(4_790);
  expect(policiesOf(POLICIES)).toEqual([
    espPolicyObject({ ...ends, spi: '0x02000265' }),
    into,
    out,
  ]);
  const broken = STATES.replace(' flag esn', '');
  expect(statesOf(broken).map(({ put }) => put)).toEqual([[]]);
});

test('keys are for the kernel only', () => {
  const key = `0x${'5a'.repeat(20)}`;
  const { put } = espStateObject({ ...ends, spi: '0x02000265', key });
  const line = put.map((one) => one.line).join();
  expect(line).toContain(key);
  expect(withoutKeys(line)).toContain('rfc4106(gcm(aes)) (key) 128');
  expect(withoutKeys(line)).not.toContain('5a5a');
});
