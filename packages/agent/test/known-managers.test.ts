import type { Call, ManagerAddress } from '@swarmd/api';
import { asId } from '@swarmd/model';
import { expect, test } from 'vitest';

import { KnownManagers } from '../src/known-managers.ts';

const { signal } = new AbortController();

function manager(nodeId: string): ManagerAddress {
  return { nodeId: asId('node', nodeId), address: `${nodeId}:4242` };
}

function callOf(nodeId: string): Call {
  const clusterId = asId('cluster', 'c');
  return { signal, peer: { nodeId: asId('node', nodeId), role: 'manager', clusterId } };
}

const hello = { hello: (name: string, _call: Call) => `hello ${name}` };

test('a manager is served from when the node is told of it until it is left out', () => {
  const known = new KnownManagers(['m1:4242'], []);
  const service = known.only(hello);
  const refusal = expect.objectContaining({
    code: 'unavailable',
    message: expect.stringContaining('not told that m1 is a manager') as string,
  }) as Error;
  expect(() => service.hello('you', callOf('m1'))).toThrow(refusal);
  known.learn([manager('m1'), manager('m2')]);
  expect(service.hello('you', callOf('m1'))).toBe('hello you');
  known.learn([manager('m2')]);
  expect(() => service.hello('you', callOf('m1'))).toThrow(refusal);
  expect(() => service.hello('you', { signal })).toThrow(/the caller is a manager/);
});

test('after a restart both those it was told of and those it was started with are tried', () => {
  const known = new KnownManagers(['m1:4242', 'm2:4242'], [manager('m2'), manager('m3')]);
  expect(known.addresses).toEqual(['m1:4242', 'm2:4242', 'm3:4242']);
  expect(known.only(hello).hello('you', callOf('m3'))).toBe('hello you');
  known.learn([manager('m4')]);
  expect(known.addresses).toEqual(['m4:4242']);
});
