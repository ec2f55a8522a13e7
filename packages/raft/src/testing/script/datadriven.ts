/**
 * Reads scripts in the `datadriven` form: a command line, optional input lines, `----`, and the
 * expected output up to the next blank line (or between two pairs of `----` if it has blank lines).
 */
import { SwarmError } from '@swarmd/base';

/** `key`, `key=value` or `key=(a,b)`; a bare key has no values. */
export interface ScriptArgument {
  readonly key: string;
  readonly values: readonly string[];
}

export interface ScriptCase {
  /** 1-based, of the command. */
  readonly line: number;
  readonly command: string;
  readonly args: readonly ScriptArgument[];
  readonly input: string;
  readonly expected: readonly string[];
  /** 1-based, of the first line of `expected`. */
  readonly expectedLine: number;
}

const SEPARATOR = '----';

/** @throws SwarmError `invalid-argument` with the line that cannot be understood. */
export function parseScript(text: string): ScriptCase[] {
  return new ScriptParser(text.split('\n')).cases();
}

class ScriptParser {
  readonly #lines: readonly string[];
  #at = 0;

  constructor(lines: readonly string[]) {
    this.#lines = lines;
  }

  cases(): ScriptCase[] {
    const cases: ScriptCase[] = [];
    while (this.#at < this.#lines.length) {
      const line = this.#at + 1;
      const text = this.#commandLine();
      // Subtests only structure a script for readers.
      if (text === '' || text.startsWith('#') || /^subtest( |$)/.test(text)) continue;
      const [command = '', ...args] = splitArguments(text);
      const input = this.#input(line);
      const expectedLine = this.#at + 1;
      const expected = this.#expected();
      cases.push({ line, command, args: args.map(parseArgument), input, expected, expectedLine });
    }
    return cases;
  }

  #next(): string | undefined {
    return this.#lines[this.#at++];
  }

  /** A backslash at the end continues the command on the next line. */
  #commandLine(): string {
    let text = (this.#next() ?? '').trim();
    while (text.endsWith('\\') && !text.startsWith('#')) {
      text = `${text.slice(0, -1).trimEnd()} ${(this.#next() ?? '').trim()}`;
    }
    return text;
  }

  #input(commandLine: number): string {
    const input: string[] = [];
    for (;;) {
      const line = this.#next();
      if (line === SEPARATOR) return input.join('\n').trim();
      if (line === undefined) {
        throw new SwarmError(
          'invalid-argument',
          `the command in line ${commandLine} has no output: write "----" after it`,
        );
      }
      input.push(line);
    }
  }

  #expected(): string[] {
    const doubled = this.#lines[this.#at] === SEPARATOR;
    if (doubled) this.#at++;
    const expected: string[] = [];
    for (;;) {
      const line = this.#next();
      if (line === undefined || (!doubled && line.trim() === '')) return expected;
      if (doubled && line === SEPARATOR && this.#lines[this.#at] === SEPARATOR) {
        this.#at++;
        return expected;
      }
      expected.push(line);
    }
  }
}

/** At spaces, except inside parentheses. */
function splitArguments(text: string): string[] {
  return text.match(/[^\s(]*\([^)]*\)|\S+/g) ?? [];
}

function parseArgument(text: string): ScriptArgument {
  const equals = text.indexOf('=');
  if (equals < 0) return { key: text, values: [] };
  const key = text.slice(0, equals);
  const value = text.slice(equals + 1);
  if (!value.startsWith('(')) return { key, values: [value] };
  const values = value
    .slice(1, -1)
    .split(/[,\s]+/)
    .filter((item) => item !== '');
  return { key, values };
}
