/** From the names that flags give to the ids that a spec needs. */
import { errorCode } from '@swarmd/base';
import { resolve, type Kind } from '@swarmd/client';
import type { Config, Network, Secret, ServiceSpecInput } from '@swarmd/model';

import { configKind, networkKind, secretKind } from './commands/kinds.ts';
import type { Context } from './context.ts';
import type { FileFlag, NetworkFlag } from './flags.ts';

type Container = ServiceSpecInput['task']['container'];
export type FileInput = NonNullable<Container['secrets']>[number];
export type NetworkInput = NonNullable<ServiceSpecInput['task']['networks']>[number];

export interface ReferenceFlags {
  readonly network?: readonly NetworkFlag[];
  readonly secret?: readonly FileFlag[];
  readonly config?: readonly FileFlag[];
}

export interface References {
  readonly networks: readonly NetworkInput[];
  readonly secrets: readonly FileInput[];
  readonly configs: readonly FileInput[];
}

/** Networks that need no thought: made when they are first named. */
const PREDEFINED = ['bridge', 'host', 'none'] as const;

async function predefined(context: Context, name: string, missing: unknown): Promise<Network> {
  const driver = PREDEFINED.find((one) => one === name);
  if (driver === undefined || errorCode(missing) !== 'not-found') throw missing;
  const { control } = await context.cluster();
  try {
    return await control.createNetwork({ spec: { name, driver } }, context.call);
  } catch (error) {
    if (errorCode(error) !== 'already-exists') throw error;
    return resolve(await networkKind(context), name, context.call);
  }
}

/**
 * @param mayCreate networks "bridge", "host" and "none", which are there for everybody to use.
 * @throws SwarmError `not-found` for the first name that nothing has.
 */
export async function findReferences(
  context: Context,
  flags: ReferenceFlags,
  { mayCreate }: { mayCreate: boolean },
): Promise<References> {
  const [networks, secrets, configs] = await Promise.all([
    networkKind(context),
    secretKind(context),
    configKind(context),
  ]);
  const file =
    <T extends Secret | Config>(kind: Kind<T>) =>
    async ({ source, target, ...rest }: FileFlag): Promise<FileInput> => {
      const { id, spec } = await resolve(kind, source, context.call);
      return { id, name: spec.name, target: target ?? spec.name, ...rest };
    };
  const network = async ({ name, aliases }: NetworkFlag): Promise<NetworkInput> => {
    const { id } = await resolve(networks, name, context.call).catch((error: unknown) => {
      if (!mayCreate) throw error;
      return predefined(context, name, error);
    });
    return { target: id, ...(aliases.length === 0 ? {} : { aliases: [...aliases] }) };
  };
  return {
    networks: await Promise.all((flags.network ?? []).map(network)),
    secrets: await Promise.all((flags.secret ?? []).map(file(secrets))),
    configs: await Promise.all((flags.config ?? []).map(file(configs))),
  };
}
