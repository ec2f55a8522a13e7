/**
 * config.json of a container (OCI runtime specification 1.0.2) with Docker's defaults. Pure: what it
 * needs to know of the image and the machine was found out before.
 */
import type { ResourceLimits } from '@swarmd/model';

import type { IdMapping } from '../userns/id-mapping.ts';
import { ioWeightValue, isWrittenByRuntimes, type IoWeightFile } from './io-weight.ts';
import type { SeccompProfile } from './seccomp.ts';

export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

export interface ProcessUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
}

/** What the container's process and root are to be, with everything resolved. */
export interface SpecInput {
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: ProcessUser;
  readonly tty: boolean;
  readonly hostname: string;
  readonly rootfs: string;
  readonly readOnly: boolean;
  /** After the kernel's own file systems, in this order. */
  readonly mounts: readonly OciMount[];
  readonly capabilities: readonly string[];
  /** Undefined: no filter. */
  readonly seccomp: SeccompProfile | undefined;
  /** The profile as compiled before, base64; empty to have the runtime compile it. */
  readonly seccompBpf: string;
  readonly networkNamespace: string;
  /** Absolute within the cgroup hierarchies. */
  readonly cgroupPath: string;
  readonly limits: ResourceLimits;
  /** False where the kernel does not count swap: asking for it would make the runtime fail. */
  readonly canLimitSwap: boolean;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Nothing masked or read-only, every device. */
  readonly privileged: boolean;
  readonly noNewPrivileges: boolean;
  readonly rlimits: readonly Rlimit[];
  readonly devices: readonly Device[];
  readonly shmBytes: number;
  readonly oomScoreAdj: number;
  /** Undefined: ids in the container are those of the machine. */
  readonly mapping: IdMapping | undefined;
  /** Of the whole root, when a mount of it is shared or a slave. */
  readonly rootPropagation: 'shared' | 'slave' | undefined;
  /** None where the kernel has no weights of block devices. */
  readonly ioWeights: readonly IoWeightFile[];
}

export interface Rlimit {
  /** "RLIMIT_NOFILE". */
  readonly type: string;
  readonly soft: number;
  readonly hard: number;
}

export interface Device {
  readonly path: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  /** Any of r, w, m. */
  readonly access: string;
}

/** Understood by crun >= 0.20; others ignore it and compile `linux.seccomp`, which says the same. */
const BPF_ANNOTATION = 'run.oci.seccomp_bpf_data';

/** Set on containers whose standard input stays open. */
export const STDIN_ANNOTATION = 'swarmd.stdin';

const MASKED_PATHS = [
  'asound',
  'acpi',
  'interrupts',
  'kcore',
  'keys',
  'latency_stats',
  'timer_list',
  'timer_stats',
  'sched_debug',
  'scsi',
].map((name) => `/proc/${name}`);
const MASKED_SYS_PATHS = ['/sys/firmware', '/sys/devices/virtual/powercap'];
const READONLY_PATHS = ['bus', 'fs', 'irq', 'sys', 'sysrq-trigger'].map((name) => `/proc/${name}`);

const systemMounts = (shmBytes: number, kernel: 'ro' | 'rw'): readonly OciMount[] => [
  mount('/proc', 'proc', 'nosuid noexec nodev'),
  mount('/dev', 'tmpfs', 'nosuid strictatime mode=755 size=65536k'),
  mount('/dev/pts', 'devpts', 'nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5'),
  mount('/sys', 'sysfs', `nosuid noexec nodev ${kernel}`),
  mount('/sys/fs/cgroup', 'cgroup', `${kernel} nosuid noexec nodev`),
  mount('/dev/mqueue', 'mqueue', 'nosuid noexec nodev'),
  mount('/dev/shm', 'tmpfs', `nosuid noexec nodev mode=1777 size=${shmBytes}`),
];

/** null, zero, full, random, urandom, tty, console; ptmx and the ptys; making (not using) any node. */
const DEVICE_RULES = [
  { allow: false, access: 'rwm' },
  ...[3, 5, 7, 8, 9].map((minor) => device(1, minor)),
  ...[0, 1, 2].map((minor) => device(5, minor)),
  { allow: true, type: 'c', major: 136, access: 'rwm' },
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
];

export function ociSpec(input: SpecInput): object {
  const annotations = {
    ...input.annotations,
    ...(input.seccompBpf === '' ? {} : { [BPF_ANNOTATION]: input.seccompBpf }),
  };
  const { privileged, seccomp, rootPropagation } = input;
  return {
    ociVersion: '1.0.2',
    process: processSpec(input),
    root: { path: input.rootfs, readonly: input.readOnly },
    hostname: input.hostname,
    mounts: [...systemMounts(input.shmBytes, privileged ? 'rw' : 'ro'), ...input.mounts],
    linux: {
      namespaces: [
        ...(input.mapping === undefined ? [] : [{ type: 'user' }]),
        ...['pid', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type })),
        { type: 'network', path: input.networkNamespace },
      ],
      ...idMappings(input.mapping),
      cgroupsPath: input.cgroupPath,
      maskedPaths: privileged ? [] : [...MASKED_PATHS, ...MASKED_SYS_PATHS],
      readonlyPaths: privileged ? [] : READONLY_PATHS,
      devices: input.devices.map(({ path, type, major, minor }) => ({ path, type, major, minor })),
      resources: {
        devices: privileged ? ALL_DEVICES : [...DEVICE_RULES, ...input.devices.map(deviceRule)],
        ...resources(input),
      },
      ...(seccomp === undefined ? {} : { seccomp }),
      ...(rootPropagation === undefined ? {} : { rootfsPropagation: `r${rootPropagation}` }),
      sysctl: input.sysctls,
    },
    annotations,
  };
}

function idMappings(mapping: IdMapping | undefined): object {
  if (mapping === undefined) return {};
  const of = ({ first, count }: IdMapping['uid']): object[] => [
    { containerID: 0, hostID: first, size: count },
  ];
  return { uidMappings: of(mapping.uid), gidMappings: of(mapping.gid) };
}

const ALL_DEVICES = [{ allow: true, access: 'rwm' }];

function deviceRule({ type, major, minor, access }: Device): object {
  return { allow: true, type, major, minor, access };
}

/** Also what `exec` runs its programs with. */
function processSpec(input: SpecInput): object {
  const { capabilities } = input;
  return {
    terminal: input.tty,
    user: input.user,
    args: input.argv,
    env: input.env,
    cwd: input.cwd,
    capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    rlimits: input.rlimits,
    // As Docker: programs with the setuid bit work unless the spec says otherwise.
    noNewPrivileges: input.noNewPrivileges,
    // Never the daemon's, which may be protected from the kernel's choice of victims.
    oomScoreAdj: input.oomScoreAdj,
  };
}

const CPU_PERIOD_US = 100_000;
/** The kernel takes no quota below 1 ms; a longer period lets small shares be said. */
const CPU_LONG_PERIOD_US = 1_000_000;
const CPU_QUOTA_MIN_US = 1_000;

/** Microseconds of CPU in each period. */
export function cpuQuota(nanoCpus: number): { readonly quota: number; readonly period: number } {
  const share = nanoCpus / 1e9;
  const isSmall = share > 0 && share * CPU_PERIOD_US < CPU_QUOTA_MIN_US;
  const period = isSmall ? CPU_LONG_PERIOD_US : CPU_PERIOD_US;
  return { quota: Math.round(share * period), period };
}

/** Docker's names for weights of block devices go from 10 to 1000 in both versions of cgroups. */
export type LimitsInput = Pick<SpecInput, 'limits' | 'canLimitSwap' | 'ioWeights'>;

/** `linux.resources` without devices; a limit of 0 is none. Swap is not given on top of memory. */
export function resources({ limits, canLimitSwap, ioWeights }: LimitsInput): object {
  const { memoryBytes, nanoCpus, pids, swapBytes = 0, cpuShares, cpuSet, ioWeight } = limits;
  const swap = canLimitSwap ? { swap: memoryBytes + swapBytes } : {};
  const cpu = {
    ...(nanoCpus > 0 ? cpuQuota(nanoCpus) : {}),
    ...(cpuShares === undefined ? {} : { shares: cpuShares }),
    ...(cpuSet === undefined ? {} : { cpus: cpuSet }),
  };
  return {
    ...(memoryBytes > 0 ? { memory: { limit: memoryBytes, ...swap } } : {}),
    ...(Object.keys(cpu).length > 0 ? { cpu } : {}),
    ...(pids > 0 ? { pids: { limit: pids } } : {}),
    ...(ioWeight === undefined ? {} : weightOfIo(ioWeight, ioWeights)),
  };
}

/** Runtimes write only one of version 2's files, whichever the device goes by: so we say which, and what. */
function weightOfIo(weight: number, files: readonly IoWeightFile[]): object {
  if (files.includes('blkio.weight')) return { blockIO: { weight } };
  const written = files.filter((file) => isWrittenByRuntimes(file));
  if (written.length === 0) return {};
  return {
    unified: Object.fromEntries(written.map((file) => [file, ioWeightValue(file, weight)])),
  };
}

function mount(destination: string, type: string, options: string): OciMount {
  return { destination, type, source: type, options: options.split(' ') };
}

function device(major: number, minor: number): object {
  return { allow: true, type: 'c', major, minor, access: 'rwm' };
}
