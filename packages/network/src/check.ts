/**
 * Looks whether the kernel has what it should have, and whether containers here reach those of other
 * nodes. Changes nothing.
 */
import { errorMessage, workThrough } from '@swarmd/base';
import {
  isEncrypted,
  tunnelAddress,
  type NetworkEndpoint,
  type NetworkFinding,
  type NetworkState,
  type NodeEncryption,
} from '@swarmd/model';

import { hostNetworks } from './apply/host-networks.ts';
import { AGENT_PORT, knock } from './apply/knock.ts';
import { encryptionFindings, xfrmErrors } from './check-encryption.ts';
import { overlapFindings } from './check-overlaps.ts';
import { observe } from './apply/observe.ts';
import { listInScratch, listRules } from './apply/reading.ts';
import {
  listingDifferences,
  listingStatements,
  objectDifferences,
  objectStatements,
} from './desired/differences.ts';
import type { KernelObjects } from './desired/kernel-object.ts';
import { taskNetns } from './desired/names.ts';
import { wayTo } from './desired/objects.ts';
import { loadProgram, tableOf, type NftProgram } from './desired/nft-program.ts';
import type { Scope } from './desired/scope.ts';
import type { StateIndex } from './desired/state-index.ts';
import { CHECKS_AT_ONCE, PROBES_MAX } from './limits.ts';
import type { LocalTask } from './local-task.ts';

export interface CheckInput {
  readonly index: StateIndex;
  readonly objects: KernelObjects;
  /** Of the host itself. */
  readonly firewall: readonly NftProgram[];
  readonly tasks: readonly LocalTask[];
  /** This node's part in encrypted networks. */
  readonly encryption: NodeEncryption;
  /** Only what belongs to it, and what should be there, too. */
  readonly scope: Scope | undefined;
  readonly signal: AbortSignal;
}

export async function checkHost(input: CheckInput): Promise<NetworkFinding[]> {
  const { index, objects, firewall, scope, signal } = input;
  const tasks = input.tasks.filter(
    ({ networks }) => scope === undefined || networks.some((id) => scope.hasNetwork(id)),
  );
  const nameOf = namesOf(index, tasks);
  const scratch = new Map<string, Promise<string>>();
  /** How the kernel lists a program: the only judge of whether two are the same. */
  const listed = (programs: readonly NftProgram[]): Promise<string> => {
    const text = programs.map(loadProgram).join('');
    const known = scratch.get(text) ?? listInScratch(text, signal);
    scratch.set(text, known);
    return known;
  };
  const isMeant = (statement: string): boolean => scope?.hasStatement(statement) ?? true;
  const rules = async (subject: string, programs: readonly NftProgram[], netns?: string) =>
    finding(subject, async () => {
      const wanted = await listed(programs);
      const found = await listTables(programs, netns, signal);
      const details = listingDifferences(found, wanted, isMeant);
      return {
        details,
        wanted: scope === undefined ? [] : listingStatements(wanted).filter(isMeant),
      };
    });
  const checks = [
    () => checkObjects(objects, scope),
    () => rules('rules of the host', firewall),
    ...tasks
      .filter(({ isProgrammed }) => isProgrammed)
      .map((task) => () => {
        const { taskId } = task.note;
        return rules(`rules of ${nameOf(taskId)}`, task.programsFor(index), taskNetns(taskId));
      }),
    ...probesOf({ index, tasks, scope }).map(({ from, to }) => () => {
      const subject = `${nameOf(from)} reaches ${nameOf(to.taskId)} (${to.address})`;
      return finding(subject, async () => {
        return { details: await probe({ from, to, index, signal }), wanted: [] };
      });
    }),
  ];
  const sealed = await encryptionFindings({ index, declared: input.encryption, scope });
  return [
    ...(scope === undefined ? apartFindings(index.state) : []),
    ...overlapFindings(inScope(index.state, scope), hostNetworks()),
    ...sealed,
    ...(await workThrough(checks, CHECKS_AT_ONCE, (check) => check())),
  ];
}

function checkObjects(objects: KernelObjects, scope: Scope | undefined): Promise<NetworkFinding> {
  const subject = `devices${scope === undefined ? ', entries and routes' : ' and entries'}`;
  return finding(subject, async () => {
    if (scope === undefined) {
      return { details: objectDifferences(await observe(), objects), wanted: [] };
    }
    const wanted = scope.objects(objects);
    const details = objectDifferences(scope.objects(await observe()), wanted);
    return { details, wanted: objectStatements(wanted) };
  });
}

/** Of a network that somebody asks about, only what the machine hides of that one. */
function inScope(
  state: NetworkState,
  scope: Scope | undefined,
): Parameters<typeof overlapFindings>[0] {
  if (scope === undefined) return state;
  return { networks: state.networks.filter(({ id }) => scope.hasNetwork(id)), peers: [] };
}

/** Nodes that nothing is sent to, as their VXLAN is of the other family. */
function apartFindings({ self, peers }: NetworkState): NetworkFinding[] {
  const own = tunnelAddress(self);
  const details = peers
    .filter((peer) => tunnelAddress(peer) !== '' && wayTo(peer, self) === '')
    .map((peer) => `node ${peer.nodeId} has ${tunnelAddress(peer)}, this one has ${own}`);
  if (details.length === 0) return [];
  const advice =
    'containers here and there do not reach each other: all nodes need data path addresses of one family ' +
    '(let those of the other leave, and join again with --data-path-addr)';
  return [{ subject: 'data paths of other nodes', details: [...details, advice], wanted: [] }];
}

/** A check that cannot be made is a finding, too. */
async function finding(
  subject: string,
  check: () => Promise<Omit<NetworkFinding, 'subject'>>,
): Promise<NetworkFinding> {
  try {
    return { subject, ...(await check()) };
  } catch (error) {
    return { subject, details: [`cannot look: ${errorMessage(error)}`], wanted: [] };
  }
}

/** Tasks without networks have no endpoints. */
function namesOf(index: StateIndex, tasks: readonly LocalTask[]): (taskId: string) => string {
  const names = new Map<string, string>(
    index.state.endpoints.map((one) => [one.taskId, `${one.serviceName}.${one.slot}`]),
  );
  for (const { note } of tasks) if (note.name !== undefined) names.set(note.taskId, note.name);
  return (taskId) => names.get(taskId) ?? `task ${taskId}`;
}

/** Of the families of the programs. A table that is not there adds nothing: all of it is missing. */
async function listTables(
  programs: readonly NftProgram[],
  netns: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const listings = programs.map(async (program) => {
    try {
      return await listRules(tableOf(program), { netns, signal });
    } catch (error) {
      if (!/No such file or directory/.test(errorMessage(error))) throw error;
      return '';
    }
  });
  return (await Promise.all(listings)).join('\n');
}

interface Probe {
  readonly from: LocalTask['note']['taskId'];
  readonly to: NetworkEndpoint;
}

/**
 * From every container to one serving task of each other node on each of its networks; to every one
 * of a service that is asked about.
 */
function probesOf({ index, tasks, scope }: Pick<CheckInput, 'index' | 'tasks' | 'scope'>): Probe[] {
  const probes: Probe[] = [];
  for (const { note } of tasks) {
    for (const { networkId } of note.networks) {
      const nodes = new Set<string>([index.state.self.nodeId]);
      for (const to of index.endpoints.get(networkId) ?? []) {
        if (!to.serving || nodes.has(to.nodeId) || to.taskId === note.taskId) continue;
        if (scope !== undefined && !scope.hasEndpoint(to)) continue;
        nodes.add(to.nodeId);
        probes.push({ from: note.taskId, to });
      }
    }
  }
  return probes.slice(0, PROBES_MAX);
}

/** @returns what is wrong, with the first hop at which it shows. */
async function probe({
  from,
  to,
  index,
  signal,
}: Probe & { index: StateIndex; signal: AbortSignal }): Promise<string[]> {
  const inside = ['nsenter', `--net=/run/netns/${taskNetns(from)}`];
  const answer = await knock(inside, { address: to.address, port: DISCARD_PORT }, signal);
  if (answer === undefined) return [];
  const peer = index.state.peers.find((one) => one.nodeId === to.nodeId);
  const address = peer?.address ?? '';
  if (address === '') return [`the address of node ${to.nodeId} is not known here`];
  const below = await knock([], { address, port: AGENT_PORT }, signal);
  if (below !== undefined) {
    return [
      `node to node: TCP ${AGENT_PORT} of ${address} does not answer (${below}): ` +
        'the network below, a firewall, or that node',
    ];
  }
  return [
    `container to container: no answer (${answer}), though node ${address} answers: ` +
      `${await tunnelOf(to, index)} from here to there or back (a firewall, an MTU), or what that node ` +
      `has programmed; run this there, too`,
  ];
}

/** What carries packets to the endpoint between the nodes. */
async function tunnelOf(
  { networkId }: NetworkEndpoint,
  { networks, state }: StateIndex,
): Promise<string> {
  const spec = networks.get(networkId)?.spec;
  if (spec === undefined || !isEncrypted(spec)) return `UDP ${state.vxlanPort}`;
  const errors = await xfrmErrors();
  const since = errors.length === 0 ? '' : ` (here since boot: ${errors.join(', ')})`;
  return `ESP${since}, IP protocol 50,`;
}

/** "discard": hardly anything listens there. */
const DISCARD_PORT = 9;
