/** The credentials that go along with an image. */
import { SwarmError } from '@swarmd/base';
import { formatRegistryAuth, splitRegistry } from '@swarmd/model';

import type { Context } from './context.ts';

/** For the image's registry and no other, as a field to spread; no field when there are none. */
export function registryAuthFor(context: Context, image: string): { registryAuth?: Uint8Array } {
  const { registry } = splitRegistry(image);
  const credentials = context.credentials.find(registry);
  if (credentials === undefined) return {};
  return { registryAuth: formatRegistryAuth({ [registry]: credentials }) };
}

/** What --with-registry-auth asks for. @throws SwarmError `failed-precondition` when there are none. */
export function requestedAuth(
  context: Context,
  image: string,
  flags: { readonly withRegistryAuth: boolean },
): { registryAuth?: Uint8Array } {
  if (!flags.withRegistryAuth) return {};
  const found = registryAuthFor(context, image);
  if (found.registryAuth !== undefined) return found;
  const { registry } = splitRegistry(image);
  throw new SwarmError(
    'failed-precondition',
    `there are no credentials for ${registry}; log in with: swarmctl registry login ${registry}`,
  );
}
