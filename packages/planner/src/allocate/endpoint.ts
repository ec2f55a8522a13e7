/** What a service is reached at: its published ports and its virtual address on each network. */
import {
  asId,
  encryptedVxlanPort,
  portText,
  type Node,
  type PortConfig,
  type Service,
  type ServiceSpec,
  type VirtualIp,
} from '@swarmd/model';

import { DYNAMIC_PORT_MAX, DYNAMIC_PORT_MIN } from '../limits.ts';
import { Usage } from '../place/usage.ts';
import type { PlanView } from '../types.ts';
import { givesAddresses } from './driver.ts';
import { clusterOf, subnetsOf } from './subnet.ts';
import { allocated, refused, type Allocated } from './result.ts';

/**
 * The endpoint of a service with `spec`. What `service` (its present state, if it exists) has and
 * still needs stays as it is: virtual addresses and chosen ports are stable over updates.
 */
export function allocateEndpoint(
  view: PlanView,
  spec: ServiceSpec,
  service?: Service,
): Allocated<Service['endpoint']> {
  const ports = allocatePorts(view, spec, service);
  if (ports.kind === 'refused') return ports;
  const virtualIps = allocateVirtualIps(view, spec, service);
  if (virtualIps.kind === 'refused') return virtualIps;
  return allocated({ ports: ports.value, virtualIps: virtualIps.value });
}

function allocateVirtualIps(
  view: PlanView,
  spec: ServiceSpec,
  service: Service | undefined,
): Allocated<readonly VirtualIp[]> {
  const virtualIps: VirtualIp[] = [];
  const networks = [];
  for (const { target } of spec.task.networks) {
    const network = view.get('network', asId('network', target));
    if (network === undefined) return refused('not-found', `no network with id ${target}`);
    if (givesAddresses(network)) networks.push(network);
  }
  if (spec.endpoint.mode === 'dnsrr' || networks.length === 0) return allocated(virtualIps);
  const kept = new Map(service?.endpoint.virtualIps.map((vip) => [vip.networkId, vip]));
  const usage = new Usage(view);
  for (const network of networks) {
    const address = kept.get(network.id)?.address ?? usage.network(network).take();
    if (address === undefined) {
      return refused(
        'resource-exhausted',
        `network "${network.spec.name}" (${subnetsOf(network).join(', ')}) has no free address for the service; add one with network update --subnet-add`,
      );
    }
    virtualIps.push({ networkId: network.id, address });
  }
  return allocated(virtualIps);
}

interface PortHolder {
  readonly name: string;
  readonly mode: PortConfig['publishMode'];
  readonly address: string;
}

function allocatePorts(
  view: PlanView,
  spec: ServiceSpec,
  service: Service | undefined,
): Allocated<readonly PortConfig[]> {
  if (spec.endpoint.ports.length === 0) return allocated([]);
  const held = heldPorts(view, service);
  const fixed: PortConfig[] = [];
  for (const wanted of spec.endpoint.ports) {
    if (wanted.publishedPort === 0) continue;
    if (fixed.some((port) => samePlace(port, wanted))) {
      const text = `port ${portText(wanted)} is published twice by the service`;
      return refused('invalid-argument', text);
    }
    fixed.push(wanted);
    const conflict = held.get(numberOf(wanted))?.find((holder) => clash(holder, wanted));
    if (conflict !== undefined) {
      const way = conflict.mode === 'host' ? 'a host-published' : 'an ingress';
      return refused(
        'failed-precondition',
        `port ${portText(wanted)} is already in use by ${conflict.name} as ${way} port; choose another one`,
      );
    }
  }
  const own = new Set(fixed.map(numberOf));
  const ports: PortConfig[] = [];
  for (const wanted of spec.endpoint.ports) {
    const chosen = wanted.publishedPort === 0 ? choosePort(wanted, { held, own, service }) : wanted;
    if (chosen === undefined) {
      return refused(
        'resource-exhausted',
        `no ${wanted.protocol} port of ${DYNAMIC_PORT_MIN} to ${DYNAMIC_PORT_MAX} is free`,
      );
    }
    own.add(numberOf(chosen));
    ports.push(chosen);
  }
  return allocated(ports);
}

function numberOf(port: PortConfig): string {
  return `${port.publishedPort}/${port.protocol}`;
}

function samePlace(a: PortConfig, b: PortConfig): boolean {
  return numberOf(a) === numberOf(b) && addressesMeet(a, b);
}

/** A port of all addresses meets every other. */
function addressesMeet(a: { address: string }, b: { address: string }): boolean {
  return a.address === '' || b.address === '' || a.address === b.address;
}

/** Two services may publish one port in host mode: the scheduler keeps them on different nodes. */
function clash(holder: PortHolder, wanted: PortConfig): boolean {
  const meshed = holder.mode === 'ingress' || wanted.publishMode === 'ingress';
  return meshed && addressesMeet(holder, wanted);
}

const DAEMONS = { mode: 'ingress', address: '' } as const;

function heldPorts(
  view: Pick<PlanView, 'list'>,
  except: Service | undefined,
): Map<string, PortHolder[]> {
  const held = new Map<string, PortHolder[]>();
  const hold = (key: string, holder: PortHolder): void => {
    held.set(key, [...(held.get(key) ?? []), holder]);
  };
  for (const service of view.list('service')) {
    if (service.id === except?.id) continue;
    for (const port of service.endpoint.ports) {
      hold(numberOf(port), {
        name: `service "${service.spec.name}" (${service.id})`,
        mode: port.publishMode,
        address: port.address,
      });
    }
  }
  // A published port answers on every node: it must leave the daemons' own ports alone.
  for (const node of view.list('node')) {
    for (const port of daemonPorts(node)) {
      const key = `${port}/tcp`;
      if (!held.has(key)) hold(key, { ...DAEMONS, name: 'the daemons of the cluster' });
    }
  }
  const vxlanPort = clusterOf(view)?.spec.vxlanPort;
  if (vxlanPort !== undefined) {
    const networks = { ...DAEMONS, name: 'the networks of the cluster (VXLAN)' };
    hold(`${vxlanPort}/udp`, networks);
    hold(`${encryptedVxlanPort(vxlanPort)}/udp`, networks);
  }
  return held;
}

/** As "8080/tcp": what services other than this one publish, and what the cluster needs itself. */
export function heldNumbers(view: Pick<PlanView, 'list'>, except: Service): Set<string> {
  return new Set(heldPorts(view, except).keys());
}

function daemonPorts(node: Node): number[] {
  return [node.status.agentAddress, node.manager?.apiAddress, node.manager?.raftAddress]
    .map((address) => Number(address?.slice(address.lastIndexOf(':') + 1)))
    .filter((port) => Number.isInteger(port) && port > 0);
}

function choosePort(
  wanted: PortConfig,
  context: {
    held: ReadonlyMap<string, unknown>;
    own: ReadonlySet<string>;
    service: Service | undefined;
  },
): PortConfig | undefined {
  const { held, own, service } = context;
  const isFree = (port: number): boolean => {
    const key = numberOf({ ...wanted, publishedPort: port });
    return !held.has(key) && !own.has(key);
  };
  const before = service?.endpoint.ports.find(
    (port) =>
      port.protocol === wanted.protocol &&
      port.targetPort === wanted.targetPort &&
      port.publishMode === wanted.publishMode &&
      isFree(port.publishedPort),
  );
  if (before !== undefined) return { ...wanted, publishedPort: before.publishedPort };
  for (let port = DYNAMIC_PORT_MIN; port <= DYNAMIC_PORT_MAX; port += 1) {
    if (isFree(port)) return { ...wanted, publishedPort: port };
  }
  return undefined;
}
