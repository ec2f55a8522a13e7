/** Encrypted networks on a kernel that has IPsec, whatever this machine's has. */
import { fileURLToPath } from 'node:url';

import { OTHER_KERNEL_TIMEOUT_MS, outputOnOtherKernel } from '@swarmd/base/testing';
import { expect, test } from 'vitest';

const INIT = fileURLToPath(new URL('./fixtures/uml/init.sh', import.meta.url));
const FILE = 'packages/network/test/encryption.root.test.ts';
const LONG = process.env['SWARMD_LAB_LONG'] ?? '';
/** Of the long form: several times as many cases. */
const LONG_TIMEOUT_MS = 1_200_000;

test(
  'traffic is sealed, keys change, nothing is lost and nothing is in clear',
  async () => {
    const output = await outputOnOtherKernel({
      init: INIT,
      tests: [FILE],
      environment: { SWARMD_LAB_LONG: LONG },
      ...(LONG === '1' ? { deadlineMs: LONG_TIMEOUT_MS } : {}),
    });
    // Of a run that went well nobody wants to read.
    const ended = /tests ended with 0\r?\n/.test(output) ? 'well' : output;
    expect(ended).toBe('well');
    expect(output).toContain(`✓ ${FILE} > a kernel that can > keys change under load`);
  },
  LONG === '1' ? LONG_TIMEOUT_MS : OTHER_KERNEL_TIMEOUT_MS,
);
