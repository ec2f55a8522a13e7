/**
 * The secret with a service's registry credentials: made, changed and removed in the service's own
 * transactions. New credentials keep the secret's id, so that they replace no task and every spec in the
 * service's history can still be gone back to.
 */
import { asId, parseRegistryAuth, type Secret, type ServiceSpec } from '@swarmd/model';
import type { ReadView, Transaction } from '@swarmd/store';

import type { ControlContext } from './context.ts';
import { invalid } from './validate.ts';

const OWNER_LABEL = 'swarmd.registry-auth.service';

/** @throws SwarmError `invalid-argument` for what nobody could log in with. */
export function checkRegistryAuth(document: Uint8Array | undefined): void {
  if (document === undefined || document.length === 0) return;
  const auth = parseRegistryAuth(document);
  if (auth instanceof Error) throw invalid(`registry credentials: ${auth.message}`);
}

/** Stores what was given. @returns the spec, with the id of the secret. */
export function withRegistrySecret(
  tx: Transaction,
  service: {
    readonly id: string;
    readonly spec: ServiceSpec;
    readonly registryAuth: Uint8Array | undefined;
  },
  context: ControlContext,
): ServiceSpec {
  const { id, spec, registryAuth } = service;
  if (registryAuth === undefined || registryAuth.length === 0) return spec;
  const owned = ownedSecret(tx, id);
  const secret: Secret =
    owned === undefined
      ? {
          id: asId('secret', context.ids.next()),
          meta: context.newMeta(),
          spec: {
            name: `registry-auth-${id}`,
            labels: { [OWNER_LABEL]: id },
            data: registryAuth,
            templating: 'none',
          },
          number: 1,
        }
      : { ...owned, spec: { ...owned.spec, data: registryAuth } };
  tx.put('secret', secret);
  const container = { ...spec.task.container, registrySecret: secret.id };
  return { ...spec, task: { ...spec.task, container } };
}

/** With the service, unless another service names it, too. */
export function removeRegistrySecret(tx: Transaction, serviceId: string): void {
  const secret = ownedSecret(tx, serviceId);
  if (secret === undefined) return;
  for (const other of tx.list('service')) {
    const isNamed = other.spec.task.container.registrySecret === secret.id;
    if (isNamed && other.id !== serviceId) return;
  }
  tx.delete('secret', secret.id);
}

function ownedSecret(view: ReadView, serviceId: string): Secret | undefined {
  const secret = view.secretByName(`registry-auth-${serviceId}`);
  return secret?.spec.labels[OWNER_LABEL] === serviceId ? secret : undefined;
}
