/**
 * Known mistakes must be noticed: what falls due and is not done here, what is remembered and no longer so by
 * `npm run sim:cluster -- --mutations`, whose table must keep up with the source.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { expect, test } from 'vitest';

import { MEMORY, TIME } from '../src/testing/mutations/mutations.ts';

const PACKAGES = join(import.meta.dirname, '../..');
const MAIN = join(import.meta.dirname, '../src/testing/simulation/main.ts');
/** Generous: some ten seconds of work. */
const TIMEOUT_MS = 180_000;

test.each([...TIME, ...MEMORY])('"$name" finds its place', ({ file, find, replace }) => {
  expect(readFileSync(join(PACKAGES, file), 'utf8').split(find)).toHaveLength(2);
  expect(replace).not.toBe(find);
});

test(
  'what is not done in time is noticed',
  async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [MAIN, '--mutations', '--quick'],
      { timeout: TIMEOUT_MS },
    );
    expect(stdout).toContain(`${TIME.length} of ${TIME.length} caught`);
  },
  TIMEOUT_MS,
);
