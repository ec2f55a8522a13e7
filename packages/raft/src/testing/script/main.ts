/** `npm run raft:script -- FILE...`: runs etcd-raft scripts against our core, prints what differs. */
import { readFile } from 'node:fs/promises';
import { errorMessage } from '@swarmd/base';
import { unifiedDiff } from './compare.ts';
import { differencesOf, runScript } from './run-script.ts';

const USAGE = 'usage: npm run raft:script -- FILE...\n';

async function main(files: readonly string[]): Promise<number> {
  if (files.length === 0 || files.some((file) => file.startsWith('-'))) {
    process.stderr.write(USAGE);
    return 2;
  }
  let failed = 0;
  for (const file of files) {
    if (!(await runFile(file))) failed++;
  }
  process.stdout.write(`${files.length - failed} of ${files.length} scripts pass\n`);
  return failed === 0 ? 0 : 1;
}

async function runFile(file: string): Promise<boolean> {
  try {
    const differences = differencesOf(runScript(await readFile(file, 'utf8')));
    if (differences.length > 0) process.stdout.write(unifiedDiff(file, differences));
    return differences.length === 0;
  } catch (error) {
    process.stderr.write(`${file}: ${errorMessage(error)}\n`);
    return false;
  }
}

process.exitCode = await main(process.argv.slice(2));
