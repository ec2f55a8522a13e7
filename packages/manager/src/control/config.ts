/** Control of configs. */
import type { Control } from '@swarmd/api';
import { asId, configSpec, type Config } from '@swarmd/model';

import type { ControlContext } from './context.ts';
import {
  refuseReferenced,
  refuseTakenName,
  type FileKind,
  refuseBadTemplate,
} from './file-object.ts';
import { matches } from './filter.ts';
import { notFound, parseSpec } from './validate.ts';

type ConfigControl = Pick<Control, 'createConfig' | 'getConfig' | 'listConfigs' | 'removeConfig'>;

const KIND: FileKind = {
  word: 'config',
  byName: (view, name) => view.configByName(name),
  references: (container) => container.configs,
};

export function configControl(context: ControlContext): ConfigControl {
  return {
    createConfig: (request, call) => {
      const spec = parseSpec('config', configSpec, request.spec);
      refuseBadTemplate(KIND, spec);
      const config: Config = {
        id: asId('config', context.ids.next()),
        meta: context.newMeta(),
        spec,
      };
      return context.writeObject(
        { call, table: 'config', forward: (leader, on) => leader.createConfig(request, on) },
        (tx) => {
          refuseTakenName(tx, KIND, spec.name);
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
    removeConfig: ({ id }, call) =>
      context.write(
        call,
        (tx) => {
          const config = tx.get('config', id);
          if (config === undefined) throw notFound('config', id);
          refuseReferenced(tx, KIND, config);
          tx.delete('config', id);
        },
        (leader, on) => leader.removeConfig({ id }, on),
      ),
  };
}
