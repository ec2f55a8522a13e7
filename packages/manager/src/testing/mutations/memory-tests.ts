/** The planner's properties of what it keeps between plans, on a planner that one mutation has changed. */
import { join } from 'node:path';

import { failingTest as failingTestOf, type Mutation } from '@swarmd/base/testing';

const ROOT = join(import.meta.dirname, '../../../../..');
const TESTS = ['memory.property.test.ts', 'ranking.property.test.ts'];

/** The name of the first test that fails. */
export async function failingTest(mutation: Mutation): Promise<string | undefined> {
  const tests = TESTS.map((name) => join(ROOT, 'packages/planner/test', name));
  return await failingTestOf(mutation, { root: ROOT, tests, source: 'packages' });
}
