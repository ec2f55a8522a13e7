/** Structural equality of plain data (objects, arrays, bytes, primitives), by `isDeepStrictEqual`. */
import { isDeepStrictEqual } from 'node:util';

export function sameValue(a: unknown, b: unknown): boolean {
  return a === b || isDeepStrictEqual(a, b);
}
