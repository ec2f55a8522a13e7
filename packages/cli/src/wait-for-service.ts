/** Waits until a service is what its spec says, and shows how far it is. */
import { nextRun, waitForConvergence } from '@swarmd/client';
import type { Service } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from './context.ts';
import { ProgressPrinter } from './progress.ts';

export interface WaitFlags {
  readonly detach: boolean;
  readonly quiet: boolean;
}

export function addWaitFlags(command: Command): Command {
  return command
    .option('-d, --detach', 'do not wait', false)
    .option('-q, --quiet', 'no progress', false);
}

/** @throws SwarmError `failed-precondition` when an update pauses or is rolled back. */
export async function waitForService(
  context: Context,
  service: Service,
  flags: WaitFlags & { wantRollback?: boolean; wantRun?: boolean },
): Promise<void> {
  if (flags.detach) return;
  if (service.spec.schedule !== undefined && flags.wantRun !== true) {
    if (!flags.quiet) context.terminal.err(`job ${service.spec.name}: ${nextRun(service)}\n`);
    return;
  }
  const { control } = await context.cluster();
  const printer = new ProgressPrinter(context.terminal);
  const { verdict, message } = await waitForConvergence(
    {
      control,
      clock: context.clock,
      serviceId: service.id,
      wantRollback: flags.wantRollback ?? false,
      onProgress: (progress) => {
        if (!flags.quiet) printer.show(progress);
      },
    },
    context.call,
  );
  const { name } = service.spec;
  if (verdict === 'held') context.terminal.err(`service ${name}: ${message}\n`);
  else if (!flags.quiet) context.terminal.err(`service ${name} converged\n`);
}
