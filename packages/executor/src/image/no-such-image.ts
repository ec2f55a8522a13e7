/** What to say of a name that no image of the node has: tasks of services are pulled by digest, which hides the tag. */
import { SwarmError } from '@swarmd/base';

import { canonicalReference, type ImageReference } from './reference.ts';

/** Of the same repository; the others are counted. */
const NAMES_SHOWN_MAX = 5;

/** @param present Canonical names of the images that there are. */
export function noSuchImage(reference: ImageReference, present: Iterable<string>): SwarmError {
  const repository = `${reference.registry}/${reference.repository}`;
  const others = [...present]
    .filter((name) => name.startsWith(`${repository}@`) || name.startsWith(`${repository}:`))
    .toSorted();
  const more = others.length - NAMES_SHOWN_MAX;
  const shown = `${others.slice(0, NAMES_SHOWN_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
  const hint =
    others.length === 0
      ? ''
      : `; of that repository it has, by their whole names: ${shown} (services pull by digest)`;
  const name = canonicalReference(reference);
  return new SwarmError('not-found', `there is no image ${name} on this node${hint}`);
}
