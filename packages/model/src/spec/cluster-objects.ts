/** Specs of everything but services: nodes, networks, secrets, configs, the cluster itself. */
import { parseIpv6Network } from '../ipv6.ts';
import { z } from 'zod';

import { dnsName, durationMs, labels, objectName } from './common.ts';

export const nodeSpec = z.strictObject({
  labels,
  role: z.enum(['worker', 'manager']),
  availability: z.enum(['active', 'pause', 'drain']).default('active'),
});
export type NodeSpec = z.infer<typeof nodeSpec>;
export type NodeRole = NodeSpec['role'];
export type NodeAvailability = NodeSpec['availability'];

const cidr = z
  .string()
  .regex(/^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$/, 'must be an IPv4 network such as 10.1.0.0/24');

/** Longest prefix behind which a network's number and its IPv4 addresses have room (ADR 0022). */
const POOL6_LENGTH_MAX = 64;

const pool6 = z.string().refine((text) => {
  const network = parseIpv6Network(text);
  return network !== undefined && network.length <= POOL6_LENGTH_MAX;
}, `must be an IPv6 network of at most ${POOL6_LENGTH_MAX} bits such as fd12:3456::/48`);

const ipv4 = z
  .string()
  .regex(/^\d{1,3}(\.\d{1,3}){3}$/, 'must be an IPv4 address such as 10.1.0.1');

/** Enough to make a network of /24s as large as a /20. */
const MORE_SUBNETS_MAX = 15;

export const networkSpec = z.strictObject({
  name: dnsName,
  labels,
  driver: z.enum(['overlay', 'bridge', 'host', 'none', 'macvlan']).default('overlay'),
  /** Containers get IPv6 addresses, too. */
  ipv6: z.boolean().default(false),
  /** By driver; macvlan: parent (an interface of the nodes), macvlan_mode. */
  options: z.record(z.string().min(1), z.string()).default({}),
  /** No way out of the network. */
  internal: z.boolean().default(false),
  attachable: z.boolean().default(false),
  /** Empty: the managers take one from the cluster's pool. */
  subnet: z.union([z.literal(''), cidr]).default(''),
  /** The address that no task gets; empty: the first of the subnet. Needs a subnet. */
  gateway: z.union([z.literal(''), ipv4]).default(''),
  /** Tasks and services get addresses of this part of the subnet only; empty: of all. */
  ipRange: z.union([z.literal(''), cidr]).default(''),
  /** Addresses that others have, by a name of one's own: given to nobody. */
  reserved: z.record(z.string().min(1), ipv4).default({}),
  /** On the same wire, used when the first subnet is full. */
  moreSubnets: z.array(cidr).max(MORE_SUBNETS_MAX).default([]),
  /** Bytes; 0: underlay MTU minus the VXLAN header. */
  mtu: z.int().min(0).max(9_000).default(0),
});
export type NetworkSpec = z.infer<typeof networkSpec>;

const SECRET_BYTES_MAX = 500 * 1024;
const CONFIG_BYTES_MAX = 1_000 * 1024;
const bytes = (max: number) =>
  z.custom<Uint8Array>(
    (data) => data instanceof Uint8Array && data.byteLength >= 1 && data.byteLength <= max,
    `must be 1 to ${max} bytes`,
  );

/** golang: the content is a template that is expanded for each task that uses it. */
const templating = z.enum(['none', 'golang']).default('none');

export const secretSpec = z.strictObject({
  name: objectName,
  labels,
  data: bytes(SECRET_BYTES_MAX),
  templating,
});
export type SecretSpec = z.infer<typeof secretSpec>;
export type SecretSpecInput = z.input<typeof secretSpec>;

export const configSpec = z.strictObject({
  name: objectName,
  labels,
  data: bytes(CONFIG_BYTES_MAX),
  templating,
});
export type ConfigSpec = z.infer<typeof configSpec>;
export type ConfigSpecInput = z.input<typeof configSpec>;

export const clusterSpec = z.strictObject({
  labels,
  /** Ended tasks kept per slot. */
  taskHistoryLimit: z.int().min(0).default(5),
  heartbeatPeriodMs: durationMs.min(100).default(1_000),
  /** A node that was not heard of for so long is DOWN. */
  nodeDownAfterMs: durationMs.min(500).default(3_000),
  /** A node that restarts on purpose has so long to be back before its tasks are replaced. */
  nodeRestartGraceMs: durationMs.default(30_000),
  /** A node that is lost again soon gets no new tasks for so long after its return; twice that the next time. 0: never. */
  flapHoldMs: durationMs.default(10_000),
  flapHoldMaxMs: durationMs.default(600_000),
  /** After so long a loss counts half. */
  flapDecayMs: durationMs.min(1_000).default(600_000),
  /** When more than this share of the nodes is lost at once, the tasks of the others are replaced node by node. */
  massFailureShare: z.number().min(0).max(1).default(0.5),
  /** Time between two such nodes; 0: all at once. */
  massFailureIntervalMs: durationMs.default(10_000),
  /** Of services that say nothing themselves. */
  rebalance: z
    .strictObject({ budget: z.int().min(0).default(0), intervalMs: durationMs.default(10_000) })
    .prefault({}),
  nodeCertificateExpiryMs: durationMs.min(3_600_000).default(90 * 24 * 3_600_000),
  /** Networks without a subnet of their own get a /24 of this. */
  overlayPool: cidr.default('10.0.0.0/8'),
  /** Networks with IPv6 get a /96 of this. */
  overlayPool6: pool6.default('fd53:7764::/32'),
  /** Each node owns a /23 of this for its containers' way out and the routing mesh. */
  gatewayPool: cidr.default('100.64.0.0/10'),
  /** Each node has one address of this on the ingress VXLAN. */
  ingressPool: cidr.default('10.255.0.0/16'),
  /** UDP port of VXLAN between the nodes. */
  vxlanPort: z.int().min(1_024).max(49_151).default(4_789),
  /** How long the keys of encrypted networks are sent by before others take their place. */
  overlayKeyPeriodMs: durationMs.min(60_000).default(12 * 3_600_000),
  /** What goes between nodes on behalf of published ports is encrypted, too. */
  encryptMesh: z.boolean().default(false),
});
export type ClusterSpec = z.infer<typeof clusterSpec>;
