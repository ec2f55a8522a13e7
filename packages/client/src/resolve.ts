/**
 * From what people type (a name, an id, or the beginning of an id) to the object. A full id wins over
 * a name, a name over a prefix; a prefix must fit one object only.
 */
import type { Call, ListFilter } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';

interface Identified {
  readonly id: string;
}

export interface Kind<T extends Identified> {
  /** "service", "node", ... for messages. */
  readonly noun: string;
  readonly list: (request: { filter: ListFilter }, call: Call) => Promise<T[]>;
  readonly nameOf: (object: T) => string;
  /** What else names an object; left out: its name alone does. */
  readonly isNamed?: (object: T, reference: string) => boolean;
}

/**
 * @throws SwarmError `not-found` that says how to list what there is, or `invalid-argument` when the
 * reference fits several.
 */
export async function resolve<T extends Identified>(
  kind: Kind<T>,
  reference: string,
  call: Call,
): Promise<T> {
  if (reference === '')
    throw new SwarmError('invalid-argument', `name or id of a ${kind.noun} is missing`);
  const [byName, byId] = await Promise.all([
    kind.list({ filter: { names: [reference] } }, call),
    kind.list({ filter: { idPrefixes: [reference] } }, call),
  ]);
  const exact = byId.find((object) => object.id === reference);
  if (exact !== undefined) return exact;
  for (const [candidates, what] of [
    [byName.filter((object) => isNamed(kind, object, reference)), 'named'],
    [byId, 'whose id begins with'],
  ] as const) {
    const [first, second] = candidates;
    if (second !== undefined) {
      const ids = candidates.map((object) => object.id).join(', ');
      throw new SwarmError(
        'invalid-argument',
        `several ${kind.noun}s ${what} "${reference}": say which by id: ${ids}`,
      );
    }
    if (first !== undefined) return first;
  }
  throw new SwarmError(
    'not-found',
    `no such ${kind.noun}: "${reference}" (see what there is with: swarmctl ${kind.noun} ls)`,
  );
}

function isNamed<T extends Identified>(kind: Kind<T>, object: T, reference: string): boolean {
  return kind.nameOf(object) === reference || (kind.isNamed?.(object, reference) ?? false);
}
