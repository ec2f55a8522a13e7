/** From the names that flags give to the ids that a spec needs. */
import { resolve, type Kind } from '@swarmd/client';
import type { Config, Secret, ServiceSpecInput } from '@swarmd/model';

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

/** @throws SwarmError `not-found` for the first name that nothing has. */
export async function findReferences(context: Context, flags: ReferenceFlags): Promise<References> {
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
    const { id } = await resolve(networks, name, context.call);
    return { target: id, ...(aliases.length === 0 ? {} : { aliases: [...aliases] }) };
  };
  return {
    networks: await Promise.all((flags.network ?? []).map(network)),
    secrets: await Promise.all((flags.secret ?? []).map(file(secrets))),
    configs: await Promise.all((flags.config ?? []).map(file(configs))),
  };
}
