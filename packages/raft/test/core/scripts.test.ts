/** Data-driven scripts: ours always, etcd-raft's own from the folder in ETCD_RAFT_SCRIPTS. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { unifiedDiff } from '../../src/testing/script/compare.ts';
import { differencesOf, rewriteScript, runScript } from '../../src/testing/script/run-script.ts';

const OWN = join(import.meta.dirname, '../../testdata/scripts');
const ETCD =
  process.env['ETCD_RAFT_SCRIPTS'] ?? join(import.meta.dirname, '../../testdata/etcd-raft');

function scriptsIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.txt'))
    .sort();
}

describe('our scripts', () => {
  test.each(scriptsIn(OWN))('%s', (name) => {
    const file = join(OWN, name);
    const text = readFileSync(file, 'utf8');
    const results = runScript(text);
    if (process.env['UPDATE'] === '1') {
      writeFileSync(file, rewriteScript(text, results));
      return;
    }
    expect(unifiedDiff(name, differencesOf(results))).toBe(unifiedDiff(name, []));
  });
});

describe.skipIf(!existsSync(ETCD))("etcd-raft's scripts", () => {
  test.each(scriptsIn(ETCD))('%s', (name) => {
    const results = runScript(readFileSync(join(ETCD, name), 'utf8'));
    expect(results).not.toHaveLength(0);
    expect(unifiedDiff(name, differencesOf(results))).toBe(unifiedDiff(name, []));
  });
});
