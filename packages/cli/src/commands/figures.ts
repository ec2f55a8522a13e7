/** swarmctl task top and stats. */
import type { ContainerStats, ProcessInfo, Task } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { bytes, json, list, parseFormat, table, type Column, type Format } from '../output.ts';
import { findTask, taskName } from './find-task.ts';

const INTERVAL_MS = 1_000;
/** Streams of one command; more than fit a screen. */
const TASKS_MAX = 200;

export function addFigureCommands(group: Command, context: Context): void {
  group
    .command('top')
    .description('processes of a task')
    .argument('<task>', 'service.slot, id or id prefix')
    .option('--format <table|json>', 'output format', parseFormat, 'table')
    .action(async (reference: string, flags: { format: Format }) => {
      const { engine } = await context.cluster();
      const { id } = await findTask(context, reference);
      const found = await engine.top({ taskId: id }, context.call);
      const processes = found.toSorted((a, b) => a.containerPid - b.containerPid);
      context.terminal.out(list(flags.format, PROCESS_COLUMNS, processes));
    });

  group
    .command('stats')
    .description('what tasks use, again and again')
    .argument('[task...]', 'service.slot, id or id prefix; all running ones without')
    .option('--no-stream', 'once')
    .option('--format <table|json>', 'output format', parseFormat, 'table')
    .action(async (references: string[], flags: { stream: boolean; format: Format }) =>
      stats(context, references, flags),
    );
}

const PROCESS_COLUMNS: readonly Column<ProcessInfo>[] = [
  { title: 'PID', value: (process) => String(process.containerPid) },
  { title: 'UID', value: (process) => String(process.uid) },
  { title: 'STATE', value: (process) => process.state },
  { title: 'CPU TIME', value: (process) => `${(process.cpuMs / 1_000).toFixed(2)} s` },
  { title: 'MEMORY', value: (process) => bytes(process.memoryBytes) },
  { title: 'NODE PID', value: (process) => String(process.pid) },
  { title: 'COMMAND', value: (process) => process.command },
];

interface Row {
  readonly task: Task;
  readonly before: ContainerStats | undefined;
  readonly now: ContainerStats;
}

const STATS_COLUMNS: readonly Column<Row>[] = [
  { title: 'TASK', value: ({ task }) => taskName(task) },
  { title: 'CPU', value: (row) => `${cpuPercent(row).toFixed(1)}%` },
  {
    title: 'MEMORY / LIMIT',
    value: ({ now }) =>
      `${bytes(now.memoryBytes)} / ${now.memoryLimitBytes === 0 ? '-' : bytes(now.memoryLimitBytes)}`,
  },
  {
    title: 'NET IN / OUT',
    value: ({ now }) => `${bytes(now.networkReceiveBytes)} / ${bytes(now.networkSendBytes)}`,
  },
  {
    title: 'BLOCK IN / OUT',
    value: ({ now }) => `${bytes(now.blockReadBytes)} / ${bytes(now.blockWriteBytes)}`,
  },
  { title: 'PIDS', value: ({ now }) => String(now.pids) },
];

async function stats(
  context: Context,
  references: readonly string[],
  flags: { stream: boolean; format: Format },
): Promise<void> {
  const { engine } = await context.cluster();
  const tasks = await tasksOf(context, references);
  const rows = new Map<string, Row>();
  const over = new AbortController();
  const signal = AbortSignal.any([context.call.signal, over.signal]);
  const show = (): void => {
    const shown = tasks.flatMap((task) => rows.get(task.id) ?? []);
    if (shown.length < tasks.length || shown.some((row) => row.before === undefined)) return;
    print(context, shown, flags);
    if (!flags.stream) over.abort();
  };
  const follow = async (task: Task): Promise<void> => {
    const samples = engine.stats({ taskId: task.id, intervalMs: INTERVAL_MS }, { signal });
    for await (const now of samples) {
      rows.set(task.id, { task, before: rows.get(task.id)?.now, now });
      if (task === tasks[0]) show();
    }
  };
  try {
    await Promise.all(tasks.map(follow));
  } catch (error) {
    if (!over.signal.aborted) throw error;
  } finally {
    over.abort();
  }
}

async function tasksOf(context: Context, references: readonly string[]): Promise<Task[]> {
  if (references.length > 0) {
    return Promise.all(references.map((reference) => findTask(context, reference)));
  }
  const { control } = await context.cluster();
  const filter = { desiredStates: ['running'] as const };
  const tasks = await control.listTasks({ filter }, context.call);
  return tasks
    .filter((task) => task.status.state === 'running')
    .toSorted((a, b) => a.serviceName.localeCompare(b.serviceName) || a.slot - b.slot)
    .slice(0, TASKS_MAX);
}

function print(
  context: Context,
  rows: readonly Row[],
  flags: { stream: boolean; format: Format },
): void {
  const { terminal } = context;
  if (flags.format === 'json') {
    const objects = rows.map((row) => ({
      taskId: row.task.id,
      task: taskName(row.task),
      cpuPercent: cpuPercent(row),
      ...row.now,
    }));
    terminal.out(json(objects));
    return;
  }
  // From the top of the screen, over what was there.
  const start = flags.stream && terminal.console.isTerminal ? '\u001b[H\u001b[J' : '';
  terminal.out(`${start}${table(STATS_COLUMNS, rows)}`);
}

/** Of one CPU, between two looks. */
function cpuPercent({ before, now }: Row): number {
  const elapsedMs = before === undefined ? 0 : now.timestamp - before.timestamp;
  if (before === undefined || elapsedMs <= 0) return 0;
  return ((now.cpuNs - before.cpuNs) / (elapsedMs * 1e6)) * 100;
}
