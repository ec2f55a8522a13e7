/** `--dry-run`: what a write would do, told by the leader, instead of the write. */
import type { Preview, Write } from '@swarmd/api';
import type { NodeId, PlannedTask } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from './context.ts';
import { json, oneLine, parseFormat, table, type Column, type Format } from './output.ts';

export interface DryRunFlags {
  readonly dryRun: boolean;
  readonly format: Format;
}

export function addDryRunFlags(command: Command): Command {
  return command
    .option('--dry-run', 'change nothing, and show what would change and which tasks move', false)
    .option('--format <table|json>', 'output format of --dry-run', parseFormat, 'table');
}

/** Asks the leader and prints its answer. @throws SwarmError as the write would. */
export async function dryRun(context: Context, write: Write, format: Format): Promise<void> {
  const { control } = await context.cluster();
  const preview = await control.preview(write, context.call);
  if (format === 'json') {
    context.terminal.out(json([preview]));
    return;
  }
  const nodes = await control.listNodes({ filter: {} }, context.call);
  const names = new Map(nodes.map(({ id, description }) => [id, description?.hostname ?? id]));
  context.terminal.out(
    `${previewLines(preview, { names, now: context.clock.now() }).join('\n')}\n`,
  );
}

interface Around {
  readonly names: ReadonlyMap<NodeId, string>;
  readonly now: number;
}

function previewLines({ spec, tasks, waits, later }: Preview, { names, now }: Around): string[] {
  const fields = spec.map(
    ({ path, before, after }) => `  ${path}: ${before ?? 'none'} -> ${after ?? 'none'}`,
  );
  const nameOf = (id: NodeId | undefined): string =>
    id === undefined ? '' : (names.get(id) ?? id);
  const columns: Column<PlannedTask>[] = [
    { title: 'ACTION', value: (task) => task.action },
    { title: 'TASK', value: ({ serviceName, slot }) => `${serviceName}.${slot}` },
    { title: 'FROM', value: (task) => nameOf(task.fromNodeId) },
    { title: 'TO', value: (task) => nameOf(task.toNodeId) },
    { title: 'WHY', value: (task) => task.message },
  ];
  const plural = later === 1 ? 'task follows' : 'tasks follow';
  return [
    'dry run: nothing is written',
    ...(fields.length === 0 ? ['the spec stays as it is'] : ['spec:', ...fields]),
    ...(tasks.length === 0
      ? ['no task starts, stops or moves']
      : [table(columns, tasks).trimEnd()]),
    ...(later === 0 ? [] : [`${later} more ${plural} as the update goes on`]),
    ...waits.map(({ code, message, until }) => {
      const time =
        until === undefined ? '' : ` ${Math.max(0, Math.round((until - now) / 1_000))} s`;
      return `waits${time}: ${message} [${code}]`;
    }),
  ].map((text) => (text.includes('\n') ? text : oneLine(text)));
}
