/** swarmctl explain ...: why things are as they are. */
import { explainNode, explainService, explainTask, type Verdicts } from '@swarmd/client';
import { errorCode, SwarmError } from '@swarmd/base';
import { waitsForNode, type Node, type Task } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { oneLine } from '../output.ts';
import { findNode, findService } from './kinds.ts';
import { findTask } from './find-task.ts';

export function addExplainCommands(program: Command, context: Context): void {
  const group = program
    .command('explain')
    .description('why things are as they are, and what they wait for');
  const print = (lines: readonly string[]): void =>
    context.terminal.out(`${lines.map(oneLine).join('\n')}\n`);

  group
    .command('task')
    .description('which rule made a task what it is, and what it waits for')
    .argument('<task>', 'id, id prefix, or SERVICE.SLOT for the newest of a slot')
    .action(async (reference: string) => {
      const { control } = await context.cluster();
      const task = await findTaskOrSlot(context, reference);
      const [siblings, nodes] = await Promise.all([
        control.listTasks({ filter: { serviceIds: [task.serviceId] } }, context.call),
        control.listNodes({ filter: {} }, context.call),
      ]);
      const node = nodes.find(({ id }) => id === task.nodeId);
      const placement = await placementOf(context, task, nodes);
      print(explainTask(task, { now: context.clock.now(), node, siblings, placement }));
    });

  group
    .command('service')
    .description('what the update and each slot of a service wait for')
    .argument('<service>', 'name, id or id prefix')
    .action(async (reference: string) => {
      const { control } = await context.cluster();
      const service = await findService(context, reference);
      const [tasks, nodes] = await Promise.all([
        control.listTasks({ filter: { serviceIds: [service.id] } }, context.call),
        control.listNodes({ filter: {} }, context.call),
      ]);
      const placement = await placementOf(context, tasks.find(waitsForNode), nodes);
      print(explainService(service, tasks, { now: context.clock.now(), nodes, placement }));
    });

  group
    .command('node')
    .description('whether a node takes tasks, and what leaves it')
    .argument('<node>', 'hostname, id, id prefix or "self"')
    .action(async (reference: string) => {
      const { control } = await context.cluster();
      const node = await findNode(context, reference);
      const tasks = await control.listTasks({ filter: { nodeIds: [node.id] } }, context.call);
      print(explainNode(node, tasks, context.clock.now()));
    });
}

/** Undefined for a task that waits for no node, also when it has got one or is gone meanwhile. */
async function placementOf(
  context: Context,
  task: Task | undefined,
  nodes: readonly Node[],
): Promise<Verdicts | undefined> {
  if (task === undefined || !waitsForNode(task)) return undefined;
  const { control } = await context.cluster();
  try {
    const verdicts = await control.listNodeVerdicts({ taskId: task.id }, context.call);
    return { verdicts, nodes };
  } catch (error) {
    if (errorCode(error) === 'not-found') return undefined;
    throw error;
  }
}

/** @throws SwarmError `not-found` */
async function findTaskOrSlot(context: Context, reference: string): Promise<Task> {
  const [, service, slot] = /^(.+)\.(\d+)$/.exec(reference) ?? [];
  if (service === undefined) return await findTask(context, reference);
  const { control } = await context.cluster();
  const { id } = await findService(context, service);
  const tasks = await control.listTasks({ filter: { serviceIds: [id] } }, context.call);
  const newest = tasks
    .filter((task) => task.slot === Number(slot))
    .toSorted((a, b) => a.meta.createdAt - b.meta.createdAt)
    .at(-1);
  if (newest !== undefined) return newest;
  throw new SwarmError(
    'not-found',
    `service ${service} has no slot ${slot} (see what there is with: swarmctl service ps ${service})`,
  );
}
