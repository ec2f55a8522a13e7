/** Asks a person something, on the terminal. */
import { SwarmError } from '@swarmd/base';

import type { Terminal } from './context.ts';

const END_OF_LINE = new Set(['\r', '\n', '\u0004']);
const INTERRUPT = '\u0003';
const ERASE = new Set(['\u0008', '\u007f']);

/** @throws SwarmError `invalid-argument` when there is no terminal to ask at. */
export async function readLine(
  { console, err }: Pick<Terminal, 'console' | 'err'>,
  { question, isSecret }: { readonly question: string; readonly isSecret: boolean },
): Promise<string> {
  if (!console.isTerminal) {
    throw new SwarmError(
      'invalid-argument',
      'there is no terminal to ask at: use --username and --password-stdin',
    );
  }
  err(question);
  // Keys come one by one, and what they are is not shown.
  using _raw = console.raw();
  let line = '';
  for await (const keys of console.input()) {
    for (const key of new TextDecoder().decode(keys)) {
      if (key === INTERRUPT) throw new SwarmError('cancelled', 'interrupted');
      if (END_OF_LINE.has(key)) {
        err('\n');
        console.closeInput();
        return line;
      }
      if (ERASE.has(key)) line = line.slice(0, -1);
      else line += key;
      if (!isSecret) err(ERASE.has(key) ? '\b \b' : key);
    }
  }
  return line;
}
