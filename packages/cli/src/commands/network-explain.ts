/** swarmctl network explain: what should be programmed where, what is, and how far packets come. */
import { errorMessage, SwarmError } from '@swarmd/base';
import { resolve, type ClusterClient } from '@swarmd/client';
import {
  hasMeshPort,
  type Network,
  type NetworkId,
  type Node,
  type Service,
  type ServiceId,
  type Task,
  type NetworkFinding,
} from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { json, parseFormat, type Format } from '../output.ts';
import { networkKind, serviceKind } from './kinds.ts';

interface NodeReport {
  readonly node: string;
  readonly findings: readonly NetworkFinding[];
}

export function addNetworkExplain(group: Command, context: Context): void {
  group
    .command('explain')
    .description(
      'compare what every node has for a network or a service with what it should have, and try the ways',
    )
    .argument('<network|service>', 'name, id or id prefix')
    .option('--format <table|json>', 'output format', parseFormat, 'table')
    .action(async (reference: string, { format }: { format: Format }) =>
      explainNetwork(context, reference, format),
    );
}

/** @throws SwarmError when something is not as it should be, after all that was found has been printed. */
export async function explainNetwork(
  context: Context,
  reference: string,
  format: Format,
): Promise<void> {
  const cluster = await context.cluster();
  const subject = await subjectNamed(context, reference);
  const nodes = await nodesOf(cluster, subject, context);
  const reports = await Promise.all(
    nodes.map(async (node) => ({
      node: node.description?.hostname ?? node.id,
      findings: await ask(cluster, { node, subject }, context),
    })),
  );
  context.terminal.out(format === 'json' ? json(reports) : reports.map(text).join(''));
  const all = reports.flatMap(({ findings }) => findings);
  const bad = all.filter(({ details }) => details.length > 0).length;
  if (nodes.length === 0) context.terminal.err('no node has a task of it: nothing is programmed\n');
  if (bad === 0) return;
  throw new SwarmError(
    'internal',
    `${bad} of ${all.length} checks failed; doctor network --repair on a node puts right what can be`,
  );
}

/** Exactly one of the ids is not empty. */
interface Subject {
  readonly networkId: NetworkId | '';
  readonly serviceId: ServiceId | '';
  readonly networks: readonly string[];
  /** It has ports that every node answers. */
  readonly everywhere: boolean;
}

/** Networks first, as the command is theirs. */
async function subjectNamed(context: Context, reference: string): Promise<Subject> {
  try {
    const { id }: Network = await resolve(await networkKind(context), reference, context.call);
    return { networkId: id, serviceId: '', networks: [id], everywhere: false };
  } catch (error) {
    if (!(error instanceof SwarmError) || error.code !== 'not-found') throw error;
  }
  const both = { ...(await serviceKind(context)), noun: 'network or service' };
  const service: Service = await resolve(both, reference, context.call);
  return {
    networkId: '',
    serviceId: service.id,
    networks: service.spec.task.networks.map(({ target }) => target),
    everywhere: hasMeshPort(service.endpoint.ports),
  };
}

/** Where there should be something of it. */
async function nodesOf(
  { control }: ClusterClient,
  { serviceId, networks, everywhere }: Subject,
  { call }: Context,
): Promise<Node[]> {
  const [nodes, tasks] = await Promise.all([
    control.listNodes({ filter: {} }, call),
    control.listTasks({ filter: {} }, call),
  ]);
  const isConcerned = (task: Task): boolean =>
    task.desiredState === 'running' &&
    (task.serviceId === serviceId ||
      task.networks.some(({ networkId }) => networks.includes(networkId)));
  const users = new Set(tasks.filter(isConcerned).map((task) => task.nodeId));
  return nodes.filter((node) => everywhere || users.has(node.id));
}

/** A node that cannot be asked is a finding, too. */
async function ask(
  { engine }: ClusterClient,
  { node, subject }: { node: Node; subject: Subject },
  { call }: Context,
): Promise<readonly NetworkFinding[]> {
  const { networkId, serviceId } = subject;
  try {
    return await engine.explainNetwork({ nodeId: node.id, networkId, serviceId }, call);
  } catch (error) {
    const details = [`cannot be asked (${node.status.state}): ${errorMessage(error)}`];
    return [{ subject: 'the node', details, wanted: [] }];
  }
}

function text({ node, findings }: NodeReport): string {
  const lines = findings.flatMap(({ subject, details, wanted }) => [
    `  ${details.length === 0 ? 'ok  ' : 'BAD '}  ${subject}`,
    ...details.map((detail) => `        ! ${detail}`),
    ...wanted.map((one) => `          ${one}`),
  ]);
  return `${[node, ...lines].join('\n')}\n`;
}
