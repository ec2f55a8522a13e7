/**
 * Raft's checklist of 68 scenarios (docs: README of this package): each is found by its number, at
 * the start of a test's name here (`23: ...`, `1/58/65: ...`, `60-63/65: ...`) or as `scenario 23`
 * in a test of the lab (`scenario 62, 63: ...`).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from 'vitest';

const SCENARIOS = 68;
const LAB = join(import.meta.dirname, '../../../test/lab');

function testFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(join(folder, name), 'utf8'));
}

/** `28/42-44` names 28, 42, 43 and 44. */
function numbersIn(prefix: string): number[] {
  return prefix.split('/').flatMap((part) => {
    const [from = 0, to = from] = part.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}

test('every scenario is found in the name of a test', () => {
  const found = new Set<number>();
  for (const text of testFiles(import.meta.dirname)) {
    for (const [, prefix = ''] of text.matchAll(/['"`]((?:\d+(?:-\d+)?\/?)+): /gu)) {
      for (const number of numbersIn(prefix)) found.add(number);
    }
  }
  for (const text of testFiles(LAB)) {
    for (const [, numbers = ''] of text.matchAll(/scenario ((?:\d+(?:, )?)+)/gu)) {
      for (const number of numbers.split(', ')) found.add(Number(number));
    }
  }
  const all = Array.from({ length: SCENARIOS }, (_, i) => i + 1);
  expect(all.filter((number) => !found.has(number))).toEqual([]);
});
