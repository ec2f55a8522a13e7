/** Tests of ours, run by vitest on a source that one mutation has changed. */
import { assert } from '../errors.ts';
import { mutated, type Mutation } from '../mutation.ts';

/** Instead of an answer that is late on a busy machine. */
const TIMEOUT_MS = 60_000;

/**
 * The name of the first test that fails, undefined if none does.
 * @param options.tests Paths of files. @param options.source The folder that the mutation's path begins at.
 */
export async function failingTest(
  mutation: Mutation,
  { root, tests, source }: { root: string; tests: readonly string[]; source: string },
): Promise<string | undefined> {
  // Only who runs mutations needs a test runner in the process.
  const { startVitest } = await import('vitest/node');
  const vitest = await startVitest(
    'test',
    [...tests],
    {
      root,
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
          name: 'mutation',
          enforce: 'pre',
          transform: (code, id) =>
            id.endsWith(`/${source}/${mutation.file}`) ? mutated(code, mutation) : undefined,
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
