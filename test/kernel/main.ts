/**
 * npm run lab:kernel [-- FILE...]: a whole lab, and files of the lab suite on it, inside a kernel of its own, which
 * scripts/kernel builds: User-mode Linux with cgroup version 2 and nothing else, nftables and ESP. Files of
 * root tests (*.root.test.ts) run there without a lab, and so do benchmarks: npm run lab:kernel -- bench executor.
 */
import { errorMessage } from '@swarmd/base';
import { outputOnOtherKernel } from '@swarmd/base/testing';
import { fillCache } from '@swarmd/lab';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const INIT = fileURLToPath(new URL('./init.sh', import.meta.url));
const BUILD = fileURLToPath(new URL('../../scripts/kernel', import.meta.url));
/** What a small cluster on one slow processor can show. */
const FILES = ['22-whole-kernel', '23-encrypted', '27-nfs'].map(
  (name) => `test/lab/${name}.test.ts`,
);
const DEADLINE_MS = 60 * 60_000;
const MEMORY_MIB = 4_096;
const DISK_MIB = 4_096;

const isRootTest = (file: string): boolean => file.endsWith('.root.test.ts');
const BENCHMARK = 'bench';

/** What the tests are told by their environment. */
function environmentFor(files: readonly string[]): Record<string, string> {
  const long = process.env['SWARMD_LAB_LONG'] ?? '';
  if (files[0] === BENCHMARK) return {};
  if (files.every(isRootTest)) {
    // The kernel's first process has no need of another mount namespace.
    const inside = { SWARMD_ROOT_TESTS: '1', SWARMD_EXECUTOR_TEST_INSIDE: '1' };
    return {
      ...inside,
      SWARMD_LAB_LONG: long,
      SWARMD_FAULT_STEP: process.env['SWARMD_FAULT_STEP'] ?? '',
    };
  }
  if (files.some(isRootTest)) throw new Error('root tests and lab tests need a kernel each');
  return {
    SWARMD_LAB_TESTS: '1',
    SWARMD_LAB_OWN_KERNEL: '1',
    SWARMD_LAB_LONG: long,
    SWARMD_LAB_NAME: 'kernel',
    // One slow processor for all of it.
    SWARMD_LAB_PATIENCE: process.env['SWARMD_LAB_PATIENCE'] ?? '10',
    SWARMD_LAB_SIZE: process.env['SWARMD_LAB_SIZE'] ?? '1+2',
  };
}

async function main(files: readonly string[]): Promise<number> {
  const environment = environmentFor(files);
  // Says on stderr how it goes, and ends with us.
  const kernel = execFileSync(BUILD, { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' });
  // Nothing can be downloaded in there.
  await fillCache();
  const output = await outputOnOtherKernel({
    init: INIT,
    kernel: kernel.trim(),
    tests: files,
    environment,
    memoryMiB: MEMORY_MIB,
    diskMiB: DISK_MIB,
    deadlineMs: DEADLINE_MS,
    onOutput: (text) => void process.stdout.write(text),
  });
  return /tests ended with 0\r?\n/.test(output) ? 0 : 1;
}

try {
  const files = process.argv.slice(2);
  process.exitCode = await main(files.length > 0 ? files : FILES);
} catch (error) {
  process.stderr.write(`kernel: ${errorMessage(error)}\n`);
  process.exitCode = 1;
}
