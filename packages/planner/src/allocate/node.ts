/** A new node's number and what follows from it. */
import {
  formatIpv4,
  formatIpv4Network,
  ipv4Part,
  parseIpv4Network,
  type ClusterSpec,
  type Node,
} from '@swarmd/model';

import { heldIndex } from '../place/held-index.ts';
import type { PlanView } from '../types.ts';
import { clusterOf } from './subnet.ts';
import { allocated, refused, type Allocated } from './result.ts';

/** Room for 509 containers on a node, and in the default pool for 8,191 nodes. */
const GATEWAY_PREFIX_LENGTH = 23;

/** The lowest free index, with the gateway subnet and the ingress address of that number. */
export function allocateNode(
  view: PlanView,
): Allocated<Pick<Node, 'index' | 'gatewaySubnet' | 'ingressAddress'>> {
  const cluster = clusterOf(view);
  if (cluster === undefined) return refused('failed-precondition', 'there is no cluster yet');
  return nodeAddresses(cluster.spec, heldIndex(view).numbers.lowestFree());
}

/** What node number `index` has in a cluster with these pools; for the first node of all. */
export function nodeAddresses(
  spec: ClusterSpec,
  index: number,
): Allocated<Pick<Node, 'index' | 'gatewaySubnet' | 'ingressAddress'>> {
  const gateways = parseIpv4Network(spec.gatewayPool);
  const ingress = parseIpv4Network(spec.ingressPool);
  const subnet = gateways && ipv4Part(gateways, GATEWAY_PREFIX_LENGTH, index);
  if (subnet === undefined || ingress === undefined || index >= ingress.size - 1) {
    return refused(
      'resource-exhausted',
      `the pools ${spec.gatewayPool} and ${spec.ingressPool} have no room for node number ${index}; remove nodes that are gone`,
    );
  }
  return allocated({
    index,
    gatewaySubnet: formatIpv4Network(subnet),
    ingressAddress: formatIpv4(ingress.base + index),
  });
}
