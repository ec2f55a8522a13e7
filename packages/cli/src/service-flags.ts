/** The flags that describe a service, named as Docker's. What they do to a spec: `service-spec.ts`. */
import type {
  CanaryStep,
  EndpointSpec,
  LogDriver,
  MountSpec,
  PortConfig,
  ServiceMode,
} from '@swarmd/model';
import type { Command } from 'commander';

import {
  collect,
  collectAll,
  oneOf,
  parseBytes,
  parseCanary,
  parseCount,
  parseCpus,
  parseDuration,
  parseEnv,
  parseFile,
  parseHost,
  parseLabel,
  parseNetwork,
  parseRatio,
  parseText,
  type FileFlag,
  type NetworkFlag,
  parsePreference,
  parsePlatform,
  parseGeneric,
} from './flags.ts';
import { addContainerFlags, type SecurityOption, type Ulimit } from './container-flags.ts';
import { parseAffinityFlag, parsePorts, parseTargetPorts, type TargetPort } from './port-flags.ts';
import { parseMount } from './mount-flag.ts';
import { addAutoscaleFlags, type AutoscaleFlags } from './autoscale-flags.ts';
import { addScheduleFlags, type ScheduleFlags } from './schedule-flags.ts';
import { splitWords } from './words.ts';

/** What `create` and `update` have in common, as commander delivers it. */
export interface ServiceFlags extends ScheduleFlags, AutoscaleFlags {
  replicas?: number;
  maxConcurrent?: number;
  entrypoint?: string[];
  hostname?: string;
  workdir?: string;
  user?: string;
  tty?: boolean;
  init?: boolean;
  readOnly?: boolean;
  stopSignal?: string;
  stopGracePeriod?: number;
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
  replicasMaxPerNode?: number;
  standby?: number;
  rebalanceBudget?: number;
  rebalanceInterval?: number;
  priority?: number;
  preempt?: boolean;
  updateProgressDeadline?: number;
  updateCanary?: CanaryStep[];
  rollbackProgressDeadline?: number;
  placementStrategy?: 'spread' | 'binpack';
  platform?: { os: string; architecture: string }[];
  endpointMode?: 'vip' | 'dnsrr';
  endpointAffinity?: Pick<EndpointSpec, 'affinity' | 'affinityTimeoutMs'>;
  publishSource?: EndpointSpec['source'];
  /** False after --no-publish-local-only. */
  publishLocalOnly?: boolean;
  updateParallelism?: number;
  updateDelay?: number;
  updateMonitor?: number;
  updateFailureAction?: 'pause' | 'continue' | 'rollback';
  updateMaxFailureRatio?: number;
  updateOrder?: 'stop-first' | 'start-first';
  rollbackParallelism?: number;
  rollbackDelay?: number;
  rollbackMonitor?: number;
  rollbackFailureAction?: 'pause' | 'continue';
  rollbackMaxFailureRatio?: number;
  rollbackOrder?: 'stop-first' | 'start-first';
  interactive?: boolean;
  privileged?: boolean;
  securityOpt?: SecurityOption[];
  ulimit?: Ulimit[];
  device?: string[];
  group?: string[];
  dns?: string[];
  dnsSearch?: string[];
  dnsOption?: string[];
  shmSize?: number;
  oomScoreAdj?: number;
  userns?: 'host' | 'remap';
  runtime?: string;
  logDriver?: LogDriver;
  logOpt?: [string, string][];
  limitSwap?: number;
  cpuShares?: number;
  cpuset?: string;
  ioWeight?: number;
  healthCmd?: string;
  healthInterval?: number;
  healthTimeout?: number;
  healthRetries?: number;
  healthStartPeriod?: number;
  healthStartInterval?: number;
  /** False after --no-healthcheck. */
  healthcheck: boolean;
  /** False after --no-resolve-image. */
  resolveImage: boolean;
  withRegistryAuth: boolean;
}

export interface CreateFlags extends ServiceFlags {
  name?: string;
  mode?: ServiceMode['kind'];
  label?: [string, string][];
  containerLabel?: [string, string][];
  env?: string[];
  host?: string[];
  sysctl?: [string, string][];
  mount?: MountSpec[];
  constraint?: string[];
  placementPref?: { spread: string }[];
  affinity?: string[];
  genericResource?: { kind: string; count: number }[];
  publish?: PortConfig[];
  network?: NetworkFlag[];
  secret?: FileFlag[];
  config?: FileFlag[];
}

export interface UpdateFlags extends ServiceFlags {
  image?: string;
  args?: string[];
  envAdd?: string[];
  envRm?: string[];
  labelAdd?: [string, string][];
  labelRm?: string[];
  containerLabelAdd?: [string, string][];
  containerLabelRm?: string[];
  publishAdd?: PortConfig[];
  publishRm?: TargetPort[];
  constraintAdd?: string[];
  constraintRm?: string[];
  placementPrefAdd?: { spread: string }[];
  placementPrefRm?: { spread: string }[];
  affinityAdd?: string[];
  affinityRm?: string[];
  genericResourceAdd?: { kind: string; count: number }[];
  genericResourceRm?: string[];
  mountAdd?: MountSpec[];
  mountRm?: string[];
  networkAdd?: NetworkFlag[];
  networkRm?: NetworkFlag[];
  secretAdd?: FileFlag[];
  secretRm?: string[];
  configAdd?: FileFlag[];
  configRm?: string[];
  force: boolean;
}

function addServiceFlags(command: Command): Command {
  return addPolicyFlags(
    addAutoscaleFlags(addScheduleFlags(addContainerFlags(command)))
      .option('--replicas <n>', 'number of tasks; of a job: of completions', parseCount)
      .option('--max-concurrent <n>', 'job: tasks at the same time', parseCount)
      .option('--entrypoint <command>', 'replace the entrypoint of the image', splitWords)
      .option('--hostname <name>', 'host name in the container')
      .option('-w, --workdir <dir>', 'working directory in the container')
      .option('-u, --user <name|uid[:group|gid]>', 'user in the container')
      .option('-t, --tty', 'allocate a terminal')
      .option('-i, --interactive', 'keep standard input open, for task attach')
      .option('--init', 'run an init process that reaps children')
      .option('--read-only', 'read-only root file system')
      .option('--stop-signal <signal>', 'signal to stop with')
      .option(
        '--stop-grace-period <duration>',
        'time between stop signal and SIGKILL',
        parseDuration,
      )
      .option('--cap-add <capability>', 'add a Linux capability', collect(parseText))
      .option('--cap-drop <capability>', 'drop a Linux capability', collect(parseText))
      .option('--limit-cpu <cpus>', 'upper bound of CPU', parseCpus)
      .option('--limit-memory <bytes>', 'upper bound of memory', parseBytes)
      .option('--limit-pids <n>', 'upper bound of processes', parseCount)
      .option('--reserve-cpu <cpus>', 'CPU a node must have free', parseCpus)
      .option('--reserve-memory <bytes>', 'memory a node must have free', parseBytes)
      .option('--endpoint-mode <vip|dnsrr>', 'how the service name resolves', oneOf('vip', 'dnsrr'))
      .option(
        '--endpoint-affinity <none|client-ip[=time]>',
        'keep a client with one task; remember it for so long while tasks come (none)',
        parseAffinityFlag,
      )
      .option(
        '--publish-source <preserve|snat>',
        'what tasks see of clients at ingress ports: their address or a node’s (preserve)',
        oneOf('preserve', 'snat'),
      )
      .option('--publish-local-only', 'ingress ports: only nodes with a task answer'),
  );
}

function addPolicyFlags(command: Command): Command {
  return addHealthFlags(
    addRolloutFlags(
      addRolloutFlags(
        command
          .option(
            '--restart-condition <none|on-failure|any>',
            'when to replace ended tasks',
            oneOf('none', 'on-failure', 'any'),
          )
          .option('--restart-delay <duration>', 'wait before a restart (5s)', parseDuration)
          .option('--restart-max-attempts <n>', 'give up after so many restarts', parseCount)
          .option(
            '--restart-window <duration>',
            'count only restarts within this time',
            parseDuration,
          )
          .option('--replicas-max-per-node <n>', 'upper bound of tasks on one node', parseCount)
          .option(
            '--placement-strategy <spread|binpack>',
            'the node with the fewest tasks, or the fullest (spread)',
            oneOf('spread', 'binpack'),
          )
          .option('--priority <n>', 'importance among tasks that want the same place', parseCount)
          .option('--preempt', 'tasks of lower priority make room')
          .option('--standby <n>', 'prepared tasks that take over at once', parseCount)
          .option('--rebalance-budget <n>', 'tasks that may move at once, 0 for none', parseCount)
          .option(
            '--rebalance-interval <duration>',
            'least time between moves (10s)',
            parseDuration,
          )
          .option(
            '--update-canary <steps>',
            'update: stops on the way, e.g. 10%:approve,3:health=30s; "none" for no stops',
            parseCanary,
          )
          .option('--platform <os/arch>', 'what the image runs on', collect(parsePlatform)),
        { verb: 'update', failureActions: ['pause', 'continue', 'rollback'] },
      ),
      { verb: 'rollback', failureActions: ['pause', 'continue'] },
    ),
  );
}

/** How an update or a rollback replaces tasks. */
function addRolloutFlags(
  command: Command,
  options: { verb: 'update' | 'rollback'; failureActions: readonly string[] },
): Command {
  const { verb, failureActions } = options;
  return command
    .option(`--${verb}-parallelism <n>`, `${verb}: tasks at once, 0 for all (1)`, parseCount)
    .option(`--${verb}-delay <duration>`, `${verb}: pause between tasks`, parseDuration)
    .option(
      `--${verb}-monitor <duration>`,
      `${verb}: watch new tasks so long for failures (5s)`,
      parseDuration,
    )
    .option(
      `--${verb}-failure-action <${failureActions.join('|')}>`,
      `${verb}: after too many failures`,
      oneOf(...failureActions),
    )
    .option(
      `--${verb}-progress-deadline <duration>`,
      `${verb}: longest a new task may take to run, 0 for no limit (10m)`,
      parseDuration,
    )
    .option(`--${verb}-max-failure-ratio <0..1>`, `${verb}: failures to put up with`, parseRatio)
    .option(
      `--${verb}-order <stop-first|start-first>`,
      `${verb}: order of a replacement`,
      oneOf('stop-first', 'start-first'),
    );
}

function addHealthFlags(command: Command): Command {
  return command
    .option('--health-cmd <command>', 'shell command that tells health')
    .option('--health-interval <duration>', 'time between checks', parseDuration)
    .option('--health-timeout <duration>', 'longest a check may take', parseDuration)
    .option('--health-retries <n>', 'failures in a row that count as unhealthy', parseCount)
    .option(
      '--health-start-period <duration>',
      'time in which failures do not count',
      parseDuration,
    )
    .option(
      '--health-start-interval <duration>',
      'time between checks in the start period',
      parseDuration,
    )
    .option('--no-healthcheck', 'no check, not even that of the image')
    .option('--no-resolve-image', 'every node asks by itself what the tag of the image stands for')
    .option(
      '--with-registry-auth',
      'give the service the credentials of registry login, for its nodes to pull with',
      false,
    );
}

const MOUNT_HINT = 'type=bind|volume|tmpfs,source=...,target=...[,readonly]';
const FILE_HINT = '<name[:target]>';

export function addCreateFlags(command: Command): Command {
  return addServiceFlags(command)
    .option('--name <name>', 'name of the service, also its DNS name (default: from the image)')
    .option(
      '--mode <mode>',
      'replicated, global, replicated-job or global-job (replicated)',
      oneOf('replicated', 'global', 'replicated-job', 'global-job'),
    )
    .option('-l, --label <key=value>', 'label of the service', collect(parseLabel))
    .option('--container-label <key=value>', 'label of its containers', collect(parseLabel))
    .option('-e, --env <NAME=value>', 'environment variable', collect(parseEnv))
    .option('--host <name:address>', 'one more line of /etc/hosts', collect(parseHost))
    .option('--sysctl <key=value>', 'kernel parameter of the container', collect(parseLabel))
    .option('--mount <mount>', MOUNT_HINT, collect(parseMount))
    .option('--constraint <rule>', 'e.g. node.labels.disk==ssd', collect(parseText))
    .option('--placement-pref <pref>', 'spread=node.labels.NAME', collect(parsePreference))
    .option('--affinity <rule>', 'e.g. service==cache, service!=~web', collect(parseText))
    .option('--generic-resource <kind=n>', 'e.g. gpu=1', collect(parseGeneric))
    .option(
      '-p, --publish <published:target>',
      'port that every node answers',
      collectAll(parsePorts),
    )
    .option('--network <name>', 'overlay network to attach to', collect(parseNetwork))
    .option(`--secret ${FILE_HINT}`, 'secret as a file below /run/secrets', collect(parseFile))
    .option(`--config ${FILE_HINT}`, 'config as a file', collect(parseFile));
}

export function addUpdateFlags(command: Command): Command {
  const { add, rm } = { add: 'add or change a', rm: 'remove a' };
  return addServiceFlags(command)
    .option('--no-tty', 'allocate no terminal')
    .option('--no-init', 'run no init process')
    .option('--no-read-only', 'writable root file system')
    .option('--no-preempt', 'nobody makes room')
    .option('--no-autoscale', 'keep the number of tasks as it is now')
    .option('--no-schedule', 'job: run now, and whenever it is updated')
    .option('--no-suspend', 'job: follow the schedule again')
    .option('--no-publish-local-only', 'ingress ports: every node answers')
    .option('--image <reference>', 'another image')
    .option('--args <command>', 'another command for the image', splitWords)
    .option('--env-add <NAME=value>', `${add} variable`, collect(parseEnv))
    .option('--env-rm <NAME>', `${rm} variable`, collect(parseText))
    .option('--label-add <key=value>', `${add} label`, collect(parseLabel))
    .option('--label-rm <key>', `${rm} label`, collect(parseText))
    .option('--container-label-add <key=value>', `${add} container label`, collect(parseLabel))
    .option('--container-label-rm <key>', `${rm} container label`, collect(parseText))
    .option('--publish-add <published:target>', 'publish one more port', collectAll(parsePorts))
    .option('--publish-rm <target>', 'publish a target port no more', collectAll(parseTargetPorts))
    .option('--constraint-add <rule>', 'one more placement constraint', collect(parseText))
    .option('--constraint-rm <rule>', `${rm} placement constraint`, collect(parseText))
    .option('--placement-pref-add <pref>', 'one more: spread=KEY', collect(parsePreference))
    .option('--placement-pref-rm <pref>', `${rm} preference`, collect(parsePreference))
    .option('--affinity-add <rule>', 'one more affinity', collect(parseText))
    .option('--affinity-rm <rule>', `${rm}n affinity`, collect(parseText))
    .option('--generic-resource-add <kind=n>', `${add} reservation`, collect(parseGeneric))
    .option('--generic-resource-rm <kind>', `${rm} reservation`, collect(parseText))
    .option('--mount-add <mount>', `${add} mount: ${MOUNT_HINT}`, collect(parseMount))
    .option('--mount-rm <target>', `${rm} mount by its target`, collect(parseText))
    .option('--network-add <name>', 'attach to one more network', collect(parseNetwork))
    .option('--network-rm <name>', 'detach from a network', collect(parseNetwork))
    .option(`--secret-add ${FILE_HINT}`, `${add} secret`, collect(parseFile))
    .option('--secret-rm <name>', `${rm} secret`, collect(parseText))
    .option(`--config-add ${FILE_HINT}`, `${add} config`, collect(parseFile))
    .option('--config-rm <name>', `${rm} config`, collect(parseText))
    .option('--force', 'replace all tasks even if nothing changed', false);
}
