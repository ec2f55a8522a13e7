import { defineConfig } from 'vitest/config';

import { LABS } from './test/lab/labs.ts';

/**
 * Five suites: what any machine can run, what needs root and this kernel, what brings a kernel of its own,
 * installing on a clean Debian, and the lab. `scripts/test` runs them all.
 */
const suite =
  process.env['SWARMD_ROOT_TESTS'] === '1'
    ? 'root'
    : process.env['SWARMD_KERNEL_TESTS'] === '1'
      ? 'kernel'
      : process.env['SWARMD_INSTALL_TESTS'] === '1'
        ? 'install'
        : process.env['SWARMD_LAB_TESTS'] === '1'
          ? 'lab'
          : 'unit';

export default defineConfig({
  test: {
    include: {
      unit: [
        'packages/*/test/**/*.test.ts',
        'test/tidy/**/*.test.ts',
        'test/swarmctl/**/*.test.ts',
      ],
      root: ['packages/*/test/**/*.root.test.ts'],
      kernel: ['packages/*/test/**/*.kernel.test.ts'],
      install: ['test/install/**/*.test.ts'],
      lab: ['test/lab/**/*.test.ts'],
    }[suite],
    exclude: suite === 'unit' ? ['**/*.root.test.ts', '**/*.kernel.test.ts'] : [],
    setupFiles: suite === 'unit' ? ['test/setup/properties.ts'] : [],
    globalSetup: suite === 'lab' ? ['test/lab/global-setup.ts'] : [],
    pool: 'forks',
    // Longer than what they wait for in them, which says more when it fails.
    testTimeout: suite === 'lab' ? 360_000 : 60_000,
    hookTimeout: suite === 'lab' ? 360_000 : 60_000,
    // Tests of this kernel share it, and one file of those with another one has several already.
    fileParallelism: suite !== 'root' && suite !== 'kernel',
    // By itself vitest leaves a processor free: of two that is half the machine.
    maxWorkers: suite === 'lab' ? LABS : '100%',
  },
});
