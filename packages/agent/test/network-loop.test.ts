import { silentLogger } from '@swarmd/base';
import { ManualClock, SeededRandom } from '@swarmd/base/testing';
import { asId, type NetworkState } from '@swarmd/model';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { NetworkLoop } from '../src/network-loop.ts';
import { TestPlane } from './support/machine.ts';
import { aTask } from './support/tasks.ts';
import { until } from './support/until.ts';

const NOT_ABORTED = new AbortController().signal;

let plane: TestPlane;
let clock: ManualClock;
let loop: NetworkLoop;
beforeEach(() => {
  plane = new TestPlane();
  clock = new ManualClock();
  loop = new NetworkLoop({ plane, clock, random: new SeededRandom(1), logger: silentLogger });
});
afterEach(() => loop[Symbol.asyncDispose]());

function state(...networks: string[]): NetworkState {
  const self = {
    nodeId: asId('node', 'n1'),
    index: 1,
    address: '10.0.0.1',
    ingressAddress: '10.255.0.1',
    gatewaySubnet: '100.64.1.0/24',
    down: false,
    addresses6: [],
  };
  return {
    self,
    vxlanPort: 4_789,
    peers: [],
    nodes: ['10.0.0.1'],
    networks: networks.map((name) => ({
      id: asId('network', name),
      meta: { version: 1, createdAt: 0, updatedAt: 0 },
      spec: {
        name,
        labels: {},
        driver: 'overlay',
        internal: false,
        attachable: false,
        gateway: '',
        ipRange: '',
        reserved: {},
        moreSubnets: [],
        options: {},
        ipv6: false,
        subnet: '',
        mtu: 0,
      },
      vni: 4_097,
      subnet: '10.0.1.0/24',
      gateway: '10.0.1.1',
      subnet6: '',
    })),
    endpoints: [],
    vips: [],
    ports: [],
  };
}

test('a task waits until all its networks are programmed', async () => {
  let ready = false;
  const waiting = loop
    .ready(aTask({ networks: ['a', 'b'] }), NOT_ABORTED)
    .then(() => (ready = true));
  loop.set(state('a'), 1);
  await until('the first state is applied', () => plane.applied.length === 1);
  expect(ready).toBe(false);
  loop.set(state('a', 'b'), 1);
  await waiting;
  expect(plane.applied).toHaveLength(2);
});

test('a task without networks waits for the first state only', async () => {
  loop.set(state(), 1);
  await loop.ready(aTask(), NOT_ABORTED);
  expect(plane.applied).toHaveLength(1);
});

test('a task waits for all that came with it, and not for what came later', async () => {
  loop.set(state('a'), 1);
  await loop.ready(aTask({ networks: ['a'] }), NOT_ABORTED);
  plane.applyError = new Error('nft: busy');
  loop.set({ ...state('a'), peers: [state('a').self] }, 2);
  const newest = loop.newest();
  loop.set(state('a'), 3);
  let isThere = false;
  const reached = loop.reached(newest, NOT_ABORTED).then(() => (isThere = true));
  await loop.ready(aTask({ networks: ['a'] }), NOT_ABORTED);
  await until('it was tried', () => clock.nextTimerInMs() !== undefined);
  expect(isThere).toBe(false);
  plane.applyError = undefined;
  await until('it is there', () => isThere, { manual: clock, stepMs: 100 });
  await reached;
});

test('what fails is tried again', async () => {
  plane.applyError = new Error('nft: busy');
  loop.set(state('a'), 1);
  const ready = loop.ready(aTask({ networks: ['a'] }), NOT_ABORTED);
  await until('it was tried', () => clock.nextTimerInMs() !== undefined);
  plane.applyError = undefined;
  await until('it is applied', () => plane.applied.length === 1, { manual: clock, stepMs: 100 });
  await ready;
});

test('a task does not wait for ever, and is told why', async () => {
  plane.applyError = new Error('nft: busy');
  loop.set(state('a'), 1);
  let told = '';
  void loop
    .ready(aTask({ networks: ['a'] }), NOT_ABORTED)
    .catch((error: Error) => (told = error.message));
  await until('it gives up', () => told !== '', { manual: clock, stepMs: 1_000 });
  expect(told).toBe("the task's networks are not ready: nft: busy");
});

test('says which version the kernel has, and repeats no work for versions that change nothing', async () => {
  const versions: number[] = [];
  using _applied = loop.onApplied((version) => versions.push(version));
  const first = state('a');
  plane.applyError = new Error('nft: busy');
  loop.set(first, 4);
  await until('it was tried', () => clock.nextTimerInMs() !== undefined);
  loop.set(first, 5);
  expect(versions).toEqual([]);
  plane.applyError = undefined;
  await until('it is applied', () => versions.length > 0, { manual: clock, stepMs: 100 });
  loop.set(first, 6);
  loop.set(state('a', 'b'), 7);
  await until('the next state is applied', () => versions.length === 3);
  expect(versions).toEqual([5, 6, 7]);
  expect(plane.applied).toHaveLength(2);
});
