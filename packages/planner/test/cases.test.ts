import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

import { Script } from './script.ts';

const folder = fileURLToPath(new URL('../testdata/', import.meta.url));
const rewrite = process.env['UPDATE'] === '1';

interface Case {
  readonly comments: readonly string[];
  readonly commands: readonly string[];
}

function parse(text: string): Case[] {
  return text
    .split(/\n{2,}/)
    .map((block) => block.trim())
    .filter((block) => block !== '')
    .map((block) => {
      const lines = block.split('\n');
      const comments = lines.filter((line) => line.startsWith('#'));
      const rest = lines.filter((line) => !line.startsWith('#'));
      const at = rest.indexOf('----');
      return {
        comments,
        commands: at < 0 ? rest : rest.slice(0, at),
      };
    });
}

function print(one: Case, output: string): string {
  const shown = output === '' ? [] : ['----', output];
  return [...one.comments, ...one.commands, ...shown].join('\n');
}

describe('planner cases', () => {
  const files = readdirSync(folder).filter((file) => file.endsWith('.txt'));
  it.each(files)('%s', (file) => {
    const script = new Script();
    const text = readFileSync(folder + file, 'utf8');
    const printed = parse(text).map((one) => print(one, script.run(one.commands)));
    const actual = `${printed.join('\n\n')}\n`;
    if (rewrite) writeFileSync(folder + file, actual);
    expect(actual).toBe(rewrite ? actual : text);
  });
});
