/** swarmctl service logs and task logs. */
import { errorMessage, SwarmError } from '@swarmd/base';
import { steadyLogs } from '@swarmd/client';
import type { LogSelector, TaskLogChunk } from '@swarmd/api';
import { rank, type Service } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { parseCount, parseMoment, type Moment } from '../flags.ts';
import { oneLine } from '../output.ts';
import { findTask, taskName } from './find-task.ts';
import { findService } from './kinds.ts';
import { LogNames } from './log-names.ts';
import { LogPrinter } from './log-printer.ts';

export interface LogFlags {
  follow: boolean;
  tail?: number | 'all';
  since?: Moment;
  until?: Moment;
  timestamps: boolean;
  details: boolean;
  raw: boolean;
  /** --no-resolve, --no-trunc, --no-task-ids. */
  resolve: boolean;
  trunc: boolean;
  taskIds: boolean;
}

export function addServiceLogs(group: Command, context: Context): void {
  withFlags(group.command('logs'))
    .description('what the tasks of a service print, or one task')
    .argument('<service>', 'service or task: name, id or id prefix')
    .action(async (reference: string, flags: LogFlags) => {
      const service = await serviceIfAny(context, reference);
      if (service === undefined) await printTasks(context, [reference], flags);
      else {
        const selector = { serviceId: service.id, taskIds: [] };
        await printLogs(context, { selector, services: [service] }, flags);
      }
    });
}

export function addTaskLogs(group: Command, context: Context): void {
  withFlags(group.command('logs'))
    .description('what tasks print')
    .argument('<task...>', 'service.slot, id or id prefix')
    .action(async (references: string[], flags: LogFlags) =>
      printTasks(context, references, flags),
    );
}

function withFlags(command: Command): Command {
  return command
    .option('-f, --follow', 'keep printing what comes', false)
    .option('-n, --tail <lines>', 'so many lines from the end of each task, or "all"', parseTail)
    .option('--since <when>', 'only from then on: a time, or how long ago (10m)', parseMoment)
    .option('--until <when>', 'only up to then: a time, or how long ago (10m)', parseMoment)
    .option('-t, --timestamps', 'show when a line was printed', false)
    .option('--details', 'show tags, labels and variables that the log driver adds', false)
    .option('--no-resolve', 'show ids instead of names')
    .option('--no-trunc', 'show ids whole')
    .option('--no-task-ids', 'leave the ids of tasks away')
    .option('--raw', 'lines only, no task names', false);
}

function parseTail(text: string): number | 'all' {
  return text === 'all' ? text : parseCount(text);
}

/** As `docker service logs`, the argument may be a task. */
async function serviceIfAny(context: Context, reference: string): Promise<Service | undefined> {
  try {
    return await findService(context, reference);
  } catch (error) {
    if (!(error instanceof SwarmError) || error.code !== 'not-found') throw error;
    const isTask = await findTask(context, reference).then(
      () => true,
      () => false,
    );
    if (isTask) return undefined;
    throw error;
  }
}

async function printTasks(
  context: Context,
  references: readonly string[],
  flags: LogFlags,
): Promise<void> {
  const tasks = await Promise.all(references.map((reference) => findTask(context, reference)));
  const selector = { taskIds: tasks.map((task) => task.id) };
  await printLogs(context, { selector, services: [] }, flags);
}

async function printLogs(
  context: Context,
  { selector, services }: { selector: LogSelector; services: readonly Service[] },
  flags: LogFlags,
): Promise<void> {
  const { logs } = await context.cluster();
  const { clock, random, terminal } = context;
  const names = await LogNames.load(context, { flags, services });
  const printer = new LogPrinter(flags);
  const options = {
    follow: flags.follow,
    tail: flags.tail === 'all' ? undefined : flags.tail,
    sinceMs: flags.since?.(clock.now()),
    untilMs: flags.until?.(clock.now()),
    details: flags.details,
  };
  await tellUnstarted(context, selector);
  const onBreak = (error: unknown): void =>
    terminal.err(`swarmctl: ${errorMessage(error)}; going on when a manager answers\n`);
  const call = { signal: context.call.signal }; // following may take for ever
  const chunks = steadyLogs({ logs, clock, random, onBreak }, { selector, options }, call);
  for await (const chunk of chunks) await show(chunk);

  async function show(chunk: TaskLogChunk): Promise<void> {
    const who = await names.of(chunk);
    if (chunk.notice !== '') terminal.err(`swarmctl: ${who}: ${chunk.notice}\n`);
    for (const { stream, data } of printer.print(chunk, who)) {
      await terminal.console.write(stream, data);
    }
  }
}

/** Who looks for lines of tasks that wait is told so, and why they wait. */
async function tellUnstarted(context: Context, selector: LogSelector): Promise<void> {
  const { control } = await context.cluster();
  const { serviceId, taskIds } = selector;
  const filter = serviceId === undefined ? { ids: taskIds } : { serviceIds: [serviceId] };
  for (const task of await control.listTasks({ filter }, context.call)) {
    const { state, error } = task.status;
    if (task.desiredState !== 'running' || rank(state) >= rank('starting')) continue;
    const why = error === '' ? '' : `: ${oneLine(error)}`;
    context.terminal.err(`swarmctl: ${taskName(task)} has not started: ${state}${why}\n`);
  }
}
