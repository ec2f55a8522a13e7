/** swarmctl node ... */
import { errorCode, SwarmError } from '@swarmd/base';
import type { Node, NodeAvailability, NodeRole, NodeSpec } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { addDryRunFlags, dryRun, type DryRunFlags } from '../dry-run.ts';
import { collect, oneOf, parseLabel, parseText } from '../flags.ts';
import {
  capitalize,
  list,
  type Column,
  type Format,
  formatOf,
  listing,
  type ListFlags,
} from '../output.ts';
import { inspected, PRETTY_HINT, type InspectFlags } from '../outline.ts';
import { forEach } from '../several.ts';
import { findNode } from './kinds.ts';
import { printTasks } from './task.ts';

/** Each attempt meets another writer: more of them than this is no coincidence. */
const UPDATE_ATTEMPTS_MAX = 5;

async function update(
  context: Context,
  target: { reference: string; flags: DryRunFlags },
  change: (spec: NodeSpec) => NodeSpec,
): Promise<void> {
  const { reference, flags } = target;
  const { control } = await context.cluster();
  for (let attempt = 1; ; attempt += 1) {
    const node = await findNode(context, reference);
    const { role } = node.spec;
    try {
      const request = { id: node.id, version: node.meta.version, spec: change(node.spec) };
      if (flags.dryRun) {
        await dryRun(context, { kind: 'update-node', ...request }, flags.format);
        return;
      }
      const updated = await control.updateNode(request, context.call);
      context.terminal.out(`${nameOf(node)}\n`);
      if (updated.spec.role !== role) context.terminal.err(`${roleNews(updated)}\n`);
      return;
    } catch (error) {
      // The managers write to nodes, too; what is asked for here fits any newer state as well.
      if (errorCode(error) !== 'out-of-date' || attempt === UPDATE_ATTEMPTS_MAX) throw error;
    }
  }
}

function nameOf(node: Node): string {
  return node.description?.hostname ?? node.id;
}

/** What a new role means from now on. */
function roleNews(node: Node): string {
  const name = nameOf(node);
  if (node.spec.role === 'manager') {
    return node.status.state === 'ready'
      ? `${name} becomes a manager now; see when it has caught up with: swarmctl node ls`
      : `${name} becomes a manager once it is back (it is ${node.status.state})`;
  }
  return node.manager === undefined
    ? `${name} is a worker from now on`
    : `${name} becomes a worker as soon as a quorum stays without it; see: swarmctl node ls`;
}

export function addNodeCommands(program: Command, context: Context): void {
  const group = program.command('node').description('machines of the cluster');

  listing(group.command('ls').description('list nodes')).action(async (flags: ListFlags) =>
    listNodes(context, formatOf(flags)),
  );

  group
    .command('inspect')
    .description('show everything about nodes')
    .argument('<node...>', 'name, id, id prefix, or "self"')
    .option('--pretty', PRETTY_HINT, false)
    .action(async (references: string[], flags: InspectFlags) => {
      const nodes = await Promise.all(references.map((reference) => findNode(context, reference)));
      context.terminal.out(inspected(nodes, flags, context.clock.now()));
    });

  listing(
    group
      .command('ps')
      .description('list the tasks of nodes')
      .argument('[node...]', 'name, id, id prefix, or "self"', ['self']),
  )
    .option('--no-trunc', 'do not shorten anything')
    .action(async (references: string[], flags: ListFlags & { trunc: boolean }) => {
      const nodes = await Promise.all(references.map((reference) => findNode(context, reference)));
      await printTasks(context, {
        filter: { nodeIds: nodes.map((node) => node.id) },
        ...flags,
        format: formatOf(flags),
      });
    });

  addNodeUpdate(group, context);
  addShorthands(group, context);
  addNodeRemoval(group, context);
}

function addNodeUpdate(group: Command, context: Context): void {
  addDryRunFlags(group.command('update'))
    .description('change role, availability or labels of a node')
    .argument('<node>', 'name, id or id prefix')
    .option(
      '--availability <active|pause|drain>',
      'may it run tasks',
      oneOf('active', 'pause', 'drain'),
    )
    .option('--role <worker|manager>', 'what it shall be', oneOf('worker', 'manager'))
    .option('--label-add <key=value>', 'add or change a label', collect(parseLabel))
    .option('--label-rm <key>', 'remove a label', collect(parseText))
    .action(
      async (
        reference: string,
        flags: DryRunFlags & {
          availability?: NodeAvailability;
          role?: NodeRole;
          labelAdd?: [string, string][];
          labelRm?: string[];
        },
      ) => {
        if (
          flags.availability === undefined &&
          flags.role === undefined &&
          flags.labelAdd === undefined &&
          flags.labelRm === undefined
        ) {
          throw new SwarmError(
            'invalid-argument',
            'nothing to change: give --role, --availability, --label-add or --label-rm',
          );
        }
        await update(context, { reference, flags }, (spec) => ({
          ...spec,
          role: flags.role ?? spec.role,
          availability: flags.availability ?? spec.availability,
          labels: {
            ...Object.fromEntries(
              Object.entries(spec.labels).filter(([key]) => !(flags.labelRm ?? []).includes(key)),
            ),
            ...Object.fromEntries(flags.labelAdd ?? []),
          },
        }));
      },
    );
}

/** What `node update` can do as well, for several nodes at a time. */
const SHORTHANDS: readonly (readonly [name: string, change: Partial<NodeSpec>, what: string])[] = [
  ['activate', { availability: 'active' }, 'let a node take tasks again'],
  ['pause', { availability: 'pause' }, 'keep the tasks of a node, give it no new ones'],
  ['drain', { availability: 'drain' }, 'move all tasks of a node elsewhere'],
  ['promote', { role: 'manager' }, 'make workers managers, while their tasks go on'],
  ['demote', { role: 'worker' }, 'make managers workers, if a quorum stays without them'],
];

function addShorthands(group: Command, context: Context): void {
  for (const [name, change, what] of SHORTHANDS) {
    addDryRunFlags(group.command(name))
      .description(what)
      .argument('<node...>', 'name, id or id prefix')
      .action(async (references: string[], flags: DryRunFlags) => {
        await forEach(references, (reference) =>
          update(context, { reference, flags }, (spec) => ({ ...spec, ...change })),
        );
      });
  }
}

function addNodeRemoval(group: Command, context: Context): void {
  addDryRunFlags(group.command('rm'))
    .description('forget nodes that left or died')
    .argument('<node...>', 'name, id or id prefix')
    .option('-f, --force', 'even if the node is up', false)
    .action(async (references: string[], flags: DryRunFlags & { force: boolean }) => {
      const { control } = await context.cluster();
      await forEach(references, async (reference) => {
        const node = await findNode(context, reference);
        const request = { id: node.id, force: flags.force };
        if (flags.dryRun) {
          await dryRun(context, { kind: 'remove-node', ...request }, flags.format);
          return;
        }
        await control.removeNode(request, context.call);
        context.terminal.out(`${reference}\n`);
      });
    });
}

function status({ status: { state, awayUntil, heldUntil } }: Node): string {
  if (awayUntil !== undefined) return 'Restarting';
  return heldUntil === undefined ? capitalize(state) : 'Ready, held back';
}

async function listNodes(context: Context, format: Format): Promise<void> {
  const { control, membership } = await context.cluster();
  const [nodes, raft, info] = await Promise.all([
    control.listNodes({ filter: {} }, context.call),
    membership.status({}, context.call),
    context.daemon().local.info({}, context.call),
  ]);
  const managerStatus = (node: Node): string => {
    if (node.manager === undefined) return '';
    const member = raft.members.find((candidate) => candidate.raftId === node.manager?.raftId);
    if (member === undefined) return 'Joining';
    if (raft.leader === member.raftId) return 'Leader';
    return node.status.state === 'down'
      ? 'Unreachable'
      : member.role === 'learner'
        ? 'Catching up'
        : 'Reachable';
  };
  const columns: Column<Node>[] = [
    { title: 'ID', value: (node) => `${node.id}${node.id === info.nodeId ? ' *' : ''}` },
    { title: 'HOSTNAME', value: (node) => node.description?.hostname ?? '' },
    { title: 'STATUS', value: status },
    { title: 'AVAILABILITY', value: (node) => capitalize(node.spec.availability) },
    { title: 'MANAGER STATUS', value: managerStatus },
    { title: 'ADDRESS', value: (node) => node.status.address },
    { title: 'VERSION', value: (node) => node.description?.engineVersion ?? '' },
    { title: 'MESSAGE', value: (node) => node.status.message },
  ];
  const sorted = nodes.toSorted((a, b) =>
    (a.description?.hostname ?? a.id).localeCompare(b.description?.hostname ?? b.id),
  );
  context.terminal.out(list(format, columns, sorted));
}
