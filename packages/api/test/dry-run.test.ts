/** Every write of the desired state can be rehearsed, or it is said here why not. */
import { expect, test } from 'vitest';

import { protoRoot } from '../src/proto-root.ts';
import { controlService } from '../src/service/services.ts';

/** Writes that no dry run is for, with the reason. */
const WITHOUT: Readonly<Record<string, string>> = {};

const requests = new Map(
  protoRoot()
    .lookupService('swarm.v1.Control')
    .methodsArray.map(({ name, requestType }) => [
      name.charAt(0).toLowerCase() + name.slice(1),
      requestType,
    ]),
);
const previewed = new Set(
  protoRoot()
    .lookupType('swarm.v1.PreviewRequest')
    .fieldsArray.map(({ type }) => type),
);
const writes = Object.entries(controlService.methods)
  .filter(([, { writes: isWrite }]) => isWrite)
  .map(([name]) => name);

test.each(writes)('%s has a dry run, or a reason for none', (name) => {
  const isPreviewed = previewed.has(requests.get(name) ?? '');
  expect(isPreviewed).toBe(!Object.hasOwn(WITHOUT, name));
});

test('the service has writes, and reasons are for some of them', () => {
  expect(writes.length).toBeGreaterThan(10);
  expect(Object.keys(WITHOUT).filter((name) => !writes.includes(name))).toEqual([]);
});
