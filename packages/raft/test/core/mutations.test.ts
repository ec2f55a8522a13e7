/** The table of known mistakes must keep up with the source; `sim:raft -- --mutations` runs it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MUTATIONS } from '../../src/testing/mutations/mutations.ts';

const SOURCE = join(import.meta.dirname, '../../src');

test.each(MUTATIONS)('"$name" finds its place', ({ file, find, replace }) => {
  const text = readFileSync(join(SOURCE, file), 'utf8');
  expect(text.split(find)).toHaveLength(2);
  expect(replace).not.toBe(find);
});
