/** What a command prints: lines, indented in nested parts, or nothing at level `none`. */
import { SwarmError } from '@swarmd/base';

const LEVELS = ['DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL', 'NONE'];

export class Output {
  #lines: string[] = [];
  #indent = '';
  /** Only `none` makes a difference: the core logs nothing. */
  #level = 'DEBUG';

  get quiet(): boolean {
    return this.#level === 'NONE';
  }

  get level(): string {
    return this.#level;
  }

  /** @throws SwarmError `invalid-argument` for an unknown level. */
  setLevel(name: string): void {
    const level = name.toUpperCase();
    if (!LEVELS.includes(level)) {
      throw new SwarmError(
        'invalid-argument',
        `log levels must be either of [${LEVELS.join(' ')}]`,
      );
    }
    this.#level = level;
  }

  /** `text` may have several lines. */
  print(text: string): void {
    if (this.quiet) return;
    for (const line of text.split('\n')) this.#lines.push(this.#indent + line);
  }

  /** Runs `fn` with its output two spaces to the right. */
  nested(title: string, fn: () => void): void {
    this.print(title);
    const before = this.#indent;
    this.#indent += '  ';
    try {
      fn();
    } finally {
      this.#indent = before;
    }
  }

  take(): string[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }
}
