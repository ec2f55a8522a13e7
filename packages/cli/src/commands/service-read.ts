/** swarmctl service ls, inspect, history, ps: what there is to see of services. */
import type { ServiceCounts } from '@swarmd/api';
import { unreachable } from '@swarmd/base';
import { explainRuns, nextRun, overcome } from '@swarmd/client';
import {
  fieldChanges,
  type PastSpec,
  type Service,
  type ServiceSpec,
  type Task,
} from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import {
  ago,
  list,
  oneLine,
  parseFormat,
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
import { findService } from './kinds.ts';
import { printTasks } from './task.ts';

export function addServiceReads(group: Command, context: Context): void {
  listing(group.command('ls').description('list services')).action(async (flags: ListFlags) =>
    listServices(context, formatOf(flags)),
  );

  group
    .command('inspect')
    .description('show everything about services')
    .argument('<service...>', 'name, id or id prefix')
    .option('--pretty', PRETTY_HINT, false)
    .action(async (references: string[], flags: InspectFlags) => {
      const services = await Promise.all(
        references.map((reference) => findService(context, reference)),
      );
      context.terminal.out(inspected(services, flags, context.clock.now()));
    });

  group
    .command('history')
    .description('list the last specs of a service, which rollback --to goes back to')
    .argument('<service>', 'name, id or id prefix')
    .option('--format <table|json>', 'output format', parseFormat, 'table')
    .action(async (reference: string, flags: { format: Format }) => {
      context.terminal.out(historyOf(await findService(context, reference), context, flags.format));
    });

  listing(
    group
      .command('ps')
      .description('list the tasks of services, and why they are as they are')
      .argument('<service...>', 'name, id or id prefix'),
  )
    .option('--no-trunc', 'do not shorten anything')
    .action(async (references: string[], flags: ListFlags & { trunc: boolean }) => {
      const services = await Promise.all(
        references.map((reference) => findService(context, reference)),
      );
      const tasks = await printTasks(context, {
        filter: { serviceIds: services.map((service) => service.id) },
        ...flags,
        format: formatOf(flags),
      });
      if (formatOf(flags) !== 'table') return;
      for (const line of services.flatMap(explainRuns)) context.terminal.out(`${oneLine(line)}\n`);
      printUpdates(context, services, tasks);
    });
}

/** What stands between the tasks and their service's spec, below the table. */
function printUpdates(
  { terminal, clock }: Context,
  services: readonly Service[],
  tasks: readonly Task[],
): void {
  for (const service of services) {
    const { id, spec, updateStatus } = service;
    if (updateStatus === undefined || updateStatus.completedAt !== undefined) continue;
    const { state, message, canary: { until } = {} } = updateStatus;
    const rest = Math.ceil(((until ?? 0) - clock.now()) / 1_000);
    const wait = rest > 0 ? `, for ${rest} s more` : '';
    const over = overcome(
      service,
      tasks.filter(({ serviceId }) => serviceId === id),
    );
    const way = state.endsWith('paused')
      ? ` (what to do says: swarmctl explain service ${spec.name})`
      : '';
    const next = over === undefined ? way : ` (${over})`;
    terminal.err(`${spec.name}: ${state}: ${message}${wait}${next}\n`);
  }
}

/** Newest first. */
function historyOf(
  { history, spec, specVersion }: Service,
  { clock }: Context,
  format: Format,
): string {
  const past: readonly Partial<PastSpec>[] = history?.specs ?? [];
  const all = [...past, { specVersion, spec }].toReversed();
  const before = new Map(all.map((one, at) => [one, all[at + 1]?.spec]));
  const columns: Column<Partial<PastSpec>>[] = [
    { title: 'SPEC', value: (one) => `${one.specVersion}` },
    {
      title: 'REPLACED',
      value: ({ replacedAt }) =>
        replacedAt === undefined ? 'in use' : ago(replacedAt, clock.now()),
    },
    {
      title: 'REPLICAS',
      value: ({ spec: { mode } = spec }) =>
        mode.kind === 'replicated' ? `${mode.replicas}` : mode.kind,
    },
    { title: 'IMAGE', value: (one) => withoutDigest(one.spec?.task.container.image ?? '') },
    { title: 'CHANGED', value: (one) => changed(before.get(one), one.spec) },
  ];
  return list(format, columns, all);
}

const FIELDS_SHOWN_MAX = 4;

/** The fields that are not as in the spec before, lists as a whole. */
function changed(before: ServiceSpec | undefined, after: ServiceSpec | undefined): string {
  if (before === undefined) return '';
  const paths = fieldChanges(before, after).map(({ path }) => path.replace(/\[.*/, ''));
  const fields = [...new Set(paths.map((path) => path.replace(/^task\.(container\.)?/, '')))];
  const more = fields.length - FIELDS_SHOWN_MAX;
  const shown = fields.slice(0, FIELDS_SHOWN_MAX).join(', ');
  return more > 0 ? `${shown} and ${more} more` : shown;
}

/** "2/3", with what else there is to say of the number. */
function replicasOf(service: Service, counts: ServiceCounts | undefined): string {
  const { desired = 0, running = 0, completed = 0 } = counts ?? {};
  const { mode, task } = service.spec;
  switch (mode.kind) {
    case 'replicated': {
      const max = task.placement.maxReplicasPerNode;
      const { autoscale } = service.spec;
      const bounds =
        autoscale === undefined ? '' : ` (autoscaled ${autoscale.min}-${autoscale.max})`;
      return `${running}/${desired}${max === 0 ? '' : ` (max ${max} per node)`}${bounds}`;
    }
    case 'global':
      return `${running}/${desired}`;
    case 'replicated-job':
    case 'global-job':
      return [`${running} running (${completed}/${desired} completed)`, nextRun(service)]
        .filter((part) => part !== '')
        .join(', ');
    default:
      return unreachable(mode);
  }
}

async function listServices(context: Context, format: Format): Promise<void> {
  const { control } = await context.cluster();
  const services = (await control.listServices({ filter: {} }, context.call)).toSorted((a, b) =>
    a.spec.name.localeCompare(b.spec.name),
  );
  const counts = new Map(
    (
      await control.listServiceCounts(
        { serviceIds: services.map((service) => service.id) },
        context.call,
      )
    ).map((row) => [row.serviceId, row]),
  );
  const columns: Column<Service>[] = [
    { title: 'ID', value: (service) => shortId(service.id) },
    { title: 'NAME', value: (service) => service.spec.name },
    { title: 'MODE', value: (service) => service.spec.mode.kind },
    {
      title: 'REPLICAS',
      value: (service) => replicasOf(service, counts.get(service.id)),
    },
    { title: 'IMAGE', value: (service) => withoutDigest(service.spec.task.container.image) },
    {
      title: 'PORTS',
      value: (service) =>
        portList(service.endpoint.ports.filter((port) => port.publishMode === 'ingress')),
    },
  ];
  context.terminal.out(list(format, columns, services));
}
