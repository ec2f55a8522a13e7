/** swarmctl service logs. */
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { parseCount, parseDuration } from '../flags.ts';
import { findService } from './kinds.ts';
import { taskName } from './find-task.ts';

interface LogFlags {
  follow: boolean;
  tail?: number;
  since?: number;
  timestamps: boolean;
  raw: boolean;
}

export function addServiceLogs(group: Command, context: Context): void {
  group
    .command('logs')
    .description('what the tasks of a service print')
    .argument('<service>', 'name, id or id prefix')
    .option('-f, --follow', 'keep printing what comes', false)
    .option('-n, --tail <lines>', 'so many lines from the end of each task', parseCount)
    .option('--since <duration>', 'only what is younger than this, e.g. 10m', parseDuration)
    .option('-t, --timestamps', 'show when a line was printed', false)
    .option('--raw', 'lines only, no task names', false)
    .action(async (reference: string, flags: LogFlags) => printLogs(context, reference, flags));
}

async function printLogs(context: Context, reference: string, flags: LogFlags): Promise<void> {
  const { control, logs } = await context.cluster();
  const service = await findService(context, reference);
  const [tasks, nodes] = await Promise.all([
    control.listTasks({ filter: { serviceIds: [service.id] } }, context.call),
    control.listNodes({ filter: {} }, context.call),
  ]);
  const names = new Map<string, string>(
    tasks.map((task) => [task.id, `${taskName(task)}.${task.id.slice(0, 12)}`]),
  );
  const hosts = new Map<string, string>(
    nodes.map((node) => [node.id, node.description?.hostname ?? node.id]),
  );
  const records = logs.subscribe(
    {
      selector: { serviceId: service.id, taskIds: [] },
      options: {
        follow: flags.follow,
        ...(flags.tail === undefined ? {} : { tail: flags.tail }),
        ...(flags.since === undefined ? {} : { sinceMs: context.clock.now() - flags.since }),
      },
    },
    { signal: context.call.signal }, // following may take for ever
  );
  for await (const record of records) {
    const who = `${names.get(record.taskId) ?? record.taskId.slice(0, 12)}@${hosts.get(record.nodeId) ?? record.nodeId}`;
    const when = flags.timestamps ? `${isoTime(record.timestamp)} ` : '';
    const text = Buffer.from(record.data).toString('utf8').replace(/\n$/, '');
    const line = flags.raw ? `${when}${text}\n` : `${when}${who}    | ${text}\n`;
    if (record.stream === 'stderr') context.terminal.err(line);
    else context.terminal.out(line);
  }
}

function isoTime(ms: number): string {
  // oxlint-disable-next-line no-restricted-globals -- formatting a given time reads no clock
  return new Date(ms).toISOString();
}
