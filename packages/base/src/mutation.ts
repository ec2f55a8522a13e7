/**
 * A known way to get something wrong, as an edit of the source that is made while it is loaded: the source
 * itself has no switches.
 */
import { assert } from './errors.ts';

export interface Mutation {
  readonly name: string;
  /** Whose source is changed; what the path begins at is for the table to say. */
  readonly file: string;
  /** Must occur exactly once. */
  readonly find: string;
  readonly replace: string;
}

/** The source with the mistake in it. */
export function mutated(source: string, { name, file, find, replace }: Mutation): string {
  const parts = source.split(find);
  assert(parts.length === 2, `"${name}" finds its place in ${file} once`);
  return parts.join(replace);
}
