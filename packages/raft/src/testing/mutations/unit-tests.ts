/** This package's quick tests, run on a core that one mutation has changed. */
import { join } from 'node:path';
import { failingTest as failingTestOf, type Mutation } from '@swarmd/base/testing';

const ROOT = join(import.meta.dirname, '../../../../..');
const TESTS = join(import.meta.dirname, '../../../test');
/** Those that need no network, worker or processes of their own, and are no simulation. */
const QUICK = [
  'core/election.test.ts',
  'core/replication.test.ts',
  'core/membership.test.ts',
  'core/reads-and-transfer.test.ts',
  'node/driver.test.ts',
  'node/persister.test.ts',
  'node/snapshots.test.ts',
];

/** The name of the first test that fails. */
export async function failingTest(mutation: Mutation): Promise<string | undefined> {
  const tests = QUICK.map((name) => join(TESTS, name));
  return await failingTestOf(mutation, { root: ROOT, tests, source: 'raft/src' });
}
