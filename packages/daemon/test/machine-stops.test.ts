import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { machineStops } from '../src/machine-stops.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'swarmd-systemctl-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** With a systemctl of this content in the path, and no other. */
async function answerOf(script: string): Promise<boolean> {
  const path = join(folder, 'systemctl');
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return machineStops({ PATH: folder });
}

test.each([
  ['echo stopping; exit 1', true],
  ['echo running', false],
  ['echo degraded; exit 1', false],
  ['echo offline; exit 1', false],
  ['exit 127', false],
  ['while :; do :; done', false],
])('systemctl that says "%s": %s', async (script, stops) => {
  expect(await answerOf(script)).toBe(stops);
});

test('a machine without systemd does not stop by what anybody could know', async () => {
  await rm(join(folder, 'systemctl'), { force: true });
  expect(await machineStops({ PATH: folder })).toBe(false);
});
