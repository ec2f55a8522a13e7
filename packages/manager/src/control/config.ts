/** Control of configs. */
import type { Control } from '@swarmd/api';
import { asId, configSpec, type Config } from '@swarmd/model';

import type { ControlContext } from './context.ts';
import { refuseBadTemplate, refuseTakenName, removeFile, updateFile } from './file-object.ts';
import { matches } from './filter.ts';
import { notFound, parseSpec } from './validate.ts';

type ConfigControl = Pick<
  Control,
  'createConfig' | 'getConfig' | 'listConfigs' | 'updateConfig' | 'removeConfig'
>;

export function configControl(context: ControlContext): ConfigControl {
  return {
    createConfig: (request, call) => {
      const spec = parseSpec('config', configSpec, request.spec);
      refuseBadTemplate('config', spec);
      const id = asId('config', context.ids.next());
      const config: Config = { id, meta: context.newMeta(), spec, number: 1 };
      return context.writeObject(
        { call, table: 'config', forward: (leader, on) => leader.createConfig(request, on) },
        (tx) => {
          refuseTakenName(tx, 'config', spec.name);
          tx.put('config', config);
          return config;
        },
      );
    },
    getConfig: async ({ id }, call) => {
      const config = (await context.read(call)).get('config', id);
      if (config === undefined) throw notFound('config', id);
      return config;
    },
    listConfigs: async ({ filter }, call) =>
      [...(await context.read(call)).list('config')].filter((config) =>
        matches(filter, { id: config.id, ...config.spec }),
      ),
    updateConfig: (request, call) => {
      const newId = context.ids.next();
      return context.writeObject(
        { call, table: 'config', forward: (leader, on) => leader.updateConfig(request, on) },
        (tx) =>
          updateFile(tx, {
            table: 'config',
            request,
            parse: (spec) => parseSpec('config', configSpec, spec),
            newId,
            now: context.clock.now(),
          }),
      );
    },
    removeConfig: ({ id }, call) =>
      context.write(
        call,
        (tx) => removeFile(tx, 'config', id),
        (leader, on) => leader.removeConfig({ id }, on),
      ),
  };
}
