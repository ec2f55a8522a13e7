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
  parseCount,
  parseEnv,
  parseFile,
  parseHost,
  parseLabel,
  parseNetwork,
  parseText,
  type FileFlag,
  type NetworkFlag,
  parsePreference,
  parseGeneric,
} from './flags.ts';
import { addAutoscaleFlags, type AutoscaleFlags } from './autoscale-flags.ts';
import {
  addConfinementFlags,
  addContainerFlags,
  addLogFlags,
  addResourceFlags,
  type SecurityOption,
  type Ulimit,
} from './container-flags.ts';
import { HEADINGS } from './flag-headings.ts';
import { parseMount } from './mount-flag.ts';
import {
  addHealthFlags,
  addPlacementFlags,
  addRestartFlags,
  addRollbackFlags,
  addUpdateFlags,
} from './policy-flags.ts';
import { addNetworkFlags, parsePorts, parseTargetPorts, type TargetPort } from './port-flags.ts';
import { addJobFlags, type ScheduleFlags } from './schedule-flags.ts';
import { parseVolumesFrom, type VolumesFrom } from './volumes-from.ts';
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
  volumesFrom?: VolumesFrom[];
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

/** The order is that of the help, whose headings the parts set. */
function addServiceFlags(command: Command): Command {
  addContainerFlags(command);
  addNetworkFlags(command);
  addPlacementFlags(command);
  addResourceFlags(command);
  addRestartFlags(command);
  addUpdateFlags(command);
  addRollbackFlags(command);
  addHealthFlags(command);
  addJobFlags(command);
  addAutoscaleFlags(command);
  addLogFlags(command);
  addConfinementFlags(command);
  return command
    .optionsGroup(HEADINGS.image)
    .option('--no-resolve-image', 'every node asks by itself what the tag of the image stands for')
    .option(
      '--with-registry-auth',
      'give the service the credentials of registry login, for its nodes to pull with',
      false,
    )
    .optionsGroup(HEADINGS.command);
}

const REPLICAS_HINT = 'number of tasks; of a job: of completions';
const MOUNT_HINT = 'type=bind|volume|tmpfs,source=...,target=...[,readonly]';
const FILE_HINT = '<name[:target]>';

export function addFlagsOfCreate(command: Command): Command {
  command
    .optionsGroup(HEADINGS.service)
    .option('--name <name>', 'name of the service, also its DNS name (default: from the image)')
    .option(
      '--mode <mode>',
      'replicated, global, replicated-job or global-job (replicated)',
      oneOf('replicated', 'global', 'replicated-job', 'global-job'),
    )
    .option('--replicas <n>', REPLICAS_HINT, parseCount)
    .option('-l, --label <key=value>', 'label of the service', collect(parseLabel))
    .optionsGroup(HEADINGS.container)
    .option('-e, --env <NAME=value>', 'environment variable', collect(parseEnv))
    .option('--mount <mount>', MOUNT_HINT, collect(parseMount))
    .option(
      '--volumes-from <service[:ro]>',
      'also the binds and named volumes that a service has now',
      collect(parseVolumesFrom),
    )
    .option(`--secret ${FILE_HINT}`, 'secret as a file below /run/secrets', collect(parseFile))
    .option(`--config ${FILE_HINT}`, 'config as a file', collect(parseFile))
    .option('--container-label <key=value>', 'label of its containers', collect(parseLabel))
    .option('--sysctl <key=value>', 'kernel parameter of the container', collect(parseLabel))
    .optionsGroup(HEADINGS.network)
    .option(
      '-p, --publish <published:target>',
      'port that every node answers: 8080:80, 53:53/udp, 8000-8010:80-90, 80 (a free one is chosen), ' +
        '192.0.2.7:8080:80; or published=8080,target=80,protocol=tcp|udp|sctp,mode=ingress|host,address=192.0.2.7',
      collectAll(parsePorts),
    )
    .option('--network <name>', 'overlay network to attach to', collect(parseNetwork))
    .option('--host <name:address>', 'one more line of /etc/hosts', collect(parseHost))
    .optionsGroup(HEADINGS.placement)
    .option('--constraint <rule>', 'e.g. node.labels.disk==ssd', collect(parseText))
    .option('--placement-pref <pref>', 'spread=node.labels.NAME', collect(parsePreference))
    .option('--affinity <rule>', 'e.g. service==cache, service!=~web', collect(parseText))
    .optionsGroup(HEADINGS.resources)
    .option('--generic-resource <kind=n>', 'e.g. gpu=1', collect(parseGeneric));
  return addServiceFlags(command);
}

export function addFlagsOfUpdate(command: Command): Command {
  const { add, rm } = { add: 'add or change a', rm: 'remove a' };
  command
    .optionsGroup(HEADINGS.service)
    .option('--image <reference>', 'another image')
    .option('--args <command>', 'another command for the image', splitWords)
    .option('--replicas <n>', REPLICAS_HINT, parseCount)
    .option('--label-add <key=value>', `${add} label`, collect(parseLabel))
    .option('--label-rm <key>', `${rm} label`, collect(parseText))
    .option('--force', 'replace all tasks even if nothing changed', false)
    .optionsGroup(HEADINGS.container)
    .option('--env-add <NAME=value>', `${add} variable`, collect(parseEnv))
    .option('--env-rm <NAME>', `${rm} variable`, collect(parseText))
    .option('--mount-add <mount>', `${add} mount: ${MOUNT_HINT}`, collect(parseMount))
    .option('--mount-rm <target>', `${rm} mount by its target`, collect(parseText))
    .option(`--secret-add ${FILE_HINT}`, `${add} secret`, collect(parseFile))
    .option('--secret-rm <name>', `${rm} secret`, collect(parseText))
    .option(`--config-add ${FILE_HINT}`, `${add} config`, collect(parseFile))
    .option('--config-rm <name>', `${rm} config`, collect(parseText))
    .option('--container-label-add <key=value>', `${add} container label`, collect(parseLabel))
    .option('--container-label-rm <key>', `${rm} container label`, collect(parseText))
    .optionsGroup(HEADINGS.network)
    .option('--publish-add <published:target>', 'publish one more port', collectAll(parsePorts))
    .option('--publish-rm <target>', 'publish a target port no more', collectAll(parseTargetPorts))
    .option('--network-add <name>', 'attach to one more network', collect(parseNetwork))
    .option('--network-rm <name>', 'detach from a network', collect(parseNetwork))
    .optionsGroup(HEADINGS.placement)
    .option('--constraint-add <rule>', 'one more placement constraint', collect(parseText))
    .option('--constraint-rm <rule>', `${rm} placement constraint`, collect(parseText))
    .option('--placement-pref-add <pref>', 'one more: spread=KEY', collect(parsePreference))
    .option('--placement-pref-rm <pref>', `${rm} preference`, collect(parsePreference))
    .option('--affinity-add <rule>', 'one more affinity', collect(parseText))
    .option('--affinity-rm <rule>', `${rm}n affinity`, collect(parseText))
    .optionsGroup(HEADINGS.resources)
    .option('--generic-resource-add <kind=n>', `${add} reservation`, collect(parseGeneric))
    .option('--generic-resource-rm <kind>', `${rm} reservation`, collect(parseText));
  // A flag that is only known by its --no- form would be set by default: these follow the others.
  return addServiceFlags(command)
    .optionsGroup(HEADINGS.container)
    .option('--no-tty', 'allocate no terminal')
    .option('--no-init', 'run no init process')
    .option('--no-read-only', 'writable root file system')
    .optionsGroup(HEADINGS.network)
    .option('--no-publish-local-only', 'ingress ports: every node answers')
    .optionsGroup(HEADINGS.placement)
    .option('--no-preempt', 'nobody makes room')
    .optionsGroup(HEADINGS.job)
    .option('--no-schedule', 'run now, and whenever it is updated')
    .option('--no-suspend', 'follow the schedule again')
    .optionsGroup(HEADINGS.autoscaling)
    .option('--no-autoscale', 'keep the number of tasks as it is now')
    .optionsGroup(HEADINGS.command);
}
