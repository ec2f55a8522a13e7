/**
 * npm run lab:kernel [-- FILE...]: a whole lab, and files of the lab suite on it, inside a kernel of its own:
 * User-mode Linux, with cgroup version 2 and nothing else, and with ESP. What it lacks: see init.sh.
 */
import { errorMessage } from '@swarmd/base';
import { outputOnOtherKernel } from '@swarmd/base/testing';
import { fillCache } from '@swarmd/lab';
import { fileURLToPath } from 'node:url';

const INIT = fileURLToPath(new URL('./init.sh', import.meta.url));
/** What a small cluster on one slow processor can show. */
const FILES = ['test/lab/22-whole-kernel.test.ts'];
const DEADLINE_MS = 40 * 60_000;
const MEMORY_MIB = 4_096;
const DISK_MIB = 4_096;

async function main(files: readonly string[]): Promise<number> {
  // Nothing can be downloaded in there.
  await fillCache();
  const output = await outputOnOtherKernel({
    init: INIT,
    tests: files.length > 0 ? files : FILES,
    environment: {
      SWARMD_LAB_NAME: 'kernel',
      // One slow processor for all of it.
      SWARMD_LAB_PATIENCE: '10',
      SWARMD_LAB_SIZE: process.env['SWARMD_LAB_SIZE'] ?? '1+1',
    },
    memoryMiB: MEMORY_MIB,
    diskMiB: DISK_MIB,
    deadlineMs: DEADLINE_MS,
    onOutput: (text) => void process.stdout.write(text),
  });
  return /tests ended with 0\r?\n/.test(output) ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`kernel: ${errorMessage(error)}\n`);
  process.exitCode = 1;
}
