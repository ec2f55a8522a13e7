/** Commands about one node: the one that is named, else this machine. */
import { resolve } from '@swarmd/client';
import { asId, type NodeId } from '@swarmd/model';

import type { Context } from '../context.ts';

export const NODE_FLAG = '--node <node>';
export const NODE_HINT = 'host name, id or id prefix of the node (default: this one)';

export async function nodeOf(context: Context, reference: string | undefined): Promise<NodeId> {
  if (reference === undefined) {
    const { nodeId } = await context.daemon().local.info({}, context.call);
    return asId('node', nodeId);
  }
  const { control } = await context.cluster();
  const node = await resolve(
    {
      noun: 'node',
      list: (request, call) => control.listNodes(request, call),
      nameOf: (node) => node.description?.hostname ?? '',
    },
    reference,
    context.call,
  );
  return node.id;
}
