/** What commands on images of a node would do there, from what the node and the registry tell. */
import { errorCode } from '@swarmd/base';
import type { Image, ImageDetails } from '@swarmd/api';
import { isIdleImage, type NodeId } from '@swarmd/model';

import type { Context } from '../context.ts';
import { refuseUsed, type NodeChange } from '../node-dry-run.ts';
import { byNameOrPin } from '../pinned-image.ts';
import { bytes, shortId } from '../output.ts';
import { registryAuthFor } from '../registry-auth.ts';

/** @throws SwarmError as the pull would, where the registry refuses. */
export async function pullOf(
  context: Context,
  nodeId: NodeId,
  reference: string,
): Promise<NodeChange> {
  const { engine } = await context.cluster();
  const request = { nodeId, reference, ...registryAuthFor(context, reference) };
  const { reference: name } = await engine.resolveImage(request, context.call);
  const present = await imageOf(context, nodeId, name);
  return present === undefined
    ? { action: 'pull', name, detail: 'the node does not have it' }
    : { action: 'keep', name, detail: 'the node has it' };
}

export async function tagOf(
  context: Context,
  { nodeId, reference, target }: { nodeId: NodeId; reference: string; target: string },
): Promise<NodeChange> {
  const { image } = await detailsOf(context, nodeId, reference);
  const present = await imageOf(context, nodeId, target);
  const was = present === undefined ? '' : `, no longer ${nameOf(present)}`;
  return present?.id === image.id
    ? { action: 'keep', name: target, detail: `it names ${nameOf(image)} already` }
    : { action: 'tag', name: target, detail: `names ${nameOf(image)}${was}` };
}

/** @throws SwarmError `not-found`, `failed-precondition` as the node would. */
export async function removalOf(
  context: Context,
  nodeId: NodeId,
  reference: string,
): Promise<NodeChange> {
  const { image, names } = await detailsOf(context, nodeId, reference);
  if (image.used) refuseUsed(`image ${image.reference}`);
  return removal(
    image,
    names.filter((name) => name !== image.reference),
  );
}

/** The images that go when so long unused ones are removed. */
export async function removalsOf(
  context: Context,
  nodeId: NodeId,
  unusedForMs: number,
): Promise<NodeChange[]> {
  const { engine } = await context.cluster();
  const images = await engine.listImages({ nodeId }, context.call);
  const now = context.clock.now();
  const idle = images.filter((image) => isIdleImage(image, { now, unusedForMs }));
  const staying = images.filter((image) => !idle.includes(image));
  return idle.map((image) => {
    const others = staying.filter(({ id }) => id === image.id);
    return removal(
      image,
      others.map(({ reference }) => reference),
    );
  });
}

function removal({ reference, bytes: size }: Image, others: readonly string[]): NodeChange {
  const detail =
    others.length === 0
      ? `its layers, ${bytes(size)}, unless other images share them`
      : `only the name: ${others.join(', ')} keeps its layers`;
  return { action: 'remove', name: reference, detail };
}

/** By its name, or by what that was pinned to for services. */
export async function detailsOf(
  context: Context,
  nodeId: NodeId,
  reference: string,
): Promise<ImageDetails> {
  const { engine } = await context.cluster();
  return await byNameOrPin(context, { nodeId, reference }, (name) =>
    engine.inspectImage({ nodeId, reference: name }, context.call),
  );
}

async function imageOf(
  context: Context,
  nodeId: NodeId,
  reference: string,
): Promise<Image | undefined> {
  const { engine } = await context.cluster();
  try {
    return (await engine.inspectImage({ nodeId, reference }, context.call)).image;
  } catch (error) {
    if (errorCode(error) === 'not-found') return undefined;
    throw error;
  }
}

function nameOf({ id }: Image): string {
  return shortId(id.replace('sha256:', ''));
}
