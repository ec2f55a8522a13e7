/**
 * What a service spec must satisfy beyond its schema: inside itself (pure) and against the other
 * objects of the cluster (in the transaction that writes it). Conditions as in SwarmKit's control
 * API.
 */
import {
  asId,
  isGlobal,
  hasMeshPort,
  isJob,
  parseConstraint,
  serviceSpec,
  type NetworkSpec,
  type ServiceSpec,
  containerTemplateError,
  parseAffinity,
  portText,
  attributeError,
  namesSlot,
} from '@swarmd/model';
import { scheduleFault } from '@swarmd/planner';
import type { ReadView } from '@swarmd/store';

import { sameValue } from '../same-value.ts';
import { isImageReference } from './image-reference.ts';
import { invalid } from './validate.ts';

/** @throws SwarmError `invalid-argument` */
export function checkServiceSpec(spec: ServiceSpec): void {
  const { container, limits, reservations, networks } = spec.task;
  if (!isImageReference(container.image)) {
    throw invalid(
      `service ${spec.name}: "${container.image}" is not an image reference; ` +
        `write [registry[:port]/]repository[:tag][@sha256:digest]`,
    );
  }
  const fault = containerTemplateError(container);
  if (fault !== undefined) throw invalid(`service ${spec.name}: ${fault}`);
  checkPlacement(spec);
  unique(
    `service ${spec.name}: more than one mount at`,
    container.mounts.map((mount) => mount.target),
  );
  unique(
    `service ${spec.name}: more than one secret at`,
    container.secrets.map((secret) => secret.target),
  );
  unique(
    `service ${spec.name}: more than one config at`,
    container.configs.map((config) => config.target),
  );
  unique(
    `service ${spec.name}: attached more than once to network`,
    networks.map((network) => network.target),
  );
  checkFit(spec.name, 'CPU', [reservations.nanoCpus, limits.nanoCpus]);
  checkFit(spec.name, 'memory', [reservations.memoryBytes, limits.memoryBytes]);
  checkPorts(spec);
  checkMode(spec);
  checkSchedule(spec);
  checkAutoscale(spec);
}

function checkPlacement({ name, task }: ServiceSpec): void {
  const { constraints, affinities, preferences } = task.placement;
  for (const parsed of [
    ...constraints.map((text) => parseConstraint(text)),
    ...affinities.map((text) => parseAffinity(text)),
  ]) {
    if (typeof parsed === 'string') throw invalid(`service ${name}: ${parsed}`);
  }
  for (const { spread } of preferences) {
    const fault = attributeError(spread);
    if (fault !== undefined) throw invalid(`service ${name}: spread over "${spread}": ${fault}`);
  }
  unique(
    `service ${name}: reserved more than once: generic resource`,
    task.reservations.generic.map(({ kind }) => kind),
  );
}

const NO_ROLLOUT = serviceSpec.shape.update.parse(undefined);

function checkMode(spec: ServiceSpec): void {
  const { name, mode, task, update, rollback } = spec;
  if (isGlobal(mode) && task.placement.maxReplicasPerNode > 0) {
    throw invalid(
      `service ${name}: a ${mode.kind} service has one task on each node; leave out the most replicas per node`,
    );
  }
  if (spec.standby > 0 && mode.kind !== 'replicated') {
    throw invalid(
      `service ${name}: standbys are for replicated services; this one is ${mode.kind}`,
    );
  }
  if ((spec.rebalance?.budget ?? 0) > 0 && mode.kind !== 'replicated') {
    throw invalid(
      `service ${name}: only tasks of replicated services move to nodes with more room; this one is ${mode.kind} (leave out --rebalance-budget)`,
    );
  }
  if (task.placement.preempts && task.placement.priority === 0) {
    throw invalid(
      `service ${name}: with priority 0 it takes nobody's place (give it a --priority above that of others, or leave out --preempt)`,
    );
  }
  if (spec.standby > 0 && namesSlot(task.container)) {
    throw invalid(
      `service ${name}: standbys are prepared before they have a slot; leave .Task.Slot and .Task.Name out of templates`,
    );
  }
  if (rollback.canary.length > 0) {
    throw invalid(`service ${name}: canary steps are for updates; a rollback goes all the way`);
  }
  if (isJob(mode) && !(sameValue(update, NO_ROLLOUT) && sameValue(rollback, NO_ROLLOUT))) {
    throw invalid(
      `service ${name}: a job is not updated but run again; leave out what is said of updates and rollbacks`,
    );
  }
}

function checkSchedule({ name, mode, schedule }: ServiceSpec): void {
  if (schedule === undefined) return;
  if (!isJob(mode)) {
    throw invalid(
      `service ${name}: a schedule is for jobs; this one is ${mode.kind} (use mode replicated-job or global-job)`,
    );
  }
  const fault = scheduleFault(schedule);
  if (fault !== undefined) throw invalid(`service ${name}: ${fault}`);
}

function checkAutoscale({ name, mode, task, autoscale }: ServiceSpec): void {
  if (autoscale === undefined) return;
  const { min, max, cpuPercent, memoryPercent, metric } = autoscale;
  const refuse = (why: string): Error => invalid(`service ${name}: ${why}`);
  if (mode.kind !== 'replicated') {
    throw refuse(`autoscaling is for replicated services; this one is ${mode.kind}`);
  }
  if (min > max) throw refuse(`autoscaling to at least ${min} and at most ${max} replicas`);
  if (cpuPercent === undefined && memoryPercent === undefined && metric === undefined) {
    throw refuse('autoscaling needs a target: CPU, memory or a metric (--autoscale-cpu 70%)');
  }
  const { reservations, limits } = task;
  if (cpuPercent !== undefined && reservations.nanoCpus === 0 && limits.nanoCpus === 0) {
    throw refuse('autoscaling by CPU needs a reservation or a limit of CPU (--reserve-cpu 0.5)');
  }
  if (memoryPercent !== undefined && reservations.memoryBytes === 0 && limits.memoryBytes === 0) {
    throw refuse('autoscaling by memory needs a reservation or a limit (--reserve-memory 64M)');
  }
}

function checkFit(name: string, what: string, [reserved, limit]: [number, number]): void {
  if (limit === 0 || reserved <= limit) return;
  throw invalid(`service ${name}: reserves more ${what} (${reserved}) than its limit (${limit})`);
}

function checkPorts(spec: ServiceSpec): void {
  const { mode, ports } = spec.endpoint;
  if (mode === 'dnsrr' && hasMeshPort(ports)) {
    throw invalid(
      `service ${spec.name}: ports published through the ingress network need endpoint mode vip; ` +
        `publish them in host mode or use vip`,
    );
  }
  unique(
    `service ${spec.name}: published more than once: port`,
    ports.filter((port) => port.publishedPort !== 0).map(portText),
  );
  if (spec.endpoint.affinity === 'none' && spec.endpoint.affinityTimeoutMs > 0) {
    throw invalid(
      `service ${spec.name}: an affinity timeout without affinity; ask for client-ip affinity, too`,
    );
  }
  if (mode === 'dnsrr' && spec.endpoint.affinity !== 'none') {
    throw invalid(
      `service ${spec.name}: in endpoint mode dnsrr clients choose the task themselves; affinity needs mode vip`,
    );
  }
}

function unique(complaint: string, values: readonly string[]): void {
  const seen = new Set<string>();
  for (const value of values) {
    if (seen.has(value)) throw invalid(`${complaint} ${value}`);
    seen.add(value);
  }
}

/**
 * Against the rest of the cluster. Ports and addresses are a matter of the planner's allocation.
 * @throws SwarmError `invalid-argument`
 */
export function checkServiceReferences(view: ReadView, spec: ServiceSpec): void {
  const { container, networks } = spec.task;
  let hasIpv6 = false;
  for (const { target } of networks) {
    const network = view.get('network', asId('network', target));
    if (network === undefined) throw missing(spec, 'network', target);
    hasIpv6 ||= network.spec.ipv6;
    checkNetworkUse(spec, network.spec);
  }
  checkPortAddresses(spec, hasIpv6);
  for (const reference of container.secrets) {
    if (view.get('secret', asId('secret', reference.id)) === undefined) {
      throw missing(spec, 'secret', `${reference.name} (${reference.id})`);
    }
  }
  const { registrySecret } = container;
  if (registrySecret !== '' && view.get('secret', asId('secret', registrySecret)) === undefined) {
    throw missing(spec, 'secret with registry credentials', registrySecret);
  }
  for (const reference of container.configs) {
    if (view.get('config', asId('config', reference.id)) === undefined) {
      throw missing(spec, 'config', `${reference.name} (${reference.id})`);
    }
  }
}

/** Packets are not translated from one family to the other. */
function checkPortAddresses(service: ServiceSpec, hasIpv6: boolean): void {
  const port = service.endpoint.ports.find(({ address }) => address.includes(':'));
  if (port === undefined || hasIpv6) return;
  throw invalid(
    `service ${service.name}: port ${portText(port)} cannot be published: its tasks have no IPv6; use a network made with --ipv6`,
  );
}

/** What cannot go together with a network of some drivers. */
function checkNetworkUse(service: ServiceSpec, { name, driver, gateway }: NetworkSpec): void {
  const { networks, container } = service.task;
  const { ports } = service.endpoint;
  if (driver === 'host' || driver === 'none') {
    if (networks.length > 1) {
      throw invalid(
        `service ${service.name}: network ${name} (driver ${driver}) cannot be combined with others`,
      );
    }
    if (ports.length > 0) {
      const why =
        driver === 'host' ? 'containers bind ports of the node itself' : 'nobody can come in';
      throw invalid(
        `service ${service.name}: ports cannot be published on network ${name}: with driver ${driver} ${why}`,
      );
    }
  }
  const sysctl = Object.keys(container.sysctls).find((key) => key.startsWith('net.'));
  if (driver === 'host' && sysctl !== undefined) {
    throw invalid(
      `service ${service.name}: ${sysctl} cannot be set on network ${name}: it would change the node itself`,
    );
  }
  if (driver === 'macvlan' && gateway !== '' && ports.length > 0) {
    throw invalid(
      `service ${service.name}: ports cannot be published on network ${name}: answers would leave by its gateway ${gateway}; clients reach its tasks at their own addresses`,
    );
  }
}

function missing(spec: ServiceSpec, what: string, which: string): Error {
  return invalid(`service ${spec.name}: ${what} ${which} does not exist; create it first`);
}
