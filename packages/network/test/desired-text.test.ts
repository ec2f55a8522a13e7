/**
 * States and the exact scripts they lead to, in `testdata/*.txt`. A file is a sequence of blocks
 * "command, input, ----, output, ====" that share one node. `UPDATE=1` rewrites the outputs.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { scriptOf } from '../src/apply/script.ts';
import { parseCluster } from './text/language.ts';
import { Planner } from './text/planner.ts';

const FOLDER = join(import.meta.dirname, '..', 'testdata');

function runBlock(planner: Planner, input: string): string {
  const [command = '', ...lines] = input.trim().split('\n');
  const [verb = '', id = ''] = command.split(' ');
  switch (verb) {
    case 'apply':
      return scriptOf(planner.apply(parseCluster(lines)));
    case 'attach':
      return scriptOf(planner.attach(id));
    case 'detach':
      return scriptOf(planner.detach(id));
    default:
      throw new Error(`unknown command "${command}"`);
  }
}

function runFile(name: string, text: string): string {
  const planner = new Planner({ canSeal: name === 'encryption.txt' });
  const blocks = text.split(/^====\n/m).filter((block) => block.trim() !== '');
  return blocks
    .map((block) => {
      const input = block.split(/^----\n/m)[0] ?? '';
      const head = input.endsWith('\n') ? input : `${input}\n`;
      const comments = head.match(/^(#.*\n|\n)*/)?.[0] ?? '';
      return `${head}----\n${runBlock(planner, head.slice(comments.length))}`;
    })
    .join('====\n');
}

test.each(readdirSync(FOLDER).filter((name) => name.endsWith('.txt')))('%s', (name) => {
  const file = join(FOLDER, name);
  const text = readFileSync(file, 'utf8');
  const result = runFile(name, text);
  const update = process.env['UPDATE'] === '1';
  if (update) writeFileSync(file, result);
  expect(update ? text : result).toBe(text);
});
