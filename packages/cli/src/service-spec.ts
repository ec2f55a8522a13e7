/** What the flags of `service create` and `service update` do to a spec. Pure. */
import { SwarmError } from '@swarmd/base';
import type { ServiceSpec, ServiceSpecInput } from '@swarmd/model';

import type { FileInput, References } from './references.ts';
import { autoscaleWith, refuseReplicas } from './autoscale-flags.ts';
import { scheduleWith } from './schedule-flags.ts';
import type { CreateFlags, ServiceFlags, UpdateFlags } from './service-flags.ts';

type TaskInput = ServiceSpecInput['task'];
type ContainerInput = TaskInput['container'];

/** The spec of `service create`: only what was said, the managers know the defaults. */
export function createSpec(
  named: { name: string; image: string; args: readonly string[] },
  flags: CreateFlags,
  references: References,
): ServiceSpecInput {
  const { name, image, args } = named;
  const entries = (pairs: [string, string][] | undefined) => pairs && Object.fromEntries(pairs);
  const base: ServiceSpecInput = {
    name,
    ...given({ labels: entries(flags.label) }),
    task: {
      container: {
        image,
        ...given({
          args: some(args),
          env: flags.env,
          labels: entries(flags.containerLabel),
          hosts: flags.host,
          sysctls: entries(flags.sysctl),
          mounts: flags.mount,
          secrets: some(references.secrets),
          configs: some(references.configs),
        }),
      },
      ...given({ networks: some(references.networks) }),
      ...section('placement', undefined, {
        constraints: flags.constraint,
        preferences: flags.placementPref,
        affinities: flags.affinity,
      }),
      ...section('reservations', undefined, { generic: flags.genericResource }),
    },
    ...section('endpoint', undefined, { ports: flags.publish }),
  };
  return withFlags(base, flags);
}

/** The spec of `service update`: the present one with changes, additions and removals. */
export function updateSpec(
  old: ServiceSpec,
  flags: UpdateFlags,
  references: { readonly added: References; readonly removed: References },
): ServiceSpec {
  const { added, removed } = references;
  const spec = withFlags(old, flags) as ServiceSpec;
  const { container } = spec.task;
  const isNamed = (names: readonly string[] | undefined) => (file: FileInput) =>
    names?.some((name) => name === file.name || name === file.id) ?? false;
  const fileKey = (file: FileInput): string => file.target;
  return {
    ...spec,
    labels: mergedLabels(spec.labels, flags.labelAdd, flags.labelRm),
    task: {
      ...spec.task,
      container: {
        ...container,
        ...given({ image: flags.image, args: flags.args }),
        labels: mergedLabels(container.labels, flags.containerLabelAdd, flags.containerLabelRm),
        env: merged(container.env, {
          add: flags.envAdd,
          isRemoved: (variable) => flags.envRm?.includes(nameOf(variable)) ?? false,
          keyOf: nameOf,
        }),
        mounts: merged(container.mounts, {
          add: flags.mountAdd,
          isRemoved: (mount) => flags.mountRm?.includes(mount.target) ?? false,
          keyOf: (mount) => mount.target,
        }),
        secrets: merged<FileInput>(container.secrets, {
          add: added.secrets,
          isRemoved: isNamed(flags.secretRm),
          keyOf: fileKey,
        }) as typeof container.secrets,
        configs: merged<FileInput>(container.configs, {
          add: added.configs,
          isRemoved: isNamed(flags.configRm),
          keyOf: fileKey,
        }) as typeof container.configs,
      },
      networks: merged(spec.task.networks, {
        add: added.networks as typeof spec.task.networks,
        isRemoved: ({ target }) => removed.networks.some((network) => network.target === target),
        keyOf: ({ target }) => target,
      }),
      ...placedAs(spec.task, flags),
      forceUpdate: spec.task.forceUpdate + (flags.force ? 1 : 0),
    },
    endpoint: {
      ...spec.endpoint,
      ports: merged(spec.endpoint.ports, {
        add: flags.publishAdd,
        isRemoved: ({ targetPort, protocol }) =>
          flags.publishRm?.some(
            (gone) => gone.port === targetPort && (gone.protocol ?? protocol) === protocol,
          ) ?? false,
        keyOf: ({ address, publishedPort, targetPort, protocol }) =>
          `${address}:${publishedPort}:${targetPort}/${protocol}`,
      }),
    },
  };
}

/** Where tasks may run and what they reserve, with changes, additions and removals. */
function placedAs(
  { placement, reservations }: ServiceSpec['task'],
  flags: UpdateFlags,
): Pick<ServiceSpec['task'], 'placement' | 'reservations'> {
  return {
    placement: {
      ...placement,
      constraints: merged(placement.constraints, {
        add: flags.constraintAdd,
        isRemoved: (rule) => flags.constraintRm?.includes(rule) ?? false,
        keyOf: (rule) => rule,
      }),
      preferences: merged(placement.preferences, {
        add: flags.placementPrefAdd,
        isRemoved: ({ spread }) =>
          flags.placementPrefRm?.some((gone) => gone.spread === spread) ?? false,
        keyOf: ({ spread }) => spread,
      }),
      affinities: merged(placement.affinities, {
        add: flags.affinityAdd,
        isRemoved: (rule) => flags.affinityRm?.includes(rule) ?? false,
        keyOf: (rule) => rule,
      }),
    },
    reservations: {
      ...reservations,
      generic: merged(reservations.generic, {
        add: flags.genericResourceAdd,
        isRemoved: ({ kind }) => flags.genericResourceRm?.includes(kind) ?? false,
        keyOf: ({ kind }) => kind,
      }),
    },
  };
}

function nameOf(variable: string): string {
  return variable.split('=', 1)[0] ?? variable;
}

/**
 * The list without what is removed and with what is added. An addition takes the place of what has
 * the same key, so that saying again what is so already changes nothing (and replaces no task).
 */
function merged<T>(
  list: readonly T[],
  change: {
    add: readonly T[] | undefined;
    isRemoved: (item: T) => boolean;
    keyOf: (item: T) => string;
  },
): T[] {
  const { add = [], isRemoved, keyOf } = change;
  const byKey = new Map(list.filter((item) => !isRemoved(item)).map((item) => [keyOf(item), item]));
  for (const item of add) byKey.set(keyOf(item), item);
  return [...byKey.values()];
}

function mergedLabels(
  labels: Readonly<Record<string, string>>,
  add: readonly [string, string][] = [],
  remove: readonly string[] = [],
): Record<string, string> {
  const kept = Object.entries(labels).filter(([key]) => !remove.includes(key));
  return Object.fromEntries([...kept, ...add]);
}

/** The spec with what the common flags say. */
function withFlags(spec: ServiceSpecInput, flags: ServiceFlags): ServiceSpecInput {
  if (flags.replicas !== undefined && flags.autoscale !== false) {
    refuseReplicas(spec.name, spec.autoscale);
  }
  return {
    ...spec,
    ...modeWith(spec.mode, flags),
    task: taskWith(spec.task, flags),
    ...section('update', spec.update, {
      parallelism: flags.updateParallelism,
      delayMs: flags.updateDelay,
      monitorMs: flags.updateMonitor,
      failureAction: flags.updateFailureAction,
      maxFailureRatio: flags.updateMaxFailureRatio,
      order: flags.updateOrder,
      progressDeadlineMs: flags.updateProgressDeadline,
      canary: flags.updateCanary,
    }),
    ...section('rollback', spec.rollback, {
      parallelism: flags.rollbackParallelism,
      delayMs: flags.rollbackDelay,
      monitorMs: flags.rollbackMonitor,
      failureAction: flags.rollbackFailureAction,
      maxFailureRatio: flags.rollbackMaxFailureRatio,
      order: flags.rollbackOrder,
      progressDeadlineMs: flags.rollbackProgressDeadline,
    }),
    ...section('endpoint', spec.endpoint, {
      mode: flags.endpointMode,
      source: flags.publishSource,
      localOnly: flags.publishLocalOnly,
      ...flags.endpointAffinity,
    }),
    ...given({ standby: flags.standby }),
    ...scheduleWith(spec.schedule, flags),
    ...autoscaleWith(spec.autoscale, flags),
    ...section('rebalance', spec.rebalance, {
      budget: flags.rebalanceBudget,
      intervalMs: flags.rebalanceInterval,
    }),
  };
}

/**
 * The mode with what was said of it, as a field to spread.
 * @throws SwarmError `invalid-argument` for a number that the mode does not have.
 */
export function modeWith(
  old: ServiceSpecInput['mode'],
  flags: Pick<ServiceFlags, 'replicas' | 'maxConcurrent'> & Pick<CreateFlags, 'mode'>,
): Pick<ServiceSpecInput, 'mode'> {
  const { replicas, maxConcurrent } = flags;
  const kind = flags.mode ?? old?.kind ?? 'replicated';
  if (maxConcurrent !== undefined && kind !== 'replicated-job') {
    throw refusal('--max-concurrent', 'is for replicated jobs', kind);
  }
  if (kind === 'replicated-job') {
    const before = old?.kind === kind ? old : undefined;
    const completions = replicas ?? before?.totalCompletions ?? maxConcurrent;
    const concurrent = maxConcurrent ?? before?.maxConcurrent ?? replicas;
    const said = given({ totalCompletions: completions, maxConcurrent: concurrent });
    return { mode: { kind, ...said } };
  }
  if (kind === 'global' || kind === 'global-job') {
    if (replicas !== undefined) {
      throw refusal('a number of replicas', 'is for replicated services and jobs', kind);
    }
    return flags.mode === undefined ? {} : { mode: { kind } };
  }
  if (replicas !== undefined) return { mode: { kind, replicas } };
  return flags.mode === undefined ? {} : { mode: { kind, replicas: 1 } };
}

function refusal(what: string, is: string, kind: string): SwarmError {
  return new SwarmError('invalid-argument', `${what} ${is}; this service is ${kind}`);
}

function taskWith(task: TaskInput, flags: ServiceFlags): TaskInput {
  return {
    ...task,
    container: containerWith(task.container, flags),
    ...section('limits', task.limits, {
      nanoCpus: flags.limitCpu,
      memoryBytes: flags.limitMemory,
      pids: flags.limitPids,
      swapBytes: flags.limitSwap,
      cpuShares: flags.cpuShares,
      cpuSet: flags.cpuset,
      ioWeight: flags.ioWeight,
    }),
    ...section('reservations', task.reservations, {
      nanoCpus: flags.reserveCpu,
      memoryBytes: flags.reserveMemory,
    }),
    ...section('restart', task.restart, {
      condition: flags.restartCondition,
      delayMs: flags.restartDelay,
      maxAttempts: flags.restartMaxAttempts,
      windowMs: flags.restartWindow,
    }),
    ...section('placement', task.placement, {
      maxReplicasPerNode: flags.replicasMaxPerNode,
      strategy: flags.placementStrategy,
      priority: flags.priority,
      preempts: flags.preempt,
      platforms: flags.platform,
    }),
  };
}

function containerWith(container: ContainerInput, flags: ServiceFlags): ContainerInput {
  const healthcheck = healthcheckWith(container.healthcheck, flags);
  return {
    ...container,
    ...given({
      command: flags.entrypoint,
      hostname: flags.hostname,
      dir: flags.workdir,
      user: flags.user,
      tty: flags.tty,
      init: flags.init,
      readOnly: flags.readOnly,
      stopSignal: flags.stopSignal,
      stopGracePeriodMs: flags.stopGracePeriod,
      capabilityAdd: flags.capAdd,
      capabilityDrop: flags.capDrop,
      stdin: flags.interactive,
      privileged: flags.privileged,
      ulimits: flags.ulimit,
      devices: flags.device,
      groups: flags.group,
      shmSizeBytes: flags.shmSize,
      oomScoreAdj: flags.oomScoreAdj,
      userns: flags.userns,
      runtime: flags.runtime,
      ...securityWith(flags),
    }),
    ...section('log', container.log, {
      driver: flags.logDriver,
      options: flags.logOpt && Object.fromEntries(flags.logOpt),
    }),
    ...section('dns', container.dns, {
      nameservers: flags.dns,
      search: flags.dnsSearch,
      options: flags.dnsOption,
    }),
    ...(healthcheck === undefined ? {} : { healthcheck }),
  };
}

/** The last word of each kind counts. */
function securityWith({ securityOpt = [] }: ServiceFlags): {
  seccomp?: string;
  noNewPrivileges?: boolean;
} {
  const said: { seccomp?: string; noNewPrivileges?: boolean } = {};
  for (const option of securityOpt) {
    if (option.kind === 'seccomp') said.seccomp = option.profile;
    else said.noNewPrivileges = option.isOn;
  }
  return said;
}

function healthcheckWith(
  old: ContainerInput['healthcheck'],
  flags: ServiceFlags,
): ContainerInput['healthcheck'] {
  if (!flags.healthcheck) return { test: ['NONE'] };
  const said = given({
    test: flags.healthCmd === undefined ? undefined : ['CMD-SHELL', flags.healthCmd],
    intervalMs: flags.healthInterval,
    timeoutMs: flags.healthTimeout,
    retries: flags.healthRetries,
    startPeriodMs: flags.healthStartPeriod,
    startIntervalMs: flags.healthStartInterval,
  });
  if (Object.keys(said).length === 0) return old;
  const test = said.test ?? old?.test;
  if (test === undefined) {
    throw new SwarmError(
      'invalid-argument',
      'the service has no health check of its own to change: say what to run with --health-cmd',
    );
  }
  return { ...old, ...said, test };
}

/** Drops undefined fields, so that spreading flags over a spec changes only what was said. */
function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as never;
}

/** A part of the spec with what was said of it, as a field to spread; no field when that is nothing. */
function section<K extends string, T extends object>(
  name: K,
  old: T | undefined,
  said: { [F in keyof T]?: T[F] | undefined },
): { [N in K]?: T } {
  const fields = given(said);
  return Object.keys(fields).length === 0 ? {} : ({ [name]: { ...old, ...fields } } as never);
}

function some<T>(list: readonly T[]): T[] | undefined {
  return list.length === 0 ? undefined : [...list];
}
