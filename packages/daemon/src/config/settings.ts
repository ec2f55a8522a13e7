/** What swarmd is told by flags and its configuration file, checked and complete. */
import { logPlan, type GenericResource } from '@swarmd/model';
import type { RaftProfile } from '@swarmd/raft';
import { isIPv4 } from 'node:net';

import { SwarmError } from '@swarmd/base';

import type { CleanUpPolicy, Registries, StorageDriver } from '@swarmd/executor';
import { cleanUpOf, type GivenCleanUp } from './image-clean-up.ts';
import { registriesOf } from './registries.ts';
import { DEFAULT_PORT } from '../limits.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Of `@swarmd/raft`, which an agent does not load. */
export const RAFT_PROFILES = ['lan', 'wan'] as const satisfies readonly RaftProfile[];

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** As given: every key may be missing. The configuration file has the same keys. */
export interface GivenSettings {
  readonly stateDir?: string | undefined;
  readonly runDir?: string | undefined;
  readonly listenAddr?: string | undefined;
  readonly advertiseAddr?: string | undefined;
  readonly cgroupParent?: string | undefined;
  readonly insecureRegistries?: readonly string[] | undefined;
  /** "REGISTRY=URL": asked before the registry itself, in this order. Flags only. */
  readonly registryMirrors?: readonly string[] | undefined;
  /** "REGISTRY=FILE": PEM of the authority of its certificate. Flags only. */
  readonly registryCas?: readonly string[] | undefined;
  /** The same by registry (host[:port]), and more readable. File only. */
  readonly registries?: Registries | undefined;
  /** File only. */
  readonly storageDriver?: StorageDriver | undefined;
  /** Whose subordinate ids remapped containers get, and whether all are. File only. */
  readonly userns?:
    { readonly user?: string | undefined; readonly byDefault?: boolean | undefined } | undefined;
  /** Which images go by themselves. File only. */
  readonly imageCleanUp?: GivenCleanUp | undefined;
  readonly logLevel?: LogLevel | undefined;
  readonly raftProfile?: RaftProfile | undefined;
  readonly nodeLabels?: Readonly<Record<string, string>> | undefined;
  /** "gpu=4", or "gpu=a,b" for two that have names. */
  readonly genericResources?: readonly string[] | undefined;
  /** Paths of OCI runtimes besides crun, by the name that services ask for them with. File only. */
  readonly runtimes?: Readonly<Record<string, string>> | undefined;
  /** Log driver of services that name none, and options of that driver. File only, Docker's names. */
  readonly logDriver?: string | undefined;
  readonly logOpts?: Readonly<Record<string, string>> | undefined;
}

export interface Settings {
  readonly stateDir: string;
  readonly runDir: string;
  /** Where the cluster API listens. */
  readonly listen: HostPort;
  /** Undefined: chosen at init or join. */
  readonly advertiseAddr: string | undefined;
  readonly cgroupParent: string;
  readonly registries: Registries;
  readonly imageCleanUp: CleanUpPolicy;
  /** Undefined: what works. */
  readonly storageDriver: StorageDriver | undefined;
  readonly userns: { readonly user: string; readonly byDefault: boolean };
  readonly logLevel: LogLevel;
  /** How far the managers are from each other. */
  readonly raftProfile: RaftProfile;
  readonly nodeLabels: Readonly<Record<string, string>>;
  readonly genericResources: readonly GenericResource[];
  readonly runtimes: Readonly<Record<string, string>>;
  /** Of containers whose service says nothing of it. */
  readonly logDefaults: {
    readonly driver: string;
    readonly options: Readonly<Record<string, string>>;
  };
}

/** Flags win over the file; lists and labels add up. */
export function settle(file: GivenSettings, flags: GivenSettings): Settings {
  const advertiseAddr = flags.advertiseAddr ?? file.advertiseAddr;
  return {
    stateDir: flags.stateDir ?? file.stateDir ?? '/var/lib/swarmd',
    runDir: flags.runDir ?? file.runDir ?? '/run/swarmd',
    listen: parseHostPort(flags.listenAddr ?? file.listenAddr ?? '0.0.0.0', {
      what: 'listen address',
      defaultPort: DEFAULT_PORT,
    }),
    advertiseAddr: advertiseAddr === undefined ? undefined : checkAdvertise(advertiseAddr),
    cgroupParent: absolute(flags.cgroupParent ?? file.cgroupParent ?? '/swarmd'),
    registries: registriesOf(file, flags),
    storageDriver: file.storageDriver,
    userns: {
      user: file.userns?.user ?? 'swarmd',
      byDefault: file.userns?.byDefault ?? false,
    },
    imageCleanUp: cleanUpOf(file.imageCleanUp),
    logLevel: flags.logLevel ?? file.logLevel ?? 'info',
    raftProfile: flags.raftProfile ?? file.raftProfile ?? 'lan',
    nodeLabels: { ...file.nodeLabels, ...flags.nodeLabels },
    runtimes: file.runtimes ?? {},
    logDefaults: logDefaults(file),
    genericResources: genericResources([
      ...(file.genericResources ?? []),
      ...(flags.genericResources ?? []),
    ]),
  };
}

/** The last word on a kind counts. @throws SwarmError `invalid-argument` */
function genericResources(texts: readonly string[]): GenericResource[] {
  const byKind = new Map<string, GenericResource>();
  for (const text of texts) {
    const [, kind, value] = /^([a-zA-Z0-9][a-zA-Z0-9_.-]*)=([^=]+)$/.exec(text) ?? [];
    if (kind === undefined || value === undefined) {
      throw new SwarmError(
        'invalid-argument',
        `generic resource "${text}" must be KIND=NUMBER or KIND=NAME,NAME...`,
      );
    }
    const names = /^\d+$/.test(value) ? [] : [...new Set(value.split(',').filter(Boolean))];
    byKind.set(kind, { kind, count: names.length || Number(value), names });
  }
  return [...byKind.values()];
}

/** @throws SwarmError `invalid-argument` for what no such driver understands. */
function logDefaults({
  logDriver = 'local',
  logOpts = {},
}: GivenSettings): Settings['logDefaults'] {
  logPlan(logDriver, logOpts);
  return { driver: logDriver, options: logOpts };
}

function absolute(cgroup: string): string {
  return cgroup.startsWith('/') ? cgroup : `/${cgroup}`;
}

/** @throws SwarmError `invalid-argument` unless `text` is ADDRESS or ADDRESS:PORT with IPv4. */
export function parseHostPort(
  text: string,
  options: { what: string; defaultPort: number },
): HostPort {
  const [host = '', port, ...rest] = text.split(':');
  const number = port === undefined ? options.defaultPort : Number(port);
  if (
    !isIPv4(host) ||
    rest.length > 0 ||
    !Number.isInteger(number) ||
    number < 1 ||
    number > 65_533
  ) {
    throw new SwarmError(
      'invalid-argument',
      `${options.what} "${text}" must be an IPv4 address, perhaps with a port, such as 10.0.0.1:4242`,
    );
  }
  return { host, port: number };
}

/** @throws SwarmError `invalid-argument` for addresses that no other machine can reach. */
export function checkAdvertise(text: string): string {
  const { host } = parseHostPort(text, { what: 'advertised address', defaultPort: DEFAULT_PORT });
  if (host === '0.0.0.0') {
    throw new SwarmError(
      'invalid-argument',
      'the advertised address must be one that other machines reach this one at, not 0.0.0.0',
    );
  }
  return text;
}
