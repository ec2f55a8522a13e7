/** Flags of services that say what their containers are, may use and may do. */
import { readFileSync } from 'node:fs';

import { LOG_DRIVERS, type ContainerSpec } from '@swarmd/model';
import { InvalidArgumentError, type Command } from 'commander';

import { HEADINGS } from './flag-headings.ts';
import {
  collect,
  oneOf,
  parseBytes,
  parseCount,
  parseCpus,
  parseDuration,
  parseLabel,
  parseText,
} from './flags.ts';
import { splitWords } from './words.ts';

export type Ulimit = ContainerSpec['ulimits'][number];

export type SecurityOption =
  | { readonly kind: 'seccomp'; readonly profile: string }
  | { readonly kind: 'no-new-privileges'; readonly isOn: boolean };

export function addContainerFlags(command: Command): Command {
  return command
    .optionsGroup(HEADINGS.container)
    .option('--entrypoint <command>', 'replace the entrypoint of the image', splitWords)
    .option('--hostname <name>', 'host name in the container')
    .option('-w, --workdir <dir>', 'working directory in the container')
    .option('-u, --user <name|uid[:group|gid]>', 'user in the container')
    .option('--group <name|gid>', 'one more group of the process', collect(parseText))
    .option('-t, --tty', 'allocate a terminal')
    .option('-i, --interactive', 'keep standard input open, for task attach')
    .option('--init', 'run an init process that reaps children')
    .option('--read-only', 'read-only root file system')
    .option('--stop-signal <signal>', 'signal to stop with')
    .option('--stop-grace-period <duration>', 'time between stop signal and SIGKILL', parseDuration)
    .option('--device <path|cdi-name>', 'device of the node', collect(parseText))
    .option('--shm-size <bytes>', 'size of /dev/shm', parseBytes)
    .option('--runtime <name>', 'a runtime that nodes are configured with');
}

export function addResourceFlags(command: Command): Command {
  return command
    .optionsGroup(HEADINGS.resources)
    .option('--reserve-cpu <cpus>', 'CPU a node must have free', parseCpus)
    .option('--reserve-memory <bytes>', 'memory a node must have free', parseBytes)
    .option('--limit-cpu <cpus>', 'upper bound of CPU', parseCpus)
    .option('--limit-memory <bytes>', 'upper bound of memory', parseBytes)
    .option('--limit-swap <bytes>', 'swap on top of --limit-memory', parseBytes)
    .option('--limit-pids <n>', 'upper bound of processes', parseCount)
    .option('--cpu-shares <n>', 'weight when CPU is short (1024)', parseCount)
    .option('--cpuset <cpus>', 'the CPUs it may run on, e.g. 0-2,5')
    .option('--io-weight <n>', 'weight when the disk is busy, 10 to 1000', parseCount)
    .option('--ulimit <name=soft[:hard]>', 'limit of its processes', collect(parseUlimit))
    .option('--oom-score-adj <n>', '-1000 to 1000: who goes first without memory', parseInteger);
}

export function addLogFlags(command: Command): Command {
  return command
    .optionsGroup(HEADINGS.logs)
    .option(
      '--log-driver <name>',
      `where its output goes: ${LOG_DRIVERS.join(', ')}`,
      oneOf(...LOG_DRIVERS),
    )
    .option(
      '--log-opt <key=value>',
      'how, e.g. max-size=10m (docs/logs.md has all)',
      collect(parseLabel),
    );
}

export function addConfinementFlags(command: Command): Command {
  return command
    .optionsGroup(HEADINGS.confinement)
    .option('--cap-add <capability>', 'add a Linux capability', collect(parseText))
    .option('--cap-drop <capability>', 'drop a Linux capability', collect(parseText))
    .option('--privileged', 'every capability and device, nothing hidden')
    .option(
      '--security-opt <option>',
      'seccomp=unconfined, seccomp=FILE, no-new-privileges[=false]',
      collect(parseSecurityOption),
    )
    .option(
      '--userns <mode>',
      'remap: its root is nobody on the node; host: it is not',
      oneOf('remap', 'host'),
    );
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
