/** Control of secrets. Their contents go in and never come out through this API. */
import type { Control } from '@swarmd/api';
import { asId, secretSpec, type Secret } from '@swarmd/model';

import type { ControlContext } from './context.ts';
import {
  refuseReferenced,
  refuseTakenName,
  type FileKind,
  refuseBadTemplate,
} from './file-object.ts';
import { matches } from './filter.ts';
import { redactSecret } from './redact.ts';
import { notFound, parseSpec } from './validate.ts';

type SecretControl = Pick<Control, 'createSecret' | 'getSecret' | 'listSecrets' | 'removeSecret'>;

const KIND: FileKind = {
  word: 'secret',
  byName: (view, name) => view.secretByName(name),
  references: (container) =>
    container.registrySecret === ''
      ? container.secrets
      : [...container.secrets, { id: container.registrySecret }],
};

export function secretControl(context: ControlContext): SecretControl {
  return {
    createSecret: async (request, call) => {
      const spec = parseSpec('secret', secretSpec, request.spec);
      refuseBadTemplate(KIND, spec);
      const secret: Secret = {
        id: asId('secret', context.ids.next()),
        meta: context.newMeta(),
        spec,
      };
      const written = await context.writeObject(
        { call, table: 'secret', forward: (leader, on) => leader.createSecret(request, on) },
        (tx) => {
          refuseTakenName(tx, KIND, spec.name);
          tx.put('secret', secret);
          return secret;
        },
      );
      return redactSecret(written);
    },
    getSecret: async ({ id }, call) => {
      const secret = (await context.read(call)).get('secret', id);
      if (secret === undefined) throw notFound('secret', id);
      return redactSecret(secret);
    },
    listSecrets: async ({ filter }, call) =>
      [...(await context.read(call)).list('secret')]
        .filter((secret) => matches(filter, { id: secret.id, ...secret.spec }))
        .map(redactSecret),
    removeSecret: ({ id }, call) =>
      context.write(
        call,
        (tx) => {
          const secret = tx.get('secret', id);
          if (secret === undefined) throw notFound('secret', id);
          refuseReferenced(tx, KIND, secret);
          tx.delete('secret', id);
        },
        (leader, on) => leader.removeSecret({ id }, on),
      ),
  };
}
