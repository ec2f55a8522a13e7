/** swarmctl swarm ..., info: this machine and its cluster. */
import type { LocalInfo } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';
import type { ClusterSpec } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { addDryRunFlags, dryRun, type DryRunFlags } from '../dry-run.ts';
import { collect, oneOf, parseCount, parseDuration, parseRatio, parseText } from '../flags.ts';
import { parseFormat, type Format } from '../output.ts';
import { addRaftStatus } from './raft-status.ts';

const CLUSTER_PORT = 4242;

export function addSwarmCommands(program: Command, context: Context): void {
  program
    .command('info')
    .description('this machine, and the cluster it is in')
    .option('--format <table|json>', 'output format', parseFormat, 'table')
    .action(async (flags: { format: Format }) => {
      const info = await context.daemon().local.info({}, context.call);
      context.terminal.out(flags.format === 'json' ? `${JSON.stringify(info)}\n` : describe(info));
    });

  const group = program.command('swarm').description('make, join and leave a cluster');
  addInit(group, context);
  addJoin(group, context);
  addLeave(group, context);
  addUpdate(group, context);
  addJoinToken(group, context);
  addRaftStatus(group, context);
}

function addInit(group: Command, context: Context): void {
  addAddressFlags(
    group.command('init').description('make a new cluster with this machine as its first manager'),
  )
    .option(
      '--default-addr-pool <cidr>',
      'where networks without a subnet of their own get one from; once for IPv4, once for IPv6',
      collect(parseText),
    )
    .option(
      '--gateway-pool <cidr>',
      'where each node gets a /23 from for its containers\u2019 way out (100.64.0.0/10)',
      parseText,
    )
    .option(
      '--ingress-pool <cidr>',
      'where nodes get their addresses among themselves from (10.255.0.0/16)',
      parseText,
    )
    .option(
      '--force-new-cluster',
      'go on as the only manager with what this one has: the others are lost for good',
      false,
    )
    .option('--even-with-quorum', 'with --force-new-cluster: although the others answer', false)
    .action(async (flags: InitFlags) => {
      const info = await context.daemon().local.init(
        {
          ...addressesOf(flags),
          spec: poolsOf(flags),
          forceNewCluster: flags.forceNewCluster,
          evenWithQuorum: flags.evenWithQuorum,
        },
        context.call,
      );
      context.terminal.out(
        flags.forceNewCluster
          ? `This machine (node ${info.nodeId}) is now the only manager of cluster ${info.clusterId}.\n` +
              'Tasks and workers go on. Former managers that come back become workers; for new managers:\n\n' +
              '    swarmctl node promote NODE\n'
          : `This machine is now the first manager (node ${info.nodeId}) of a new cluster.\n` +
              'To add a worker or another manager, run there what this prints:\n\n' +
              '    swarmctl swarm join-token worker\n    swarmctl swarm join-token manager\n',
      );
    });
}

/** @throws SwarmError `invalid-argument` when a family has two: there is one pool of each. */
function poolsOf({
  defaultAddrPool: pools = [],
  gatewayPool,
  ingressPool,
}: InitFlags): Partial<
  Record<'overlayPool' | 'overlayPool6' | 'gatewayPool' | 'ingressPool', string>
> {
  const [six, four] = [
    pools.filter((pool) => pool.includes(':')),
    pools.filter((pool) => !pool.includes(':')),
  ];
  if (six.length > 1 || four.length > 1) {
    const message = '--default-addr-pool takes one IPv4 and one IPv6 network: give a larger one';
    throw new SwarmError('invalid-argument', message);
  }
  return {
    ...(four[0] === undefined ? {} : { overlayPool: four[0] }),
    ...(six[0] === undefined ? {} : { overlayPool6: six[0] }),
    ...(gatewayPool === undefined ? {} : { gatewayPool }),
    ...(ingressPool === undefined ? {} : { ingressPool }),
  };
}

interface InitFlags extends AddressFlags {
  readonly defaultAddrPool?: readonly string[];
  readonly gatewayPool?: string;
  readonly ingressPool?: string;
  readonly forceNewCluster: boolean;
  readonly evenWithQuorum: boolean;
}

function addJoin(group: Command, context: Context): void {
  addAddressFlags(
    group
      .command('join')
      .description('make this machine part of a cluster')
      .argument('<manager...>', 'host:port of a manager')
      .requiredOption('--token <token>', 'what "swarmctl swarm join-token" printed on a manager'),
  ).action(async (remotes: string[], flags: AddressFlags & { token: string }) => {
    const info = await context
      .daemon()
      .local.join({ token: flags.token, remotes, ...addressesOf(flags) }, context.call);
    context.terminal.out(
      `This machine joined the cluster as a ${info.role} (node ${info.nodeId}).\n`,
    );
  });
}

interface AddressFlags {
  readonly advertiseAddr?: string;
  readonly listenAddr?: string;
  readonly dataPathAddr?: string;
}

/** Of this machine, for whoever makes it part of a cluster. */
function addAddressFlags(command: Command): Command {
  return command
    .option('--advertise-addr <address>', 'address other machines reach this one at')
    .option(
      '--data-path-addr <address>',
      'IPv4 or IPv6 address of this machine for the traffic between containers (default: the advertised one)',
    )
    .option(
      '--listen-addr <host:port>',
      'where to listen (default: as swarmd was started, 0.0.0.0:4242)',
    );
}

function addressesOf({ advertiseAddr, listenAddr, dataPathAddr }: AddressFlags): {
  advertiseAddress: string;
  listenAddress: string;
  dataPathAddress: string;
} {
  return {
    advertiseAddress: advertiseAddr ?? '',
    listenAddress: listenAddr ?? '',
    dataPathAddress: dataPathAddr ?? '',
  };
}

function addLeave(group: Command, context: Context): void {
  group
    .command('leave')
    .description('take this machine out of its cluster')
    .option('-f, --force', 'even if it is a manager, or no manager answers', false)
    .action(async (flags: { force: boolean }) => {
      await context.daemon().local.leave({ force: flags.force }, context.call);
      context.terminal.out('This machine left the cluster.\n');
    });
}

function addUpdate(group: Command, context: Context): void {
  addDryRunFlags(group.command('update'))
    .description('change settings of the cluster')
    .option('--heartbeat <duration>', 'between two signs of life of a node', parseDuration)
    .option('--node-down-after <duration>', 'silence after which a node is down', parseDuration)
    .option(
      '--restart-grace <duration>',
      'time for a daemon that restarts on purpose before its tasks are replaced',
      parseDuration,
    )
    .option('--flap-hold <duration>', 'no new tasks for a node lost again, doubling', parseDuration)
    .option('--flap-hold-max <duration>', 'longest such time', parseDuration)
    .option('--flap-decay <duration>', 'time after which a loss counts half', parseDuration)
    .option('--mass-failure-share <0..1>', 'share of nodes lost at once to act on', parseRatio)
    .option('--mass-failure-interval <duration>', 'beyond it: between two nodes', parseDuration)
    .option('--rebalance-budget <n>', 'tasks of a service that may move at once', parseCount)
    .option('--rebalance-interval <duration>', 'least time between its moves', parseDuration)
    .option('--overlay-key-period <duration>', 'life of the key that is sent by', parseDuration)
    .option(
      '--encrypt-mesh <true|false>',
      'encrypt what goes between nodes for published ports',
      oneOf('true', 'false'),
    )
    .option('--cert-expiry <duration>', 'life of node certificates', parseDuration)
    .option('--task-history-limit <count>', 'ended tasks kept for each slot', parseCount)
    .action(async (flags: UpdateFlags) => {
      const given = {
        ...definedOnly(changesOf(flags)),
        ...(flags.encryptMesh === undefined ? {} : { encryptMesh: flags.encryptMesh === 'true' }),
      };
      const rebalance = definedOnly({
        budget: flags.rebalanceBudget,
        intervalMs: flags.rebalanceInterval,
      });
      if (Object.keys({ ...given, ...rebalance }).length === 0) {
        throw new SwarmError(
          'invalid-argument',
          'nothing to change: see swarmctl swarm update --help',
        );
      }
      const { control } = await context.cluster();
      const { meta, spec } = await control.getCluster({}, context.call);
      const request = {
        version: meta.version,
        spec: { ...spec, ...given, rebalance: { ...spec.rebalance, ...rebalance } },
        rotateWorkerToken: false,
        rotateManagerToken: false,
      };
      if (flags.dryRun) {
        await dryRun(context, { kind: 'update-cluster', ...request }, flags.format);
        return;
      }
      await control.updateCluster(request, context.call);
      context.terminal.out('The settings of the cluster are changed.\n');
    });
}

function definedOnly(fields: Readonly<Record<string, number | undefined>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );
}

interface UpdateFlags extends DryRunFlags {
  readonly flapHold?: number;
  readonly flapHoldMax?: number;
  readonly flapDecay?: number;
  readonly massFailureShare?: number;
  readonly massFailureInterval?: number;
  readonly rebalanceBudget?: number;
  readonly rebalanceInterval?: number;
  readonly heartbeat?: number;
  readonly nodeDownAfter?: number;
  readonly restartGrace?: number;
  readonly overlayKeyPeriod?: number;
  readonly encryptMesh?: 'true' | 'false';
  readonly certExpiry?: number;
  readonly taskHistoryLimit?: number;
}

function changesOf(flags: UpdateFlags): Partial<Record<keyof ClusterSpec, number | undefined>> {
  return {
    heartbeatPeriodMs: flags.heartbeat,
    nodeDownAfterMs: flags.nodeDownAfter,
    nodeRestartGraceMs: flags.restartGrace,
    flapHoldMs: flags.flapHold,
    flapHoldMaxMs: flags.flapHoldMax,
    flapDecayMs: flags.flapDecay,
    massFailureShare: flags.massFailureShare,
    massFailureIntervalMs: flags.massFailureInterval,
    overlayKeyPeriodMs: flags.overlayKeyPeriod,
    nodeCertificateExpiryMs: flags.certExpiry,
    taskHistoryLimit: flags.taskHistoryLimit,
  };
}

interface TokenFlags extends DryRunFlags {
  readonly quiet: boolean;
  readonly rotate: boolean;
}

function addJoinToken(group: Command, context: Context): void {
  addDryRunFlags(group.command('join-token'))
    .description('how to join as a worker or a manager')
    .argument('<worker|manager>', 'role', oneOf('worker', 'manager'))
    .option('-q, --quiet', 'the token only', false)
    .option('--rotate', 'make a new token; the old one stops working', false)
    .action(async (role: 'worker' | 'manager', flags: TokenFlags) => {
      const { control } = await context.cluster();
      let cluster = await control.getCluster({}, context.call);
      const rotation = {
        version: cluster.meta.version,
        rotateWorkerToken: role === 'worker',
        rotateManagerToken: role === 'manager',
      };
      if (flags.rotate && flags.dryRun) {
        await dryRun(context, { kind: 'update-cluster', ...rotation }, flags.format);
        return;
      }
      if (flags.rotate) cluster = await control.updateCluster(rotation, context.call);
      const token = cluster.rootCa.joinTokens[role];
      if (flags.quiet) {
        context.terminal.out(`${token}\n`);
        return;
      }
      const info = await context.daemon().local.info({}, context.call);
      context.terminal.out(
        `To add a ${role} to this cluster, run there:\n\n    swarmctl swarm join --token ${token} ${ownAddress(info)}\n`,
      );
    });
}

/** host:port where this manager answers; the port is known by the managers' own list. */
function ownAddress({ address, managers }: LocalInfo): string {
  return (
    managers.find((manager) => manager.startsWith(`${address}:`)) ?? `${address}:${CLUSTER_PORT}`
  );
}

function describe(info: LocalInfo): string {
  const rows: [string, string][] = [
    ['Version', info.version],
    ['Hostname', info.hostname],
    ['State', info.error === '' ? info.state : `${info.state}: ${info.error}`],
    ['Node', info.nodeId],
    ['Cluster', info.clusterId],
    ['Role', info.role],
    ['Address', info.address],
    ['Managers', info.managers.join(' ')],
  ];
  return rows
    .filter(([, value]) => value !== '')
    .map(([key, value]) => `${`${key}:`.padEnd(10)} ${value}\n`)
    .join('');
}

/** @throws SwarmError `failed-precondition` that says what kind of machine this is instead. */
export function requireManager(info: LocalInfo): string {
  if (info.controlSocket !== '') return info.controlSocket;
  if (info.state === 'inactive') {
    throw new SwarmError(
      'failed-precondition',
      'this machine is in no cluster: make one with "swarmctl swarm init", or join one with "swarmctl swarm join"',
    );
  }
  if (info.role === '') {
    const why = info.error === '' ? '' : `: ${info.error}`;
    throw new SwarmError(
      'unavailable',
      `this machine is not in its cluster yet (${info.state}${why}): try again, or see swarmctl info`,
    );
  }
  throw new SwarmError(
    'failed-precondition',
    `this machine is a worker: run the command on a manager (${info.managers.join(', ') || 'none known'})`,
  );
}
