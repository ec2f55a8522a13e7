/** Splitting a command line into words as a POSIX shell quotes them, without expanding anything. */
import { InvalidArgumentError } from 'commander';

const BLANK = /\s/;
/** What a backslash escapes between double quotes (POSIX.1-2017, Shell Command Language, 2.2.3). */
const ESCAPED_IN_QUOTES = '$`"\\\n';

/**
 * "sh -c 'echo \"a b\"'" -> ["sh", "-c", "echo \"a b\""]. Single quotes keep everything, double quotes
 * all but escapes, a backslash outside of quotes keeps the next character.
 * @throws InvalidArgumentError when a quote is not closed, or nothing follows a backslash.
 */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote: '"' | "'" | undefined;
  for (let at = 0; at < line.length; at += 1) {
    const char = line.charAt(at);
    if (char === quote) quote = undefined;
    else if (quote === undefined && (char === '"' || char === "'")) {
      quote = char;
      word ??= '';
    } else if (char === '\\' && quote !== "'") {
      at += 1;
      word = (word ?? '') + escaped(line.charAt(at), quote);
    } else if (quote === undefined && BLANK.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + char;
  }
  if (quote !== undefined) throw new InvalidArgumentError(`the quote ${quote} is not closed.`);
  return word === undefined ? words : [...words, word];
}

function escaped(char: string, quote: string | undefined): string {
  if (char === '') throw new InvalidArgumentError('nothing follows the last backslash.');
  if (quote !== undefined && !ESCAPED_IN_QUOTES.includes(char)) return `\\${char}`;
  return char === '\n' ? '' : char;
}
