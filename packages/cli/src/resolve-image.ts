/** A tag becomes a digest once, when a service gets its image: then all its tasks run the same bits. */
import { errorMessage } from '@swarmd/base';

import type { Context } from './context.ts';
import { registryAuthFor } from './registry-auth.ts';

/**
 * Asked by a node, as nodes are who can reach registries. Whatever goes wrong is said and costs nothing:
 * the image stays as it was written, and every node asks by itself.
 */
export async function resolveImage(
  context: Context,
  image: string,
  flags: { readonly resolveImage: boolean },
): Promise<string> {
  if (!flags.resolveImage || image.includes('@')) return image;
  const { control, engine } = await context.cluster();
  const nodes = await control.listNodes({ filter: {} }, context.call);
  const node = nodes.find(({ status }) => status.state === 'ready');
  if (node === undefined) return image;
  try {
    const request = { nodeId: node.id, reference: image, ...registryAuthFor(context, image) };
    return (await engine.resolveImage(request, context.call)).reference;
  } catch (error) {
    if (context.call.signal.aborted) throw error;
    context.terminal.err(
      `swarmctl: ${image} keeps its tag, so nodes may run different versions of it: ${errorMessage(error)}\n`,
    );
    return image;
  }
}

/** "nginx:1@sha256:..." -> "nginx:1", for tables; a digest alone stays. */
export function withoutDigest(image: string): string {
  return image.replace(/(:[^/@]+)@sha256:[0-9a-f]+$/, '$1');
}
