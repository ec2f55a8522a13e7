/** The shell that runs what the plane has to run, for real. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { until } from '@swarmd/base/testing';

import { openReader, openShell } from '../src/apply/shell.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shell-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a command that fails stops there, and tells what it said, line by line', async () => {
  const shell = openShell();
  const script = `echo fine >&2\necho "two words" >&2\ncat '${folder}/nothing'\ntouch '${folder}/after'`;
  await expect(shell.run(script)).rejects.toMatchObject({
    code: 'internal',
    message: expect.stringMatching(/^exit code 1: fine\ntwo words\ncat: .*nothing/) as unknown,
  });
  expect(existsSync(join(folder, 'after'))).toBe(false);
  await shell.run(`touch '${folder}/next'`);
  expect(existsSync(join(folder, 'next'))).toBe(true);
});

test('commands run beside each other, and each has its own end', async () => {
  const shell = openShell();
  const first = shell.run(`until [ -e '${folder}/go' ]; do sleep 0.01; done; false`);
  await shell.run(`touch '${folder}/go'`);
  await expect(first).rejects.toMatchObject({ code: 'internal' });
});

test('so many run at once, and the others in the order in which they came', async () => {
  const shell = openShell({ atOnce: 2 });
  const log = join(folder, 'log');
  const blocked = `until [ -e '${folder}/go' ]; do sleep 0.01; done`;
  const all = [0, 1, 2, 3, 4].map((n) =>
    shell.run(`echo begin >> '${log}'\n${n < 2 ? blocked : ':'}\necho ${n} >> '${log}'`),
  );
  const lines = (): string[] => (existsSync(log) ? readFileSync(log, 'utf8').split('\n') : []);
  await until('two to have begun', () => lines().length > 2 || undefined);
  writeFileSync(join(folder, 'go'), '');
  await Promise.all(all);
  expect(lines().slice(0, 2)).toEqual(['begin', 'begin']);
  expect(['0', '1']).toContain(lines()[2]);
  expect(lines().filter((line) => line === 'begin')).toHaveLength(5);
});

test('one that fails passes its turn on', async () => {
  const shell = openShell({ atOnce: 1 });
  const failed = shell.run('false');
  const next = shell.run(`touch '${folder}/next'`);
  await expect(failed).rejects.toMatchObject({ code: 'internal' });
  await next;
  expect(existsSync(join(folder, 'next'))).toBe(true);
});

test('what hangs is given up with all that it began', async () => {
  const shell = openShell({ timeoutMs: 500 });
  const hanging = shell.run(`sh -c 'echo $$; echo $$ > "$0"; exec sleep 60' '${folder}/pid'`);
  await expect(hanging).rejects.toMatchObject({ code: 'deadline-exceeded' });
  const pid = readFileSync(join(folder, 'pid'), 'utf8').trim();
  await until('it to be gone', () => !existsSync(`/proc/${pid}`) || undefined);
  await shell.run(`touch '${folder}/next'`);
  expect(existsSync(join(folder, 'next'))).toBe(true);
});

test('a reader gives what scripts print, however long, each to who asked', async () => {
  const reader = openReader();
  const [long, short] = await Promise.all([
    reader.run(`seq 60000\ncat <<'E'\n two  'words' "and" $more\nE`),
    reader.run('echo short; echo said >&2'),
  ]);
  const numbers = Array.from({ length: 60_000 }, (_, at) => String(at + 1));
  expect(long.split('\n')).toEqual([...numbers, ` two  'words' "and" $more`]);
  expect(short).toBe('short\nsaid');
  await expect(reader.run(`cat '${folder}/nothing'`)).rejects.toMatchObject({
    message: expect.stringMatching(/^exit code 1: cat: .*nothing/) as unknown,
  });
});
