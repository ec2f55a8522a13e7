import { defineConfig } from 'vitest/config';

import { LABS } from './test/lab/labs.ts';

/**
 * Four suites: what any machine can run, what needs root and this kernel, installing on a clean Debian,
 * and the lab. `scripts/test` runs them all.
 */
const suite =
  process.env['SWARMD_ROOT_TESTS'] === '1'
    ? 'root'
    : process.env['SWARMD_INSTALL_TESTS'] === '1'
      ? 'install'
      : process.env['SWARMD_LAB_TESTS'] === '1'
        ? 'lab'
        : 'unit';

export default defineConfig({
  test: {
    include: {
      unit: ['packages/*/test/**/*.test.ts', 'test/tidy/**/*.test.ts'],
      root: ['packages/*/test/**/*.root.test.ts'],
      install: ['test/install/**/*.test.ts'],
      lab: ['test/lab/**/*.test.ts'],
    }[suite],
    exclude: suite === 'unit' ? ['**/*.root.test.ts'] : [],
    setupFiles: suite === 'unit' ? ['test/setup/properties.ts'] : [],
    globalSetup: suite === 'lab' ? ['test/lab/global-setup.ts'] : [],
    pool: 'forks',
    testTimeout: suite === 'lab' ? 120_000 : 30_000,
    hookTimeout: suite === 'lab' ? 180_000 : 30_000,
    // Tests of the kernel share it.
    fileParallelism: suite !== 'root',
    ...(suite === 'lab' ? { maxWorkers: LABS } : {}),
  },
});
