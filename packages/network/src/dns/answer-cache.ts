/**
 * Answers as bytes, by what was asked: the same few questions come again and again, and differ in
 * their number only. For one asker's view of one state; whoever owns it forgets it with these.
 */
import { DNS_CACHED_ANSWERS_MAX } from '../limits.ts';

/** One for each address that may come first. */
type Variants = readonly Uint8Array[];

const ID_BYTES = 2;

export class AnswerCache {
  readonly #answers = new Map<string, { readonly variants: Variants; turn: number }>();

  /** The answer to a query, or undefined if none is known. */
  find(query: Buffer): Buffer | undefined {
    const known = this.#answers.get(keyOf(query));
    if (known === undefined) return undefined;
    const { variants, turn } = known;
    known.turn = turn + 1 === variants.length ? 0 : turn + 1;
    return numbered(variants[turn] ?? new Uint8Array(), query);
  }

  /** @param variants are given out in turn, beginning with the second. @returns the first. */
  keep(query: Buffer, variants: Variants): Buffer {
    if (this.#answers.size >= DNS_CACHED_ANSWERS_MAX) this.#answers.clear();
    const turn = variants.length > 1 ? 1 : 0;
    this.#answers.set(keyOf(query), { variants, turn });
    return numbered(variants[0] ?? new Uint8Array(), query);
  }
}

/** All but the number: the flags, the question in its own letters, what follows it. */
function keyOf(query: Buffer): string {
  return query.toString('latin1', ID_BYTES);
}

/** A copy, as a socket may send it later. */
function numbered(answer: Uint8Array, query: Buffer): Buffer {
  const bytes = Buffer.from(answer);
  bytes[0] = query[0] ?? 0;
  bytes[1] = query[1] ?? 0;
  return bytes;
}
