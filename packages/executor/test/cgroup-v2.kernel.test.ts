/** The root tests of this package once more, on a kernel that has cgroup version 2 alone. */
import { OTHER_KERNEL_TIMEOUT_MS } from '@swarmd/base/testing';
import { expect, it } from 'vitest';

import { outputOnV2 } from './fixtures/v2-kernel.ts';

const test = (name: string): string => `packages/executor/test/${name}.root.test.ts`;

it.concurrent.each([
  ['containers are confined and limited', ['cgroup-v2', 'containers']],
  ['containers live, end, and survive the executor', ['conformance', 'survival']],
  ['containers get what they ask for, and are looked into', ['container-options', 'workbench']],
])('on cgroup version 2, %s', { timeout: OTHER_KERNEL_TIMEOUT_MS }, async (_, names) => {
  const output = await outputOnV2(names.map(test));
  // Of a run that went well nobody wants to read.
  const ended = /tests ended with 0\r?\n/.test(output) ? 'well' : output;
  expect(ended).toBe('well');
  for (const name of names) expect(output).toContain(`✓ ${test(name)}`);
});
