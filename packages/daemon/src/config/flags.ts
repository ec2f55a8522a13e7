/** The command line of swarmd. */
import { parseArgs } from 'node:util';

import { errorMessage, SwarmError } from '@swarmd/base';

import { LOG_LEVELS, RAFT_PROFILES, type GivenSettings } from './settings.ts';

export const USAGE = `swarmd: runs this machine's part of a Swarmd cluster

Usage: swarmd [flags]

  --config FILE              settings as JSON; flags win over it (default /etc/swarmd/swarmd.json if it exists)
  --state-dir DIR            what must survive a boot (default /var/lib/swarmd)
  --run-dir DIR              sockets and what must not survive a boot (default /run/swarmd)
  --listen-addr ADDR[:PORT]  cluster API; Raft and the agent listen on the next two ports (default 0.0.0.0:4242)
  --advertise-addr ADDR      address that other machines reach this one at
  --cgroup-parent PATH       cgroup below which containers are put (default swarmd)
  --insecure-registry HOST   registry without TLS, host[:port]; may be repeated
  --registry-mirror REGISTRY=URL  asked before the registry itself; may be repeated, the first comes first
  --registry-ca REGISTRY=FILE  PEM of the authority of a registry's (or mirror's) certificate; may be repeated
  --node-label KEY=VALUE     label of this machine's engine; may be repeated
  --generic-resource KIND=N  what this machine has besides, e.g. gpu=2, or gpu=a,b with names; may be repeated
  --log-level LEVEL          ${LOG_LEVELS.join(', ')} (default info)
  --raft-profile PROFILE     on managers: lan, or wan where they are far from each other (default lan)
  --version, --help
`;

export interface Flags {
  readonly help: boolean;
  readonly version: boolean;
  readonly config: string | undefined;
  readonly settings: GivenSettings;
}

/** @throws SwarmError `invalid-argument` naming the flag. */
export function parseFlags(args: readonly string[]): Flags {
  const { values } = parse(args);
  return {
    help: values.help ?? false,
    version: values.version ?? false,
    config: values.config,
    settings: {
      stateDir: values['state-dir'],
      runDir: values['run-dir'],
      listenAddr: values['listen-addr'],
      advertiseAddr: values['advertise-addr'],
      cgroupParent: values['cgroup-parent'],
      insecureRegistries: values['insecure-registry'],
      logLevel: oneOf(LOG_LEVELS, 'log-level', values['log-level']),
      raftProfile: oneOf(RAFT_PROFILES, 'raft-profile', values['raft-profile']),
      registryMirrors: values['registry-mirror'],
      registryCas: values['registry-ca'],
      nodeLabels: nodeLabels(values['node-label'] ?? []),
      genericResources: values['generic-resource'],
    },
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: false,
      options: {
        config: { type: 'string' },
        'state-dir': { type: 'string' },
        'run-dir': { type: 'string' },
        'listen-addr': { type: 'string' },
        'advertise-addr': { type: 'string' },
        'cgroup-parent': { type: 'string' },
        'insecure-registry': { type: 'string', multiple: true },
        'registry-mirror': { type: 'string', multiple: true },
        'registry-ca': { type: 'string', multiple: true },
        'node-label': { type: 'string', multiple: true },
        'generic-resource': { type: 'string', multiple: true },
        'log-level': { type: 'string' },
        'raft-profile': { type: 'string' },
        version: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (cause) {
    const said = errorMessage(cause).split('. ')[0] ?? '';
    throw new SwarmError('invalid-argument', `${said}. See swarmd --help`, { cause });
  }
}

function oneOf<T extends string>(
  known: readonly T[],
  flag: string,
  value: string | undefined,
): T | undefined {
  if (value === undefined) return undefined;
  const found = known.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new SwarmError(
    'invalid-argument',
    `--${flag} "${value}" must be one of ${known.join(', ')}`,
  );
}

function nodeLabels(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1)
        throw new SwarmError('invalid-argument', `--node-label "${pair}" must be KEY=VALUE`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}
