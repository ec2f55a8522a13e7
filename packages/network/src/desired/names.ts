/** How our objects in the kernel are called. Interface names have at most 15 characters. */
import { assert } from '@swarmd/base';
import type { NetworkId, TaskId } from '@swarmd/model';

import { hashOf } from './hash.ts';

/** The one namespace per host that holds the bridges and VXLAN devices of all overlays. */
export const OVERLAY_NETNS = 'swarm-ovl';
/** The host's own namespace by name, for containers that use it. */
export const HOST_NETNS = 'swarm-host';
/** The host's end of the VXLAN that connects the hosts themselves, for the routing mesh. */
export const INGRESS_LINK = 'ing0';
export const INGRESS_VNI = 4_096;
/** Every container's way out: the name inside, and how the host's ends begin. */
export const CONTAINER_GATEWAY_LINK = 'gw0';
export const GATEWAY_LINK_PREFIX = 'swg';
const OVERLAY_LINK_PREFIX = 'swv';
/** MAC of the host's end of every gateway link: each is a wire of its own. */
export const GATEWAY_MAC = '02:42:00:00:00:01';
/** Label of our addresses on the loopback device. */
export const LOOPBACK_LABEL = 'lo:swarmd';
/** What resolv.conf says in containers, as in Docker's. */
export const CONTAINER_NAMESERVER = '127.0.0.11';
/** The nft table, in the host and in every container. */
export const NFT_TABLE = 'swarmd';

/** Routes and rules of ours carry this protocol number, so that they can be told from others'. */
export const ROUTE_PROTOCOL = 90;
/** Rules: unmarked packets skip ours; one rule a node; where the first one jumps to. */
export const RULE_SKIP = 23_040;
export const RULE_NODE = 23_041;
export const RULE_END = 23_042;

/** What our IPsec states are known by: "SWMD"; and the priorities of our policies. */
export const ESP_REQUEST = 0x5357_4d44;
export const ESP_PRIORITY = 23_041;
export const ESP_GUARD_PRIORITY = 23_042;

/** Packet and connection marks of ours are 0x5a in the top byte and the node's index below. */
const MARK_BASE = 0x5a00_0000;
/** Conntrack zones have 16 bits; zone 0 is everybody's. */
const INDEX_MAX = 0xffff;

const BRIDGE_INDEX_BASE = 0x4000_0000;

const TASK_NETNS_PREFIX = 'swt-';
const HASH_CHARS = 11;

export function taskNetns(taskId: TaskId): string {
  return `${TASK_NETNS_PREFIX}${taskId}`;
}

/** The inverse of `taskNetns`; undefined for other namespaces. */
export function taskOfNetns(name: string): string | undefined {
  return name.startsWith(TASK_NETNS_PREFIX) ? name.slice(TASK_NETNS_PREFIX.length) : undefined;
}

export function gatewayLink(taskId: TaskId): string {
  return `${GATEWAY_LINK_PREFIX}${shortHash(taskId)}`;
}

export function overlayLink(taskId: TaskId, networkId: NetworkId): string {
  return `${OVERLAY_LINK_PREFIX}${shortHash(`${taskId}/${networkId}`)}`;
}

export function bridgeLink(vni: number): string {
  return `br${vni}`;
}

/**
 * The bridge's index in its namespace, chosen so that a port can name its master while it is made from
 * another namespace. Far above what the kernel gives links by itself.
 */
export function bridgeIndex(vni: number): number {
  return BRIDGE_INDEX_BASE + vni;
}

export function vxlanLink(vni: number): string {
  return `vx${vni}`;
}

/** The mark of what came from, and goes back to, a node: "0x5a000003". */
export function nodeMark(index: number): string {
  return `0x${markOf(index).toString(16)}`;
}

/** The mesh's routing table for a node: the same number as its mark, so it meets no one else's. */
export function nodeTable(index: number): number {
  return markOf(index);
}

function markOf(index: number): number {
  assert(index >= 1 && index <= INDEX_MAX, `node index ${index} is within 1..${INDEX_MAX}`);
  return MARK_BASE + index;
}

/** A hash in base 36. Two tasks of a node collide once in 10^11 nodes. */
function shortHash(text: string): string {
  return hashOf(text).toString(36).padStart(HASH_CHARS, '0').slice(-HASH_CHARS);
}

/** Of routes that hold when there is no better one any more. */
export const BARRIER_METRIC = 23_042;
