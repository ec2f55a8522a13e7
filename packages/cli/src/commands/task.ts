/** swarmctl task ..., and the table of tasks that `service ps` and `node ps` share. */
import type { ContainerDetails, TaskFilter } from '@swarmd/api';
import { errorMessage } from '@swarmd/base';
import { STANDBY_SLOT, type Node, type NodeId, type Task } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import {
  ago,
  capitalize,
  list,
  shortId,
  type Column,
  type Format,
  formatOf,
  listing,
  type ListFlags,
} from '../output.ts';
import { inspected, PRETTY_HINT, type InspectFlags } from '../outline.ts';
import { portList } from '../port-flags.ts';
import { withoutDigest } from '../resolve-image.ts';
import { addCopyCommand } from './copy.ts';
import { addFigureCommands } from './figures.ts';
import { findTask, taskName } from './find-task.ts';
import { addTaskLogs } from './logs.ts';
import { addSessionCommands } from './session.ts';

const ERROR_SHORT_CHARS = 60;

function hostnames(nodes: readonly Node[]): (id: NodeId | undefined) => string {
  const names = new Map(nodes.map((node) => [node.id, node.description?.hostname ?? node.id]));
  return (id) => (id === undefined ? '' : (names.get(id) ?? id));
}

/** Newest first within a slot; earlier tasks of a slot are indented under it, as Docker shows them. */
function bySlot(a: Task, b: Task): number {
  return (
    a.serviceName.localeCompare(b.serviceName) ||
    a.slot - b.slot ||
    b.meta.createdAt - a.meta.createdAt ||
    (a.id < b.id ? 1 : -1)
  );
}

/** Ports of its node that it answers on now. */
function ports(task: Task): string {
  if (task.status.state !== 'running') return '';
  return portList(task.ports.filter((port) => port.publishMode === 'host'));
}

/** @returns those it has printed. */
export async function printTasks(
  context: Context,
  options: { filter: TaskFilter; format: Format; trunc: boolean },
): Promise<readonly Task[]> {
  const { control } = await context.cluster();
  const [found, nodes] = await Promise.all([
    control.listTasks({ filter: options.filter }, context.call),
    control.listNodes({ filter: {} }, context.call),
  ]);
  const tasks = found.toSorted(bySlot);
  const nodeName = hostnames(nodes);
  const first = new Set<Task>();
  const seen = new Set<string>();
  for (const task of tasks) {
    const slot = `${task.serviceId}.${task.slot}`;
    // Standbys share a number, and stand side by side.
    if (!seen.has(slot) || task.slot === STANDBY_SLOT) first.add(task);
    seen.add(slot);
  }
  const now = context.clock.now();
  const why = (task: Task): string =>
    task.status.error || (task.status.state === 'pending' ? task.status.message : '');
  const shorten = (text: string, chars: number): string =>
    options.trunc && text.length > chars ? `${text.slice(0, chars - 1)}…` : text;
  const columns: Column<Task>[] = [
    { title: 'ID', value: (task) => (options.trunc ? shortId(task.id) : task.id) },
    { title: 'NAME', value: (task) => `${first.has(task) ? '' : ' \\_ '}${taskName(task)}` },
    {
      title: 'IMAGE',
      value: ({ spec: { container } }) =>
        options.trunc ? withoutDigest(container.image) : container.image,
    },
    { title: 'NODE', value: (task) => nodeName(task.nodeId) },
    { title: 'DESIRED STATE', value: (task) => capitalize(task.desiredState) },
    {
      title: 'CURRENT STATE',
      value: (task) => `${capitalize(task.status.state)} ${ago(task.status.timestamp, now)}`,
    },
    { title: 'ERROR', value: (task) => shorten(why(task), ERROR_SHORT_CHARS) },
    { title: 'PORTS', value: ports },
  ];
  context.terminal.out(list(options.format, columns, tasks));
  return tasks;
}

export function addTaskCommands(program: Command, context: Context): void {
  const group = program.command('task').description('single runs of a service');

  listing(group.command('ls').description('list all tasks'))
    .option('--no-trunc', 'do not shorten anything')
    .action(async (flags: ListFlags & { trunc: boolean }) => {
      await printTasks(context, { filter: {}, ...flags, format: formatOf(flags) });
    });

  group
    .command('inspect')
    .description('show everything about tasks')
    .argument('<task...>', 'id or id prefix')
    .option('--pretty', PRETTY_HINT, false)
    .action(async (references: string[], flags: InspectFlags) => {
      const tasks = await Promise.all(references.map((reference) => findTask(context, reference)));
      const described = await Promise.all(tasks.map((task) => withContainer(context, task)));
      context.terminal.out(inspected(described, flags, context.clock.now()));
    });

  addTaskLogs(group, context);
  addSessionCommands(group, context);
  addFigureCommands(group, context);
  addCopyCommand(group, context);
}

/** With what its node says of its container, where that can be asked. */
async function withContainer(
  context: Context,
  task: Task,
): Promise<Task & { container?: ContainerDetails }> {
  if (task.status.state !== 'running' && task.status.state !== 'starting') return task;
  const { engine } = await context.cluster();
  try {
    const container = await engine.inspectContainer({ taskId: task.id }, context.call);
    return { ...task, container };
  } catch (error) {
    if (context.call.signal.aborted) throw error;
    context.terminal.err(`swarmctl: without details of its container: ${errorMessage(error)}\n`);
    return task;
  }
}
