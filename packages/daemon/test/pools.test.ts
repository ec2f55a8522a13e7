import { expect, test } from 'vitest';

import { checkPools } from '../src/swarm/pools.ts';

const spec = { gatewayPool: '100.64.0.0/10', ingressPool: '10.255.0.0/16' };

test.each([
  ['elsewhere', ['192.168.1.0/24', '172.17.0.0/16']],
  ['around a pool', ['10.0.0.0/8']],
])('pools that this machine has networks %s of are taken', (_, own) => {
  expect(() => checkPools(spec, own)).not.toThrow();
});

test.each([
  ['100.70.1.0/24', '--gateway-pool'],
  ['100.64.0.0/10', '--gateway-pool'],
  ['10.255.3.0/24', '--ingress-pool'],
])('a pool that this machine has %s of is refused, with the flag for another', (own, flag) => {
  const refused = { code: 'failed-precondition', message: expect.stringContaining(own) as string };
  expect(() => checkPools(spec, ['192.168.1.0/24', own])).toThrow(
    expect.objectContaining(refused) as Error,
  );
  expect(() => checkPools(spec, [own])).toThrow(flag);
});

test.each([
  [{ ...spec, gatewayPool: '100.64.0.1/10' }, '--gateway-pool 100.64.0.1/10 must be'],
  [{ ...spec, ingressPool: '100.65.0.0/16' }, 'and --ingress-pool 100.65.0.0/16 overlap'],
])('pools that cannot be: %j', (wrong, why) => {
  expect(() => checkPools(wrong, [])).toThrow(why);
});
