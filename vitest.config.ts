import { defineConfig } from 'vitest/config';

// Tests that need root, namespaces or containers live in `test/lab/**` and in `*.root.test.ts`; `scripts/test` runs them.
const needsRoot = process.env['SWARMD_ROOT_TESTS'] === '1';

export default defineConfig({
  test: {
    include: needsRoot
      ? ['packages/*/test/**/*.root.test.ts']
      : ['packages/*/test/**/*.test.ts', 'test/tidy/**/*.test.ts'],
    exclude: needsRoot ? [] : ['**/*.root.test.ts'],
    pool: 'forks',
    testTimeout: 30_000,
    fileParallelism: !needsRoot,
  },
});
