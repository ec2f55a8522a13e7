/** Which drivers of its node a task needs besides what every node has. */
import {
  asId,
  isEncrypted,
  type Node,
  type NodePlugin,
  type Task,
  type TaskSpec,
} from '@swarmd/model';

import { clusterOf } from '../allocate/subnet.ts';
import type { PlanView } from '../types.ts';

/** What swarmd brings along: kept by every node. */
const BUILT_IN: ReadonlySet<string> = new Set(['volume local', 'log local', 'log none']);

/** Of a volume mount only one that may have to be made says its driver. */
export function neededPlugins(
  view: Pick<PlanView, 'get'>,
  { container, networks }: TaskSpec,
): NodePlugin[] {
  const { log, mounts, runtime } = container;
  const needed: NodePlugin[] = mounts
    .filter(({ kind, driver }) => kind === 'volume' && driver !== '')
    .map(({ driver }) => ({ kind: 'volume', name: driver }));
  if (log.driver !== '') needed.push({ kind: 'log', name: log.driver });
  if (runtime !== '') needed.push({ kind: 'runtime', name: runtime });
  for (const { target } of networks) {
    const spec = view.get('network', asId('network', target))?.spec;
    if (spec === undefined) continue;
    needed.push({ kind: 'network', name: spec.driver });
    const { parent } = spec.options;
    if (spec.driver === 'macvlan' && parent !== undefined) {
      needed.push({ kind: 'interface', name: parent });
    }
  }
  return needed.filter(({ kind, name }) => !BUILT_IN.has(`${kind} ${name}`));
}

/** In words, what the node lacks first. */
export function missingPlugin(node: Node, needed: readonly NodePlugin[]): string | undefined {
  if (needed.length === 0) return undefined;
  const [lacking] = missingPlugins(node, needed);
  return lacking === undefined ? undefined : `no ${WORDS[lacking.kind]} ${lacking.name}`;
}

/** A node of an earlier version, that tells of none, may have all. */
export function missingPlugins(
  { description }: Node,
  needed: readonly NodePlugin[],
): readonly NodePlugin[] {
  const plugins = description?.plugins ?? [];
  if (plugins.length === 0) return [];
  const told = new Set(plugins.map(({ kind }) => kind));
  return needed.filter(
    ({ kind, name }) =>
      (told.has(kind) || !EVERYWHERE.has(kind)) &&
      !plugins.some((one) => one.kind === kind && one.name === name),
  );
}

/** Every machine has one of these: who tells of none is of an earlier version. */
const EVERYWHERE: ReadonlySet<NodePlugin['kind']> = new Set(['interface', 'network']);

/**
 * True when packets of the task's networks have to be encrypted by its node, or those of an encrypted mesh that
 * its published ports answer.
 */
export function needsEncryption(
  view: Pick<PlanView, 'get' | 'list'>,
  { spec, ports }: Pick<Task, 'spec' | 'ports'>,
): boolean {
  if (ports.some(({ publishMode }) => publishMode === 'ingress') && hasEncryptedMesh(view))
    return true;
  return spec.networks.some(({ target }) => {
    const network = view.get('network', asId('network', target))?.spec;
    return network !== undefined && isEncrypted(network);
  });
}

function hasEncryptedMesh(view: Pick<PlanView, 'list'>): boolean {
  return clusterOf(view)?.spec.encryptMesh === true;
}

/** What one node lacks for that. Who does not tell is of a version that would send in clear. */
export function lacksEncryption({ description }: Node): string | undefined {
  if (description?.encryption === undefined) return 'its version knows no encrypted networks';
  return description.encryption.lacks === '' ? undefined : description.encryption.lacks;
}

const WORDS: Readonly<Record<NodePlugin['kind'], string>> = {
  interface: 'interface',
  log: 'log driver',
  network: 'network driver',
  runtime: 'runtime',
  volume: 'volume driver',
};
