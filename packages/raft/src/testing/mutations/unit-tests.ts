/** This package's quick tests, run on a core that one mutation has changed. */
import { join } from 'node:path';
import { assert } from '@swarmd/base';
import { startVitest } from 'vitest/node';
import { mutated, type Mutation } from './mutations.ts';

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
];

/** Instead of an answer that is late on a busy machine. */
const TIMEOUT_MS = 60_000;

/** The name of the first test that fails. */
export async function failingTest(mutation: Mutation): Promise<string | undefined> {
  const vitest = await startVitest(
    'test',
    QUICK.map((name) => join(TESTS, name)),
    {
      root: ROOT,
      config: false,
      watch: false,
      bail: 1,
      testTimeout: TIMEOUT_MS,
      // It does not know which mutation it was of.
      fsModuleCache: false,
      reporters: [{}],
    },
    {
      plugins: [
        {
          name: 'raft-mutation',
          enforce: 'pre',
          transform: (code, id) =>
            id.endsWith(`/raft/src/${mutation.file}`) ? mutated(code, mutation) : undefined,
        },
      ],
    },
  );
  try {
    const modules = vitest.state.getTestModules();
    assert(modules.length > 0, 'the tests were found');
    for (const module of modules) {
      for (const test of module.children.allTests('failed')) return test.fullName;
      // Its tests could not even be collected.
      if (module.state() === 'failed') return module.relativeModuleId;
    }
    return undefined;
  } finally {
    await vitest.close();
  }
}
