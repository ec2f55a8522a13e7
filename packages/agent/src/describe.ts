/** What this machine is, as the managers and their planner see it. */
import { existsSync, readdirSync } from 'node:fs';
import {
  availableParallelism,
  hostname,
  networkInterfaces,
  totalmem,
  type NetworkInterfaceInfo,
} from 'node:os';

import type { GenericResource, NodeDescription, NodeEncryption, NodePlugin } from '@swarmd/model';
import { hostNetworks, isOwnLink } from '@swarmd/network';

import { INTERFACES_MAX } from './limits.ts';
import type { Executor, NetworkPlane } from './ports.ts';

const NANO = 1_000_000_000;

export function describeNode(options: {
  engineVersion: string;
  labels: Readonly<Record<string, string>>;
  genericResources: readonly GenericResource[];
  executor: Pick<Executor, 'plugins'>;
  plane: Pick<NetworkPlane, 'encryption'>;
  dataPathAddress?: string;
}): NodeDescription {
  return {
    hostname: hostname(),
    platform: { os: process.platform, architecture: architecture() },
    resources: {
      nanoCpus: availableParallelism() * NANO,
      memoryBytes: totalmem(),
      generic: options.genericResources,
    },
    engineVersion: options.engineVersion,
    labels: options.labels,
    networks: hostNetworks(),
    addresses6: globalAddresses6(networkInterfaces()),
    plugins: [...options.executor.plugins(), ...NETWORK_DRIVERS, ...ownInterfaces()],
    encryption: encryptionBy(options),
    ...(options.dataPathAddress === undefined ? {} : { dataPathAddress: options.dataPathAddress }),
  };
}

/** IPsec is set up between IPv4 addresses only. */
function encryptionBy({
  plane,
  dataPathAddress = '',
}: {
  plane: Pick<NetworkPlane, 'encryption'>;
  dataPathAddress?: string;
}): NodeEncryption {
  const { encryption } = plane;
  if (encryption.lacks !== '' || !dataPathAddress.includes(':')) return encryption;
  const lacks = `encryption between IPv6 addresses, and its data path is ${dataPathAddress}`;
  return { ...encryption, lacks };
}

/** What this version's network plane can make. */
const NETWORK_DRIVERS = (['bridge', 'host', 'macvlan', 'none', 'overlay'] as const).map(
  (name) => ({ kind: 'network', name }) as const,
);

const INTERFACES = '/sys/class/net';
/** Ends of containers' wires, here and of other software: they come and go with them. */
const OF_CONTAINERS = /^(lo|ing0|swg.*|veth.*|cali.*|lxc.*)$/;

/** What a macvlan can stand on; nothing on systems that do not say. */
export function ownInterfaces(folder = INTERFACES): NodePlugin[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => !OF_CONTAINERS.test(name))
    .filter((name) => !existsSync(`${folder}/${name}/master`))
    .toSorted()
    .slice(0, INTERFACES_MAX)
    .map((name) => ({ kind: 'interface', name }));
}

/** Names as OCI images use them. */
function architecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch;
}

/** IPv6 addresses that others may reach this machine at, sorted: neither link-local nor of our own links. */
export function globalAddresses6(
  interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>,
): string[] {
  const found = Object.entries(interfaces)
    .filter(([link]) => !isOwnLink(link))
    .flatMap(([, addresses = []]) => addresses)
    .filter(({ family, internal, address }) => {
      return family === 'IPv6' && !internal && !address.startsWith('fe80:');
    })
    .map(({ address }) => address);
  return [...new Set(found)].toSorted();
}
