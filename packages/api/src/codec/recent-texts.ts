/**
 * Short texts that were read lately, each once: the same words and names are in thousands of messages, and in
 * what becomes of them. Comparing bytes with a text that is there is also faster than making one.
 */

/** A power of two. What finds its place taken takes it. */
const PLACES = 4_096;

const recent: string[] = Array.from({ length: PLACES }, () => '');

/** The bytes from `begin` to `end` (exclusive) as text. */
export function shortText(bytes: Buffer, begin: number, end: number): string {
  let hash = end - begin;
  for (let at = begin; at < end; at += 1) hash = (hash * 31 + (bytes[at] ?? 0)) | 0;
  const place = (hash ^ (hash >>> 12)) & (PLACES - 1);
  const known = recent[place] ?? '';
  if (known.length === end - begin && isAscii(bytes, begin, known)) return known;
  const text = bytes.toString('utf8', begin, end);
  recent[place] = text;
  return text;
}

/** Whether the bytes there are the characters of `text`. */
function isAscii(bytes: Buffer, begin: number, text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = bytes[begin + at] ?? 0;
    if (code > 127 || text.charCodeAt(at) !== code) return false;
  }
  return true;
}
