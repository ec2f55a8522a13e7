/** The commands of interaction scripts. */
import { SwarmError } from '@swarmd/base';
import type { ConfChange, RaftConfig, RaftId, SnapshotMeta } from '../../core/types.ts';
import { parseConfChangeSteps } from './conf-change-words.ts';
import type { ScriptArgument, ScriptCase } from './datadriven.ts';
import { describeEntry, describeProgress, describeRole, isKnownType } from './describe.ts';
import { proposalError, type Delivery, type ScriptCluster } from './script-cluster.ts';
import { ScriptNode } from './script-node.ts';

type Command = (cluster: ScriptCluster, test: ScriptCase) => void;

/** Runs one command; undefined if it is not one of these. */
export function runInteraction(cluster: ScriptCluster, test: ScriptCase): string[] | undefined {
  const command = COMMANDS[test.command];
  if (!command) return undefined;
  try {
    command(cluster, test);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (cluster.output.quiet) return [...cluster.output.take(), message];
    cluster.output.print(message);
  }
  const lines = cluster.output.take();
  return lines.length === 0 ? ['ok'] : lines;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  _breakpoint: () => undefined,
  'add-nodes': addNodes,
  campaign: (cluster, test) => void firstNode(cluster, test).core.step({ kind: 'campaign' }),
  compact: (cluster, test) => compact(cluster, test),
  'deliver-msgs': deliver,
  'forget-leader': (cluster, test) =>
    void firstNode(cluster, test).core.step({ kind: 'forgetLeader' }),
  'log-level': (cluster, test) => cluster.output.setLevel(test.args[0]?.key ?? ''),
  'process-append-thread': (cluster, test) =>
    each(cluster, test, {
      title: 'processing append thread',
      act: (node) => cluster.processAppend(node),
    }),
  'process-apply-thread': (cluster, test) =>
    each(cluster, test, {
      title: 'processing apply thread',
      act: (node) => cluster.processApply(node),
    }),
  'process-ready': (cluster, test) =>
    each(cluster, test, { title: 'handling Ready', act: (node) => cluster.processReady(node) }),
  propose,
  'propose-conf-change': proposeConfChange,
  'raft-log': (cluster, test) => printLog(cluster, firstNode(cluster, test)),
  'raft-state': printState,
  // Not in etcd's language: asks node N to read with an id of the caller's choice.
  'read-index': (cluster, test) => {
    const id = number(test.args[1]?.key);
    firstNode(cluster, test).core.step({ kind: 'readIndex', id });
  },
  'report-unreachable': reportUnreachable,
  'send-snapshot': sendSnapshot,
  'set-randomized-election-timeout': (cluster, test) =>
    firstNode(cluster, test).core.setElectionTimeout(Number(option(test, 'timeout'))),
  stabilize,
  status: (cluster, test) => {
    const { progress } = firstNode(cluster, test).core.status();
    for (const peer of progress) cluster.output.print(describeProgress(peer));
  },
  'tick-election': (cluster, test) => tick(firstNode(cluster, test), 'electionTicks'),
  'tick-heartbeat': (cluster, test) => tick(firstNode(cluster, test), 'heartbeatTicks'),
  'transfer-leadership': (cluster, test) => {
    const from = cluster.node(Number(option(test, 'from')));
    const to = cluster.node(Number(option(test, 'to')));
    from.core.step({ kind: 'transfer', to: to.config.id });
  },
};

/** etcd's defaults, and none of our extensions. */
function etcdConfig(id: RaftId): RaftConfig {
  return {
    id,
    electionTicks: 3,
    heartbeatTicks: 1,
    applied: 0,
    maxMessageBytes: Infinity,
    maxCommittedBytes: Infinity,
    maxUncommittedBytes: Infinity,
    maxInflightMessages: 2 ** 31 - 1,
    maxInflightBytes: Infinity,
    snapshotTicks: Infinity,
    checkQuorum: false,
    preVote: false,
    readMode: 'safe',
    forwardProposals: true,
    validateConfChanges: true,
    stepDownOnRemoval: false,
    commitInVotes: false,
    holdUntilTermIsDurable: false,
    applyUnstable: true,
    manualLoopback: false,
  };
}

function addNodes(cluster: ScriptCluster, test: ScriptCase): void {
  const index = Number(option(test, 'index') ?? 0);
  const snapshot = startingSnapshot(test, index);
  if (snapshot && index <= 1) fail('index must be specified as > 1 due to bootstrap');
  const async = flag(test, 'async-storage-writes');
  for (let count = number(test.args[0]?.key); count > 0; count--) {
    const config: RaftConfig = {
      ...etcdConfig(cluster.nodes.length + 1),
      applied: index,
      maxInflightMessages: Number(option(test, 'inflight') ?? 2 ** 31 - 1),
      maxCommittedBytes: Number(option(test, 'max-committed-size-per-ready') ?? 0) || Infinity,
      checkQuorum: flag(test, 'checkquorum'),
      preVote: flag(test, 'prevote'),
      readMode: readMode(option(test, 'read-only')),
      validateConfChanges: !flag(test, 'disable-conf-change-validation'),
      stepDownOnRemoval: flag(test, 'step-down-on-removal'),
      applyUnstable: !async,
      manualLoopback: async,
    };
    cluster.nodes.push(new ScriptNode({ config, async, ...(snapshot && { snapshot }) }));
  }
}

/** Undefined: the nodes start with nothing. */
function startingSnapshot(test: ScriptCase, index: number): SnapshotMeta | undefined {
  const voters = ids(test, 'voters');
  const learners = ids(test, 'learners');
  const content = option(test, 'content');
  const empty = voters.length === 0 && learners.length === 0;
  if (empty && index === 0 && content === undefined) return undefined;
  const confState = { voters, learners, votersOutgoing: [], learnersNext: [], autoLeave: false };
  return { term: 1, index, confState };
}

function readMode(name: string | undefined): RaftConfig['readMode'] {
  if (name === undefined || name === 'safe') return 'safe';
  return name === 'lease-based' ? 'lease' : fail(`invalid read-only option "${name}"`);
}

function compact(cluster: ScriptCluster, test: ScriptCase): void {
  const node = firstNode(cluster, test);
  const index = number(test.args[1]?.key);
  if (index < node.log.first()) fail('requested index is unavailable due to compaction');
  node.log.compact(index);
  printLog(cluster, node);
}

function deliver(cluster: ScriptCluster, test: ScriptCase): void {
  const deliveries: Delivery[] = [];
  const type = option(test, 'type');
  if (type !== undefined && !isKnownType(type)) fail(`unknown message type ${type}`);
  for (const { key, values } of test.args) {
    if (values.length === 0) deliveries.push({ to: number(key), drop: false });
    if (key !== 'drop') continue;
    for (const value of values) {
      const to = number(value);
      const both = deliveries.some((delivery) => delivery.to === to);
      if (both) fail(`can't both deliver and drop msgs to ${to}`);
      deliveries.push({ to, drop: true });
    }
  }
  if (cluster.deliver(deliveries, type) === 0) cluster.output.print('no messages');
}

function each(
  cluster: ScriptCluster,
  test: ScriptCase,
  work: { title: string; act: (node: ScriptNode) => void },
): void {
  const nodes = listedNodes(cluster, test);
  for (const node of nodes) {
    if (nodes.length === 1) work.act(node);
    else cluster.output.nested(`> ${node.config.id} ${work.title}`, () => work.act(node));
  }
}

function propose(cluster: ScriptCluster, test: ScriptCase): void {
  const data = new TextEncoder().encode(test.args[1]?.key ?? fail('propose needs a node and data'));
  const error = proposalError(firstNode(cluster, test).core.step({ kind: 'propose', id: 0, data }));
  if (error) fail(error);
}

function proposeConfChange(cluster: ScriptCluster, test: ScriptCase): void {
  const v1 = flag(test, 'v1');
  const transition = transitionOf(option(test, 'transition') ?? 'auto');
  const steps = parseConfChangeSteps(test.input);
  if (v1 && (steps.length > 1 || transition !== 'auto')) {
    fail('v1 conf change can only have one operation and no transition');
  }
  const change: ConfChange = { transition, steps, context: new Uint8Array() };
  const { core } = firstNode(cluster, test);
  const error = proposalError(core.step({ kind: 'proposeConfChange', id: 0, change, v1 }));
  if (error) fail(error);
}

function transitionOf(name: string): ConfChange['transition'] {
  if (name === 'auto' || name === 'implicit' || name === 'explicit') return name;
  return fail(`unknown transition ${name}`);
}

function printLog(cluster: ScriptCluster, { log }: ScriptNode): void {
  const first = log.first();
  const last = log.last();
  if (last < first) {
    cluster.output.print(`log is empty: first index=${first}, last index=${last}`);
    return;
  }
  for (const entry of log.entries(first, last + 1, Infinity)) {
    cluster.output.print(describeEntry(entry));
  }
}

function printState(cluster: ScriptCluster): void {
  for (const { core } of cluster.nodes) {
    const { id, role, conf, term, leader } = core.status();
    const votes = conf.voters.includes(id) || conf.votersOutgoing.includes(id);
    const voter = votes ? '(Voter)' : '(Non-Voter)';
    cluster.output.print(`${id}: ${describeRole(role)} ${voter} Term:${term} Lead:${leader}`);
  }
}

function reportUnreachable(cluster: ScriptCluster, test: ScriptCase): void {
  const [reporter, peer, ...more] = listedNodes(cluster, test);
  if (!reporter || !peer || more.length > 0) {
    fail('must specify exactly two node indexes: node on which to report, and reported node');
  }
  reporter.core.step({ kind: 'unreachable', peer: peer.config.id });
}

function sendSnapshot(cluster: ScriptCluster, test: ScriptCase): void {
  const [from, to] = listedNodes(cluster, test);
  if (!from || !to) fail('send-snapshot needs two nodes');
  cluster.sendSnapshot(from, to.config.id);
}

function stabilize(cluster: ScriptCluster, test: ScriptCase): void {
  const { output } = cluster;
  const before = output.level;
  const level = option(test, 'log-level');
  if (level !== undefined) output.setLevel(level);
  try {
    const nodes = listedNodes(cluster, test);
    cluster.stabilize(nodes.length > 0 ? nodes : cluster.nodes);
  } finally {
    output.setLevel(before);
  }
}

function tick(node: ScriptNode, kind: 'electionTicks' | 'heartbeatTicks'): void {
  for (let count = node.config[kind]; count > 0; count--) node.core.step({ kind: 'tick' });
}

function firstNode(cluster: ScriptCluster, test: ScriptCase): ScriptNode {
  return cluster.node(number(test.args[0]?.key));
}

/** The nodes named by bare arguments. */
function listedNodes(cluster: ScriptCluster, test: ScriptCase): ScriptNode[] {
  return test.args
    .filter((arg) => arg.values.length === 0)
    .map((arg) => cluster.node(number(arg.key)));
}

function argument(test: ScriptCase, key: string): ScriptArgument | undefined {
  return test.args.find((arg) => arg.key === key);
}

function option(test: ScriptCase, key: string): string | undefined {
  return argument(test, key)?.values[0];
}

function ids(test: ScriptCase, key: string): RaftId[] {
  return (argument(test, key)?.values ?? []).map(number);
}

function flag(test: ScriptCase, key: string): boolean {
  const value = option(test, key) ?? 'false';
  return ['1', 't', 'true'].includes(value.toLowerCase());
}

function number(text: string | undefined): number {
  const value = Number(text);
  return Number.isSafeInteger(value) && value >= 0 ? value : fail(`"${text}" is not a number`);
}

function fail(message: string): never {
  throw new SwarmError('invalid-argument', message);
}
