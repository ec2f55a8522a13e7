/** What a host has in the end. */
import { expect } from 'vitest';

import type { Host } from './lab.ts';
import { snapshot } from './scenario.ts';

const DEADLINE_MS = 40_000;

/** Waits until that is all a host has: the kernel takes links of namespaces away some time after those. */
export async function becomes(host: Host, wanted: string | undefined): Promise<void> {
  await expect.poll(() => snapshot(host), { timeout: DEADLINE_MS }).toBe(wanted);
}
