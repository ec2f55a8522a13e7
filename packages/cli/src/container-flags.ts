/** Flags of services that say how their containers are confined. */
import { readFileSync } from 'node:fs';

import { LOG_DRIVERS, type ContainerSpec } from '@swarmd/model';
import { InvalidArgumentError, type Command } from 'commander';

import { collect, oneOf, parseBytes, parseCount, parseLabel, parseText } from './flags.ts';

export type Ulimit = ContainerSpec['ulimits'][number];

export type SecurityOption =
  | { readonly kind: 'seccomp'; readonly profile: string }
  | { readonly kind: 'no-new-privileges'; readonly isOn: boolean };

export function addContainerFlags(command: Command): Command {
  return command
    .option('--privileged', 'every capability and device, nothing hidden')
    .option(
      '--security-opt <option>',
      'seccomp=unconfined, seccomp=FILE, no-new-privileges[=false]',
      collect(parseSecurityOption),
    )
    .option('--ulimit <name=soft[:hard]>', 'limit of its processes', collect(parseUlimit))
    .option('--device <path|cdi-name>', 'device of the node', collect(parseText))
    .option('--group <name|gid>', 'one more group of the process', collect(parseText))
    .option('--dns <address>', 'resolver instead of the cluster\u2019s', collect(parseText))
    .option('--dns-search <domain>', 'domain tried for bare names', collect(parseText))
    .option('--dns-option <option>', 'as in resolv.conf(5)', collect(parseText))
    .option('--shm-size <bytes>', 'size of /dev/shm', parseBytes)
    .option('--oom-score-adj <n>', '-1000 to 1000: who goes first without memory', parseInteger)
    .option(
      '--userns <mode>',
      'remap: its root is nobody on the node; host: it is not',
      oneOf('remap', 'host'),
    )
    .option('--runtime <name>', 'a runtime that nodes are configured with')
    .option(
      '--log-driver <name>',
      `where its output goes: ${LOG_DRIVERS.join(', ')}`,
      oneOf(...LOG_DRIVERS),
    )
    .option(
      '--log-opt <key=value>',
      'how, e.g. max-size=10m (docs/logs.md has all)',
      collect(parseLabel),
    )
    .option('--limit-swap <bytes>', 'swap on top of --limit-memory', parseBytes)
    .option('--cpu-shares <n>', 'weight when CPU is short (1024)', parseCount)
    .option('--cpuset <cpus>', 'the CPUs it may run on, e.g. 0-2,5')
    .option('--io-weight <n>', 'weight when the disk is busy, 10 to 1000', parseCount);
}

export function parseSecurityOption(text: string): SecurityOption {
  const [name, value] = parseLabel(text);
  if (name === 'no-new-privileges') {
    return { kind: 'no-new-privileges', isOn: oneOf('', 'true', 'false')(value) !== 'false' };
  }
  if (name !== 'seccomp' || value === '') {
    throw new InvalidArgumentError('use seccomp=unconfined, seccomp=FILE or no-new-privileges.');
  }
  if (value === 'unconfined') return { kind: 'seccomp', profile: value };
  try {
    return { kind: 'seccomp', profile: readFileSync(value, 'utf8') };
  } catch (error) {
    throw new InvalidArgumentError(`cannot read ${value}: ${String(error)}.`);
  }
}

/** "nofile=1024:4096", "core=0", "memlock=-1". */
export function parseUlimit(text: string): Ulimit {
  const match = /^([a-z]+)=(-1|\d+)(?::(-1|\d+))?$/.exec(text);
  if (match === null)
    throw new InvalidArgumentError('use NAME=SOFT[:HARD], e.g. nofile=1024:4096.');
  const [, name = '', soft = '', hard = soft] = match;
  return { name, soft: Number(soft), hard: Number(hard) };
}

function parseInteger(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new InvalidArgumentError('use a whole number.');
  return Number(text);
}
