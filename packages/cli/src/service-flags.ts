/** The flags that describe a service, and what they do to a spec. `create` starts from an empty one. */
import type { MountSpec, PortConfig, ServiceSpec, ServiceSpecInput } from '@swarmd/model';
import type { Command } from 'commander';

import {
  collect,
  oneOf,
  parseBytes,
  parseCount,
  parseCpus,
  parseDuration,
  parseEnv,
  parseLabel,
  parseMount,
  parsePort,
  parseRatio,
  parseText,
} from './flags.ts';

/** What `create` and `update` have in common, as commander delivers it. */
export interface ServiceFlags {
  replicas?: number;
  label?: [string, string][];
  containerLabel?: [string, string][];
  env?: string[];
  entrypoint?: string;
  hostname?: string;
  workdir?: string;
  user?: string;
  tty?: boolean;
  init?: boolean;
  readOnly?: boolean;
  stopSignal?: string;
  stopGracePeriod?: number;
  mount?: MountSpec[];
  capAdd?: string[];
  capDrop?: string[];
  limitCpu?: number;
  limitMemory?: number;
  limitPids?: number;
  reserveCpu?: number;
  reserveMemory?: number;
  restartCondition?: 'none' | 'on-failure' | 'any';
  restartDelay?: number;
  restartMaxAttempts?: number;
  restartWindow?: number;
  constraint?: string[];
  replicasMaxPerNode?: number;
  publish?: PortConfig[];
  endpointMode?: 'vip' | 'dnsrr';
  updateParallelism?: number;
  updateDelay?: number;
  updateMonitor?: number;
  updateFailureAction?: 'pause' | 'continue' | 'rollback';
  updateMaxFailureRatio?: number;
  updateOrder?: 'stop-first' | 'start-first';
  healthCmd?: string;
  healthInterval?: number;
  healthTimeout?: number;
  healthRetries?: number;
  healthStartPeriod?: number;
}

export function addServiceFlags(command: Command): Command {
  return addPolicyFlags(
    command
      .option('--replicas <n>', 'number of tasks', parseCount)
      .option('--label <key=value>', 'label of the service', collect(parseLabel))
      .option('--container-label <key=value>', 'label of its containers', collect(parseLabel))
      .option('--entrypoint <command>', 'replace the entrypoint of the image')
      .option('--hostname <name>', 'host name in the container')
      .option('-w, --workdir <dir>', 'working directory in the container')
      .option('-u, --user <name|uid[:group|gid]>', 'user in the container')
      .option('-t, --tty', 'allocate a terminal')
      .option('--init', 'run an init process that reaps children')
      .option('--read-only', 'read-only root file system')
      .option('--stop-signal <signal>', 'signal to stop with')
      .option(
        '--stop-grace-period <duration>',
        'time between stop signal and SIGKILL',
        parseDuration,
      )
      .option(
        '--mount <mount>',
        'type=bind|volume|tmpfs,source=...,target=...[,readonly]',
        collect(parseMount),
      )
      .option('--cap-add <capability>', 'add a Linux capability', collect(parseText))
      .option('--cap-drop <capability>', 'drop a Linux capability', collect(parseText))
      .option('--limit-cpu <cpus>', 'upper bound of CPU', parseCpus)
      .option('--limit-memory <bytes>', 'upper bound of memory', parseBytes)
      .option('--limit-pids <n>', 'upper bound of processes', parseCount)
      .option('--reserve-cpu <cpus>', 'CPU a node must have free', parseCpus)
      .option('--reserve-memory <bytes>', 'memory a node must have free', parseBytes)
      .option(
        '--endpoint-mode <vip|dnsrr>',
        'how the service name resolves',
        oneOf('vip', 'dnsrr'),
      ),
  );
}

function addPolicyFlags(command: Command): Command {
  return command
    .option(
      '--restart-condition <none|on-failure|any>',
      'when to replace ended tasks',
      oneOf('none', 'on-failure', 'any'),
    )
    .option('--restart-delay <duration>', 'wait before a restart (5s)', parseDuration)
    .option('--restart-max-attempts <n>', 'give up after so many restarts', parseCount)
    .option('--restart-window <duration>', 'count only restarts within this time', parseDuration)
    .option('--constraint <rule>', 'e.g. node.labels.disk==ssd', collect(parseText))
    .option('--replicas-max-per-node <n>', 'upper bound of tasks on one node', parseCount)
    .option('--update-parallelism <n>', 'tasks updated at once, 0 for all (1)', parseCount)
    .option('--update-delay <duration>', 'pause between updates', parseDuration)
    .option(
      '--update-monitor <duration>',
      'watch new tasks so long for failures (5s)',
      parseDuration,
    )
    .option(
      '--update-failure-action <pause|continue|rollback>',
      'after too many failures',
      oneOf('pause', 'continue', 'rollback'),
    )
    .option('--update-max-failure-ratio <0..1>', 'failures that an update tolerates', parseRatio)
    .option(
      '--update-order <stop-first|start-first>',
      'order of a replacement',
      oneOf('stop-first', 'start-first'),
    )
    .option('--health-cmd <command>', 'shell command that tells health')
    .option('--health-interval <duration>', 'time between checks', parseDuration)
    .option('--health-timeout <duration>', 'longest a check may take', parseDuration)
    .option('--health-retries <n>', 'failures in a row that count as unhealthy', parseCount)
    .option(
      '--health-start-period <duration>',
      'time in which failures do not count',
      parseDuration,
    );
}

/** Drops undefined fields, so that spreading flags over a spec changes only what was said. */
function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as never;
}

/** The spec with what the flags say; lists given by flags replace the lists of the spec. */
export function applyServiceFlags<S extends ServiceSpecInput | ServiceSpec>(
  spec: S,
  flags: ServiceFlags,
): S {
  const { task } = spec;
  const health = given({
    test: flags.healthCmd === undefined ? undefined : ['CMD-SHELL', flags.healthCmd],
    intervalMs: flags.healthInterval,
    timeoutMs: flags.healthTimeout,
    retries: flags.healthRetries,
    startPeriodMs: flags.healthStartPeriod,
  });
  const container = {
    ...task.container,
    ...given({
      env: flags.env,
      command:
        flags.entrypoint === undefined ? undefined : flags.entrypoint.split(' ').filter(Boolean),
      hostname: flags.hostname,
      dir: flags.workdir,
      user: flags.user,
      tty: flags.tty,
      init: flags.init,
      readOnly: flags.readOnly,
      stopSignal: flags.stopSignal,
      stopGracePeriodMs: flags.stopGracePeriod,
      mounts: flags.mount,
      capabilityAdd: flags.capAdd,
      capabilityDrop: flags.capDrop,
      labels:
        flags.containerLabel === undefined ? undefined : Object.fromEntries(flags.containerLabel),
    }),
    ...(Object.keys(health).length === 0
      ? {}
      : { healthcheck: { ...task.container.healthcheck, ...health } }),
  };
  const endpoint = {
    ...spec.endpoint,
    ...given({ mode: flags.endpointMode, ports: flags.publish }),
  };
  return {
    ...spec,
    ...given({
      labels: flags.label === undefined ? undefined : Object.fromEntries(flags.label),
      mode:
        flags.replicas === undefined ? undefined : { kind: 'replicated', replicas: flags.replicas },
    }),
    task: { ...task, container, ...resourceFields(task, flags), ...restartFields(task, flags) },
    update: {
      ...spec.update,
      ...given({
        parallelism: flags.updateParallelism,
        delayMs: flags.updateDelay,
        monitorMs: flags.updateMonitor,
        failureAction: flags.updateFailureAction,
        maxFailureRatio: flags.updateMaxFailureRatio,
        order: flags.updateOrder,
      }),
    },
    endpoint,
  };
}

function resourceFields(
  task: ServiceSpecInput['task'],
  flags: ServiceFlags,
): Partial<ServiceSpecInput['task']> {
  return {
    limits: {
      ...task.limits,
      ...given({ nanoCpus: flags.limitCpu, memoryBytes: flags.limitMemory, pids: flags.limitPids }),
    },
    reservations: {
      ...task.reservations,
      ...given({ nanoCpus: flags.reserveCpu, memoryBytes: flags.reserveMemory }),
    },
  };
}

function restartFields(
  task: ServiceSpecInput['task'],
  flags: ServiceFlags,
): Partial<ServiceSpecInput['task']> {
  return {
    restart: {
      ...task.restart,
      ...given({
        condition: flags.restartCondition,
        delayMs: flags.restartDelay,
        maxAttempts: flags.restartMaxAttempts,
        windowMs: flags.restartWindow,
      }),
    },
    placement: {
      ...task.placement,
      ...given({ constraints: flags.constraint, maxReplicasPerNode: flags.replicasMaxPerNode }),
    },
  };
}

export function addCreateFlags(command: Command): Command {
  return addServiceFlags(command)
    .option('--name <name>', 'name of the service, also its DNS name (default: from the image)')
    .option('-e, --env <NAME=value>', 'environment variable', collect(parseEnv))
    .option('-p, --publish <published:target>', 'port that every node answers', collect(parsePort))
    .option('--network <name>', 'overlay network to attach to', collect(parseText))
    .option('--secret <name[:target]>', 'secret as a file below /run/secrets', collect(parseText))
    .option('--config <name[:target]>', 'config as a file', collect(parseText));
}

export function addUpdateFlags(command: Command): Command {
  return addServiceFlags(command)
    .option('--image <reference>', 'another image')
    .option('--args <words>', 'another command for the image')
    .option('--env-add <NAME=value>', 'add or change a variable', collect(parseEnv))
    .option('--env-rm <NAME>', 'remove a variable', collect(parseText))
    .option('--label-add <key=value>', 'add or change a label', collect(parseLabel))
    .option('--label-rm <key>', 'remove a label', collect(parseText))
    .option('--publish-add <published:target>', 'publish one more port', collect(parsePort))
    .option('--publish-rm <target>', 'stop publishing a target port', collect(parseCount))
    .option('--constraint-add <rule>', 'one more placement constraint', collect(parseText))
    .option('--constraint-rm <rule>', 'remove a placement constraint', collect(parseText))
    .option('--force', 'replace all tasks even if nothing changed', false);
}

export interface UpdateFlags extends ServiceFlags {
  image?: string;
  args?: string;
  envAdd?: string[];
  envRm?: string[];
  labelAdd?: [string, string][];
  labelRm?: string[];
  publishAdd?: PortConfig[];
  publishRm?: number[];
  constraintAdd?: string[];
  constraintRm?: string[];
  force: boolean;
}

/** The spec of `service update`: the old one with additions and removals. */
export function applyUpdateFlags(old: ServiceSpec, flags: UpdateFlags): ServiceSpec {
  const spec = applyServiceFlags(old, flags);
  const nameOf = (variable: string): string => variable.split('=', 1)[0] ?? variable;
  const changedEnv = new Set([...(flags.envRm ?? []), ...(flags.envAdd ?? []).map(nameOf)]);
  const { container } = spec.task;
  return {
    ...spec,
    labels: {
      ...Object.fromEntries(
        Object.entries(spec.labels).filter(([key]) => !(flags.labelRm ?? []).includes(key)),
      ),
      ...Object.fromEntries(flags.labelAdd ?? []),
    },
    task: {
      ...spec.task,
      container: {
        ...container,
        image: flags.image ?? container.image,
        args: flags.args === undefined ? container.args : flags.args.split(' ').filter(Boolean),
        env: [
          ...container.env.filter((variable) => !changedEnv.has(nameOf(variable))),
          ...(flags.envAdd ?? []),
        ],
      },
      placement: {
        ...spec.task.placement,
        constraints: [
          ...spec.task.placement.constraints.filter(
            (rule) => !(flags.constraintRm ?? []).includes(rule),
          ),
          ...(flags.constraintAdd ?? []),
        ],
      },
      forceUpdate: spec.task.forceUpdate + (flags.force ? 1 : 0),
    },
    endpoint: {
      ...spec.endpoint,
      ports: [
        ...spec.endpoint.ports.filter((port) => !(flags.publishRm ?? []).includes(port.targetPort)),
        ...(flags.publishAdd ?? []),
      ],
    },
  };
}
