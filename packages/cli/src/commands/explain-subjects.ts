/** What can be explained, each by its name or id: how it is found, and what is said of it. */
import { explainNode, explainService, explainTask, resolve } from '@swarmd/client';
import type { Kind, Verdicts } from '@swarmd/client';
import { errorCode, SwarmError } from '@swarmd/base';
import { waitsForNode, type Config, type Node, type Secret, type Task } from '@swarmd/model';

import type { Context } from '../context.ts';
import { oneLine } from '../output.ts';
import { configKind, findNode, findService, networkKind, secretKind } from './kinds.ts';
import { findTask, taskName } from './find-task.ts';
import { explainNetwork } from './network-explain.ts';

/** Something that a name may have meant. */
export interface Found {
  readonly id: string;
  readonly name: string;
  readonly tell: () => Promise<void>;
}

export interface Subject {
  readonly noun: string;
  readonly description: string;
  readonly argument: string;
  /** @throws SwarmError `not-found`, or `invalid-argument` when several are meant. */
  readonly find: (context: Context, reference: string) => Promise<Found>;
}

export const SUBJECTS: readonly Subject[] = [
  {
    noun: 'service',
    description: 'what the update and each slot of a service wait for',
    argument: 'name, id or id prefix',
    find: aboutService,
  },
  {
    noun: 'task',
    description: 'which rule made a task what it is, and what it waits for',
    argument: 'id, id prefix, or SERVICE.SLOT for the newest of a slot',
    find: aboutTask,
  },
  {
    noun: 'node',
    description: 'whether a node takes tasks, and what leaves it',
    argument: 'hostname, id, id prefix or "self"',
    find: aboutNode,
  },
  {
    noun: 'network',
    description: 'what every node has of a network and should have, and whether the ways are open',
    argument: 'name, id or id prefix',
    find: aboutNetwork,
  },
  {
    noun: 'secret',
    description: 'which services a secret is for',
    argument: 'name, id or id prefix',
    find: async (context, reference) =>
      aboutFile(context, { kind: await secretKind(context), reference }),
  },
  {
    noun: 'config',
    description: 'which services a config is for',
    argument: 'name, id or id prefix',
    find: async (context, reference) =>
      aboutFile(context, { kind: await configKind(context), reference }),
  },
];

async function aboutTask(context: Context, reference: string): Promise<Found> {
  const task = await findTaskOrSlot(context, reference);
  const tell = async (): Promise<void> => {
    const { control } = await context.cluster();
    const [siblings, nodes] = await Promise.all([
      control.listTasks({ filter: { serviceIds: [task.serviceId] } }, context.call),
      control.listNodes({ filter: {} }, context.call),
    ]);
    const node = nodes.find(({ id }) => id === task.nodeId);
    const placement = await placementOf(context, task, nodes);
    print(context, explainTask(task, { now: context.clock.now(), node, siblings, placement }));
  };
  return { id: task.id, name: taskName(task), tell };
}

async function aboutService(context: Context, reference: string): Promise<Found> {
  const service = await findService(context, reference);
  const tell = async (): Promise<void> => {
    const { control } = await context.cluster();
    const [tasks, nodes, waits] = await Promise.all([
      control.listTasks({ filter: { serviceIds: [service.id] } }, context.call),
      control.listNodes({ filter: {} }, context.call),
      control.listServiceWaits({ serviceId: service.id }, context.call),
    ]);
    const placement = await placementOf(context, tasks.find(waitsForNode), nodes);
    const now = context.clock.now();
    print(context, explainService(service, tasks, { now, nodes, placement, waits }));
  };
  return { id: service.id, name: service.spec.name, tell };
}

async function aboutNode(context: Context, reference: string): Promise<Found> {
  const node = await findNode(context, reference);
  const tell = async (): Promise<void> => {
    const { control } = await context.cluster();
    const tasks = await control.listTasks({ filter: { nodeIds: [node.id] } }, context.call);
    print(context, explainNode(node, tasks, context.clock.now()));
  };
  const name = reference === 'self' ? reference : (node.description?.hostname ?? '');
  return { id: node.id, name, tell };
}

async function aboutNetwork(context: Context, reference: string): Promise<Found> {
  const { id, spec } = await resolve(await networkKind(context), reference, context.call);
  return { id, name: spec.name, tell: () => explainNetwork(context, id, 'table') };
}

async function aboutFile<T extends Secret | Config>(
  context: Context,
  { kind, reference }: { readonly kind: Kind<T>; readonly reference: string },
): Promise<Found> {
  const file = await resolve(kind, reference, context.call);
  const name = kind.nameOf(file);
  const tell = async (): Promise<void> => {
    const { control } = await context.cluster();
    const services = await control.listServices({ filter: {} }, context.call);
    const users = services.flatMap(({ spec }) => {
      const { secrets, configs } = spec.task.container;
      const uses = [...secrets, ...configs].filter((one) => one.id === file.id);
      return uses.map(({ target }) => `  service ${spec.name} has it as ${target}`);
    });
    const since = file.replacedAt === undefined ? '' : ', which a newer one has replaced';
    print(context, [
      `${kind.noun} ${name} (${file.id}): version ${file.number}${since}`,
      ...(users.length === 0 ? ['  no service uses it'] : users),
    ]);
  };
  return { id: file.id, name, tell };
}

function print(context: Context, lines: readonly string[]): void {
  context.terminal.out(`${lines.map(oneLine).join('\n')}\n`);
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
