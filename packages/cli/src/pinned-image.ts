/**
 * Tasks of services are pulled by digest (ADR 0014), and a node knows such an image by that alone. Which
 * digest a tag became, the services and their tasks tell.
 */
import { errorCode, SwarmError } from '@swarmd/base';
import { splitRegistry, type NodeId } from '@swarmd/model';

import type { Context } from './context.ts';

/**
 * Does something to an image of a node by the name that was given; where the node has none of that name,
 * to the one that services got for it.
 * @throws SwarmError `invalid-argument` when that is not one.
 */
export async function byNameOrPin<T>(
  context: Context,
  { nodeId, reference }: { readonly nodeId: NodeId; readonly reference: string },
  act: (name: string) => Promise<T>,
): Promise<T> {
  try {
    return await act(reference);
  } catch (error) {
    if (errorCode(error) !== 'not-found' || reference.includes('@')) throw error;
    const [pinned, ...more] = await pinsOf(context, nodeId, reference);
    if (pinned === undefined) throw error;
    if (more.length === 0) return await act(pinned);
    throw new SwarmError(
      'invalid-argument',
      `services have got several images for ${reference}; say which: ${[pinned, ...more].join(', ')}`,
    );
  }
}

/** The names by digest of what services got for a tag, of the images that the node has. */
async function pinsOf(context: Context, nodeId: NodeId, reference: string): Promise<string[]> {
  const { control, engine } = await context.cluster();
  const [images, services, tasks] = await Promise.all([
    engine.listImages({ nodeId }, context.call),
    control.listServices({ filter: {} }, context.call),
    control.listTasks({ filter: {} }, context.call),
  ]);
  const specs = [
    ...services.flatMap(({ spec, history }) => [
      spec.task,
      ...(history?.specs ?? []).map((past) => past.spec.task),
    ]),
    ...tasks.map(({ spec }) => spec),
  ];
  const [repository, tag] = split(reference);
  const pins = new Set<string>();
  for (const { container } of specs) {
    const [name = '', digest] = container.image.split('@');
    if (digest === undefined) continue;
    const [ofRepository, ofTag] = split(name);
    if (ofRepository === repository && ofTag === tag) pins.add(`${repository}@${digest}`);
  }
  return images.map((image) => image.reference).filter((name) => pins.has(name));
}

/** Repository as nodes spell it, and tag. */
function split(name: string): [repository: string, tag: string] {
  const { registry, path } = splitRegistry(name);
  const [, repository = path, tag = 'latest'] = /^(.*?)(?::([^/]+))?$/.exec(path) ?? [];
  const isShort = registry === 'docker.io' && !repository.includes('/');
  return [`${registry}/${isShort ? 'library/' : ''}${repository}`, tag];
}
