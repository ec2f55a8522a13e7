/** scripts/lab: the lab from a shell. */
import { errorMessage, SwarmError, type Logger } from '@swarmd/base';
import { parseArgs } from 'node:util';

import { removeCache } from './debian.ts';
import { Lab } from './lab.ts';
import type { LabOptions } from './layout.ts';
import { between, lossy, oneWay, type LinkFault } from './links.ts';

const USAGE = `Usage: scripts/lab COMMAND [--name NAME]

  up [--managers 3] [--workers 2] [--disk MIB] [--data-path-6]
                                    bring hosts and cluster up; does what is missing, keeps what is there
                                    (--disk: each host's state on a file system of its own;
                                    --data-path-6: containers' packets go by IPv6)
  down [--cache]                    remove everything of the lab (--cache: downloads and images too)
  status                            hosts, and what runs on them
  exec HOST -- COMMAND [ARG...]     run a command on a host
  kill HOST...                      power loss: everything on the host dies
  pause HOST...                     freeze all processes of the host
  cut HOST...                       pull the network cable
  crash HOST...                     kill -9 of the daemon and its manager
  stop HOST...                      freeze the daemon and its manager
  partition GROUP GROUP...          no packets between groups of hosts: m1,m2 m3,m4,m5
  block FROM TO                     no packets from hosts to hosts, but back: m1 m2,m3
  lose PERCENT HOST...              so many packets to and from hosts are lost by chance
  mend                              undo partition, block and lose, everywhere
  fill | hang | slow HOST...        the disk is full, hangs, is slow (a lab made with --disk)
  heal HOST...                      undo everything above for a host, and start its daemon if need be

Hosts: m1 m2 m3 ... (managers), w1 w2 ... (workers), registry, c1 (a client outside)`;

const logger: Logger = {
  debug: () => undefined,
  info: (fields, message) => process.stderr.write(`lab: ${message} ${describe(fields)}\n`),
  warn: (fields, message) => process.stderr.write(`lab: ${message} ${describe(fields)}\n`),
  error: (fields, message) => process.stderr.write(`lab: ${message} ${describe(fields)}\n`),
  child: () => logger,
};

function describe(fields: object): string {
  return Object.entries(fields)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(' ');
}

function wholeNumber(text: string, flag: string): number {
  if (!/^\d+$/.test(text))
    throw new SwarmError('invalid-argument', `--${flag} takes a whole number, not "${text}"`);
  return Number(text);
}

function sizeOf(values: {
  managers: string;
  workers: string;
  disk?: string | undefined;
  'data-path-6': boolean;
}): Omit<LabOptions, 'name'> {
  return {
    managers: wholeNumber(values.managers, 'managers'),
    workers: wholeNumber(values.workers, 'workers'),
    dataPath6: values['data-path-6'],
    ...(values.disk === undefined ? {} : { diskMiB: wholeNumber(values.disk, 'disk') }),
  };
}

async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      name: { type: 'string', default: 'lab' },
      managers: { type: 'string', default: '3' },
      workers: { type: 'string', default: '2' },
      disk: { type: 'string' },
      'data-path-6': { type: 'boolean', default: false },
      cache: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const [command, ...rest] = positionals;
  if (values.help || command === undefined) {
    process.stdout.write(`${USAGE}\n`);
    return command === undefined && !values.help ? 2 : 0;
  }
  switch (command) {
    case 'up': {
      await new Lab({ name: values.name, ...sizeOf(values) }, logger).up();
      return 0;
    }
    case 'down': {
      const lab =
        Lab.open(values.name, logger) ??
        new Lab({ name: values.name, managers: 7, workers: 20 }, logger);
      await lab.down();
      if (values.cache) removeCache();
      return 0;
    }
    case 'status':
      return status(existing(values.name));
    case 'exec': {
      const [host, ...words] = rest;
      if (host === undefined || words.length === 0) throw new SwarmError('invalid-argument', USAGE);
      return existing(values.name).host(host).execInteractive(words);
    }
    case 'kill':
    case 'pause':
    case 'cut':
    case 'crash':
    case 'stop':
    case 'heal': {
      const lab = existing(values.name);
      for (const host of words(command, rest)) await lab[command](host);
      return 0;
    }
    case 'fill':
    case 'hang':
    case 'slow':
      for (const host of words(command, rest)) await existing(values.name).spoilDisk(host, command);
      return 0;
    case 'partition':
    case 'block':
    case 'lose':
      await existing(values.name).breakLinks(faultsOf(command, words(command, rest)));
      return 0;
    case 'mend':
      await existing(values.name).mendLinks();
      return 0;
    default:
      throw new SwarmError('invalid-argument', `unknown command "${command}"\n\n${USAGE}`);
  }
}

function words(command: string, rest: readonly string[]): readonly string[] {
  if (rest.length === 0)
    throw new SwarmError('invalid-argument', `${command} needs the name of a host`);
  return rest;
}

function faultsOf(
  command: 'partition' | 'block' | 'lose',
  rest: readonly string[],
): readonly LinkFault[] {
  const [first = '', ...others] = rest;
  if (others.length === 0)
    throw new SwarmError('invalid-argument', `${command} needs more than "${first}"\n\n${USAGE}`);
  if (command === 'partition') return between(rest.map((group) => group.split(',')));
  if (command === 'block') return oneWay(first.split(','), (others[0] ?? '').split(','));
  return lossy(others, wholeNumber(first, 'lose'));
}

function existing(name: string): Lab {
  const lab = Lab.open(name, logger);
  if (lab === undefined)
    throw new SwarmError('not-found', `there is no lab "${name}"; make it with: scripts/lab up`);
  return lab;
}

async function status(lab: Lab): Promise<number> {
  for (const host of lab.hosts) {
    const services =
      host.place.role === 'registry'
        ? ['registry']
        : host.place.role === 'client'
          ? []
          : ['swarmd'];
    const running = [];
    for (const service of services) {
      const pid = await host.servicePid(service);
      running.push(`${service} ${pid === undefined ? 'not running' : `pid ${pid}`}`);
    }
    const power = host.initPid === undefined ? 'off' : 'on';
    process.stdout.write(
      `${host.name.padEnd(9)} ${host.place.address.padEnd(14)} ${power.padEnd(4)} ${running.join(', ')}\n`,
    );
  }
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`lab: ${errorMessage(error)}\n`);
  process.exitCode = error instanceof SwarmError && error.code === 'invalid-argument' ? 2 : 1;
}
