/** Control of secrets. Their contents go in and never come out through this API. */
import type { Control } from '@swarmd/api';
import { asId, secretSpec, type Secret } from '@swarmd/model';

import type { ControlContext } from './context.ts';
import { refuseBadTemplate, refuseTakenName, removeFile, updateFile } from './file-object.ts';
import { matches } from './filter.ts';
import { redactSecret } from './redact.ts';
import { notFound, parseSpec } from './validate.ts';

type SecretControl = Pick<
  Control,
  'createSecret' | 'getSecret' | 'listSecrets' | 'updateSecret' | 'removeSecret'
>;

export function secretControl(context: ControlContext): SecretControl {
  return {
    createSecret: async (request, call) => {
      const spec = parseSpec('secret', secretSpec, request.spec);
      refuseBadTemplate('secret', spec);
      const id = asId('secret', context.ids.next());
      const secret: Secret = { id, meta: context.newMeta(), spec, number: 1 };
      const written = await context.writeObject(
        { call, table: 'secret', forward: (leader, on) => leader.createSecret(request, on) },
        (tx) => {
          refuseTakenName(tx, 'secret', spec.name);
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
    updateSecret: async (request, call) => {
      const newId = context.ids.next();
      const written = await context.writeObject(
        { call, table: 'secret', forward: (leader, on) => leader.updateSecret(request, on) },
        (tx) =>
          updateFile(tx, {
            table: 'secret',
            request,
            parse: (spec) => parseSpec('secret', secretSpec, spec),
            newId,
            now: context.clock.now(),
          }),
      );
      return redactSecret(written);
    },
    removeSecret: ({ id }, call) =>
      context.write(
        call,
        (tx) => removeFile(tx, 'secret', id),
        (leader, on) => leader.removeSecret({ id }, on),
      ),
  };
}
