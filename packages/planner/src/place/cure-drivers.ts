/**
 * What a node is made of and configured with no command changes: the service asks for less of it, or says that it
 * runs there, too.
 */
import { asId, type NodePlugin, type TaskSpec } from '@swarmd/model';

import { ofService, quoted, type Changes, type Cured } from './cure.ts';
import type { NodeState } from './filters.ts';
import { freeGeneric } from './generic.ts';
import { missingPlugins } from './plugins.ts';

/** The list is given as a whole. */
export function curePlatform(changes: Changes, { node }: NodeState, cured: Cured): boolean {
  const own = node.description?.platform;
  if (own === undefined) return false;
  for (const { os, architecture } of [...cured.demand.spec.placement.platforms, own]) {
    ofService(changes, cured, `--platform ${os}/${architecture}`);
  }
  return true;
}

/** Of all kinds, as the words name the first one only. */
export function cureGeneric(changes: Changes, { node, usage }: NodeState, cured: Cured): boolean {
  for (const { kind, count } of cured.demand.spec.reservations.generic) {
    const free = freeGeneric(node, usage.of(node.id), kind);
    if (free >= count) continue;
    const flag = free > 0 ? `-add ${kind}=${free}` : `-rm ${kind}`;
    ofService(changes, cured, `--generic-resource${flag}`);
  }
  return true;
}

/** Of all that are missing. */
export function curePlugins(changes: Changes, { node }: NodeState, cured: Cured): boolean {
  const { demand, view } = cured;
  const flags = missingPlugins(node, demand.plugins).map((one) => without(one, demand.spec, view));
  const said = new Set(flags.flat());
  for (const flag of said) if (flag !== undefined) ofService(changes, cured, flag);
  return !said.has(undefined);
}

/** Flags after which it is not needed; undefined: none. */
function without(
  { kind, name }: NodePlugin,
  { container, networks }: TaskSpec,
  view: Cured['view'],
): (string | undefined)[] {
  switch (kind) {
    case 'volume':
      return container.mounts
        .filter((mount) => mount.kind === 'volume' && mount.driver === name)
        .map(({ target }) => `--mount-rm ${quoted(target)}`);
    case 'log':
      // Options are its own, and only given as a whole.
      return [Object.keys(container.log.options).length === 0 ? '--log-driver local' : undefined];
    case 'runtime':
      return [`--runtime ''`];
    case 'network':
    case 'interface':
      return networks.flatMap(({ target }) => {
        const spec = view.get('network', asId('network', target))?.spec;
        const isIt = kind === 'network' ? spec?.driver === name : spec?.options['parent'] === name;
        return spec !== undefined && isIt ? [`--network-rm ${spec.name}`] : [];
      });
    default:
      return [undefined];
  }
}
