/** Which drivers of its node a task needs besides what every node has. */
import type { Node, NodePlugin, TaskSpec } from '@swarmd/model';

/** What swarmd brings along: kept by every node. */
const BUILT_IN: ReadonlySet<string> = new Set(['volume local', 'log local', 'log none']);

/** Of a volume mount only one that may have to be made says its driver. */
export function neededPlugins({ container }: TaskSpec): NodePlugin[] {
  const { log, mounts, runtime } = container;
  const needed: NodePlugin[] = mounts
    .filter(({ kind, driver }) => kind === 'volume' && driver !== '')
    .map(({ driver }) => ({ kind: 'volume', name: driver }));
  if (log.driver !== '') needed.push({ kind: 'log', name: log.driver });
  if (runtime !== '') needed.push({ kind: 'runtime', name: runtime });
  return needed.filter(({ kind, name }) => !BUILT_IN.has(`${kind} ${name}`));
}

/** In words, what the node lacks first. A node of an earlier version, that tells of none, may have all. */
export function missingPlugin(
  { description }: Node,
  needed: readonly NodePlugin[],
): string | undefined {
  const plugins = description?.plugins ?? [];
  if (needed.length === 0 || plugins.length === 0) return undefined;
  const lacking = needed.find(
    ({ kind, name }) => !plugins.some((one) => one.kind === kind && one.name === name),
  );
  return lacking === undefined ? undefined : `no ${WORDS[lacking.kind]} ${lacking.name}`;
}

const WORDS: Readonly<Record<NodePlugin['kind'], string>> = {
  log: 'log driver',
  network: 'network driver',
  runtime: 'runtime',
  volume: 'volume driver',
};
