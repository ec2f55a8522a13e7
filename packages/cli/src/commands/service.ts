/** swarmctl service ... */
import type { ServiceCounts } from '@swarmd/api';
import { SwarmError, unreachable } from '@swarmd/base';
import { explainRuns, nextRun, waitForConvergence } from '@swarmd/client';
import type { PastSpec, Service, ServiceSpecInput } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { parseCount } from '../flags.ts';
import { ago, json, list, oneLine, parseFormat, type Column, type Format } from '../output.ts';
import { ProgressPrinter } from '../progress.ts';
import { addDryRunFlags, dryRun, type DryRunFlags } from '../dry-run.ts';
import { portList } from '../port-flags.ts';
import { findReferences } from '../references.ts';
import { requestedAuth } from '../registry-auth.ts';
import { resolveImage, withoutDigest } from '../resolve-image.ts';
import {
  addCreateFlags,
  addUpdateFlags,
  type CreateFlags,
  type UpdateFlags,
} from '../service-flags.ts';
import { createSpec, modeWith, updateSpec } from '../service-spec.ts';
import { forEach } from '../several.ts';
import { addServiceLogs } from './logs.ts';
import { findService } from './kinds.ts';
import { printTasks } from './task.ts';

interface WriteFlags extends DryRunFlags {
  detach: boolean;
  quiet: boolean;
}

/** Of all that write a service and then wait for it. */
function addWriteFlags(command: Command): Command {
  return addDryRunFlags(command)
    .option('-d, --detach', 'do not wait', false)
    .option('-q, --quiet', 'no progress', false);
}

export function addServiceCommands(program: Command, context: Context): void {
  const group = program.command('service').description('what the cluster keeps running');

  addWriteFlags(addCreateFlags(group.command('create')))
    .description('create a service and wait until it runs')
    .argument('<image>', '[registry/]repository[:tag][@digest]')
    .argument('[arg...]', 'command for the image')
    .passThroughOptions()
    .action(async (image: string, args: string[], flags: CreateFlags & WriteFlags) =>
      create(context, { image, args, flags }),
    );

  addWriteFlags(addUpdateFlags(group.command('update')))
    .description('change a service and wait until it has happened')
    .argument('<service>', 'name, id or id prefix')
    .option('--rollback', 'go back to the previous spec', false)
    .action(async (reference: string, flags: UpdateFlags & WriteFlags & { rollback: boolean }) => {
      if (flags.rollback) await rollback(context, reference, flags);
      else await update(context, reference, flags);
    });

  addWriteFlags(group.command('rollback'))
    .description('go back to the previous spec of a service')
    .argument('<service>', 'name, id or id prefix')
    .option('--to <spec>', 'a spec of its history (see service history)', parseCount)
    .action(async (reference: string, flags: WriteFlags & { to?: number }) =>
      rollback(context, reference, flags),
    );

  addWriteFlags(group.command('run'))
    .description('run a job now, and wait until it is complete')
    .argument('<job>', 'name, id or id prefix')
    .action(async (reference: string, flags: WriteFlags) => {
      const { id, meta } = await findService(context, reference);
      const change = { id, version: meta.version, run: true };
      const after = await write(context, change, flags);
      if (after !== undefined) await wait(context, after, { ...flags, wantRun: true });
    });

  addWriteFlags(group.command('scale'))
    .description('set the number of tasks of services')
    .argument('<service=replicas...>', 'e.g. web=5')
    .action(async (words: string[], flags: WriteFlags) => {
      const changed: Service[] = [];
      await forEach(words.map(parseScale), async ([reference, replicas]) => {
        const { id, meta, spec } = await findService(context, reference);
        const scaled: ServiceSpecInput = { ...spec, ...modeWith(spec.mode, { replicas }) };
        const after = await write(context, { id, version: meta.version, spec: scaled }, flags);
        if (after !== undefined) changed.push(after);
      });
      for (const service of changed) await wait(context, service, flags);
    });

  addDryRunFlags(group.command('rm'))
    .description('remove services and all their tasks')
    .argument('<service...>', 'name, id or id prefix')
    .action(async (references: string[], flags: DryRunFlags) => {
      const { control } = await context.cluster();
      await forEach(references, async (reference) => {
        const service = await findService(context, reference);
        if (flags.dryRun) {
          await dryRun(context, { kind: 'remove-service', id: service.id }, flags.format);
          return;
        }
        await control.removeService({ id: service.id }, context.call);
        context.terminal.out(`${service.spec.name}\n`);
      });
    });

  addReadCommands(group, context);
  addServiceLogs(group, context);
}

function addReadCommands(group: Command, context: Context): void {
  group
    .command('ls')
    .description('list services')
    .option('--format <table|json>', 'output format', parseFormat, 'table')
    .action(async (flags: { format: Format }) => listServices(context, flags.format));

  group
    .command('inspect')
    .description('show everything about services, as JSON')
    .argument('<service...>', 'name, id or id prefix')
    .action(async (references: string[]) => {
      const services = await Promise.all(
        references.map((reference) => findService(context, reference)),
      );
      context.terminal.out(json(services, 2));
    });

  group
    .command('history')
    .description('list the last specs of a service, which rollback --to goes back to')
    .argument('<service>', 'name, id or id prefix')
    .option('--format <table|json>', 'output format', parseFormat, 'table')
    .action(async (reference: string, flags: { format: Format }) => {
      context.terminal.out(historyOf(await findService(context, reference), context, flags.format));
    });

  group
    .command('ps')
    .description('list the tasks of services, and why they are as they are')
    .argument('<service...>', 'name, id or id prefix')
    .option('--format <table|json>', 'output format', parseFormat, 'table')
    .option('--no-trunc', 'do not shorten anything')
    .action(async (references: string[], flags: { format: Format; trunc: boolean }) => {
      const services = await Promise.all(
        references.map((reference) => findService(context, reference)),
      );
      await printTasks(context, {
        filter: { serviceIds: services.map((service) => service.id) },
        ...flags,
      });
      if (flags.format === 'json') return;
      for (const line of services.flatMap(explainRuns)) context.terminal.out(`${oneLine(line)}\n`);
    });
}

/** Newest first. */
function historyOf(
  { history, spec, specVersion }: Service,
  { clock }: Context,
  format: Format,
): string {
  const past: readonly Partial<PastSpec>[] = history?.specs ?? [];
  const all = [...past, { specVersion, spec }].toReversed();
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
    { title: 'IMAGE', value: (one) => one.spec?.task.container.image ?? '' },
  ];
  return list(format, columns, all);
}

async function create(
  context: Context,
  request: { image: string; args: string[]; flags: CreateFlags & WriteFlags },
): Promise<void> {
  const { args, flags } = request;
  const { control } = await context.cluster();
  const [references, image] = await Promise.all([
    findReferences(context, flags),
    resolveImage(context, request.image, flags),
  ]);
  const name =
    flags.name ?? freeName(image, await control.listServices({ filter: {} }, context.call));
  const spec = createSpec({ name, image, args }, flags, references);
  if (flags.dryRun) {
    await dryRun(context, { kind: 'create-service', spec }, flags.format);
    return;
  }
  const auth = requestedAuth(context, image, flags);
  const service = await control.createService({ spec, ...auth }, context.call);
  context.terminal.out(`${service.id}\n`);
  await wait(context, service, flags);
}

/** A name from the image's: "registry:5000/team/nginx:1" -> nginx, or nginx-2 when that is taken. */
function freeName(image: string, services: readonly Service[]): string {
  const repository = image.split('@', 1)[0]?.split('/').at(-1)?.split(':', 1)[0] ?? '';
  const base =
    repository
      .toLowerCase()
      .replaceAll(/[^a-z0-9-]/g, '-')
      .replaceAll(/^-+|-+$/g, '') || 'service';
  const taken = new Set(services.map((service) => service.spec.name));
  for (let n = 1; ; n += 1) {
    const name = n === 1 ? base : `${base}-${n}`;
    if (!taken.has(name)) return name;
  }
}

async function update(
  context: Context,
  reference: string,
  flags: UpdateFlags & WriteFlags,
): Promise<void> {
  const before = await findService(context, reference);
  const added = await findReferences(context, {
    network: flags.networkAdd ?? [],
    secret: flags.secretAdd ?? [],
    config: flags.configAdd ?? [],
  });
  const removed = await findReferences(context, { network: flags.networkRm ?? [] });
  const image =
    flags.image === undefined ? {} : { image: await resolveImage(context, flags.image, flags) };
  const spec = updateSpec(before.spec, { ...flags, ...image }, { added, removed });
  const { image: now } = spec.task.container;
  const auth = requestedAuth(context, now, flags);
  const change = { id: before.id, version: before.meta.version, spec, ...auth };
  const after = await write(context, change, flags);
  if (after !== undefined) await wait(context, after, flags);
}

async function rollback(
  context: Context,
  reference: string,
  flags: WriteFlags & { to?: number },
): Promise<void> {
  const { id, meta } = await findService(context, reference);
  const to = flags.to === undefined ? {} : { rollbackTo: flags.to };
  const service = await write(context, { id, version: meta.version, ...to }, flags);
  if (service !== undefined) await wait(context, service, { ...flags, wantRollback: true });
}

/**
 * Stores a changed spec, runs a job, or else goes back to the previous spec, and says of what.
 * @returns Undefined when it was only to be shown.
 */
async function write(
  context: Context,
  change: {
    id: Service['id'];
    version: number;
    spec?: ServiceSpecInput;
    rollbackTo?: number;
    run?: boolean;
    registryAuth?: Uint8Array;
  },
  flags: DryRunFlags,
): Promise<Service | undefined> {
  const { control } = await context.cluster();
  const request = { ...change, rollback: change.spec === undefined && change.run !== true };
  if (flags.dryRun) {
    await dryRun(context, { kind: 'update-service', ...request }, flags.format);
    return undefined;
  }
  const service = await control.updateService(request, context.call);
  context.terminal.out(`${service.spec.name}\n`);
  return service;
}

async function wait(
  context: Context,
  service: Service,
  flags: WriteFlags & { wantRollback?: boolean; wantRun?: boolean },
): Promise<void> {
  if (flags.detach) return;
  if (service.spec.schedule !== undefined && flags.wantRun !== true) {
    if (!flags.quiet) context.terminal.err(`job ${service.spec.name}: ${nextRun(service)}\n`);
    return;
  }
  const { control } = await context.cluster();
  const printer = new ProgressPrinter(context.terminal);
  await waitForConvergence(
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
  if (!flags.quiet) context.terminal.err(`service ${service.spec.name} converged\n`);
}

function parseScale(word: string): [string, number] {
  const [name, count, ...rest] = word.split('=');
  if (
    name === undefined ||
    name === '' ||
    count === undefined ||
    rest.length > 0 ||
    !/^\d+$/.test(count)
  ) {
    throw new SwarmError('invalid-argument', `"${word}": use SERVICE=REPLICAS, e.g. web=5`);
  }
  return [name, parseCount(count)];
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
    { title: 'ID', value: (service) => service.id.slice(0, 12) },
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
