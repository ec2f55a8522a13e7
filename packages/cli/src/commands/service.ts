/** swarmctl service ... */
import { SwarmError } from '@swarmd/base';
import { resolve, waitForConvergence, type Kind } from '@swarmd/client';
import type { Config, FileReference, Secret, Service, ServiceSpecInput } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { parseCount } from '../flags.ts';
import { json, list, parseFormat, type Column, type Format } from '../output.ts';
import { ProgressPrinter } from '../progress.ts';
import {
  addCreateFlags,
  addUpdateFlags,
  applyServiceFlags,
  applyUpdateFlags,
  type ServiceFlags,
  type UpdateFlags,
} from '../service-flags.ts';
import { addServiceLogs } from './logs.ts';
import { configKind, findService, networkKind, secretKind } from './kinds.ts';
import { printTasks } from './task.ts';

interface CreateFlags extends ServiceFlags {
  name?: string;
  network?: string[];
  secret?: string[];
  config?: string[];
  detach: boolean;
  quiet: boolean;
}

export function addServiceCommands(program: Command, context: Context): void {
  const group = program.command('service').description('what the cluster keeps running');

  addCreateFlags(group.command('create'))
    .description('create a service and wait until it runs')
    .argument('<image>', '[registry/]repository[:tag][@digest]')
    .argument('[arg...]', 'command for the image')
    .option('-d, --detach', 'do not wait', false)
    .option('-q, --quiet', 'no progress', false)
    .passThroughOptions()
    .action(async (image: string, args: string[], flags: CreateFlags) =>
      create(context, { image, args, flags }),
    );

  addUpdateFlags(group.command('update'))
    .description('change a service and wait until it has happened')
    .argument('<service>', 'name, id or id prefix')
    .option('-d, --detach', 'do not wait', false)
    .option('-q, --quiet', 'no progress', false)
    .option('--rollback', 'go back to the previous spec', false)
    .action(async (reference: string, flags: UpdateFlags & WaitFlags & { rollback: boolean }) => {
      if (flags.rollback) await rollback(context, reference, flags);
      else
        await update(context, reference, {
          ...flags,
          change: (service) => applyUpdateFlags(service.spec, flags),
        });
    });

  group
    .command('rollback')
    .description('go back to the previous spec of a service')
    .argument('<service>', 'name, id or id prefix')
    .option('-d, --detach', 'do not wait', false)
    .option('-q, --quiet', 'no progress', false)
    .action(async (reference: string, flags: WaitFlags) => rollback(context, reference, flags));

  group
    .command('scale')
    .description('set the number of tasks of services')
    .argument('<service=replicas...>', 'e.g. web=5')
    .option('-d, --detach', 'do not wait', false)
    .option('-q, --quiet', 'no progress', false)
    .action(async (words: string[], flags: WaitFlags) => {
      for (const [reference, replicas] of words.map(parseScale)) {
        await update(context, reference, {
          ...flags,
          change: (service) => ({ ...service.spec, mode: { kind: 'replicated', replicas } }),
        });
      }
    });

  group
    .command('rm')
    .description('remove services and all their tasks')
    .argument('<service...>', 'name, id or id prefix')
    .action(async (references: string[]) => {
      const { control } = await context.cluster();
      for (const reference of references) {
        const service = await findService(context, reference);
        await control.removeService({ id: service.id }, context.call);
        context.terminal.out(`${service.spec.name}\n`);
      }
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
    });
}

interface WaitFlags {
  detach: boolean;
  quiet: boolean;
}

async function create(
  context: Context,
  request: { image: string; args: string[]; flags: CreateFlags },
): Promise<void> {
  const { image, args, flags } = request;
  const { control } = await context.cluster();
  const networks = await networkKind(context);
  const secrets = await secretKind(context);
  const configs = await configKind(context);
  const fileReference = async <T extends Secret | Config>(
    text: string,
    kind: Kind<T>,
  ): Promise<Pick<FileReference, 'id' | 'name' | 'target'>> => {
    const [name = '', target] = text.split(':', 2);
    const object = await resolve(kind, name, context.call);
    return { id: object.id, name: object.spec.name, target: target ?? object.spec.name };
  };
  const base: ServiceSpecInput = {
    name: flags.name ?? freeName(image, await control.listServices({ filter: {} }, context.call)),
    task: {
      container: {
        image,
        args,
        secrets: await Promise.all(
          (flags.secret ?? []).map((text) => fileReference(text, secrets)),
        ),
        configs: await Promise.all(
          (flags.config ?? []).map((text) => fileReference(text, configs)),
        ),
      },
      networks: await Promise.all(
        (flags.network ?? []).map(async (name) => ({
          target: (await resolve(networks, name, context.call)).id,
        })),
      ),
    },
  };
  const service = await control.createService(
    { spec: applyServiceFlags(base, flags) },
    context.call,
  );
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
  options: WaitFlags & { change: (service: Service) => ServiceSpecInput },
): Promise<void> {
  const { control } = await context.cluster();
  const before = await findService(context, reference);
  const service = await control.updateService(
    { id: before.id, version: before.meta.version, spec: options.change(before), rollback: false },
    context.call,
  );
  context.terminal.out(`${service.spec.name}\n`);
  await wait(context, service, options);
}

async function rollback(context: Context, reference: string, flags: WaitFlags): Promise<void> {
  const { control } = await context.cluster();
  const before = await findService(context, reference);
  const service = await control.updateService(
    { id: before.id, version: before.meta.version, rollback: true },
    context.call,
  );
  context.terminal.out(`${service.spec.name}\n`);
  await wait(context, service, { ...flags, wantRollback: true });
}

async function wait(
  context: Context,
  service: Service,
  flags: WaitFlags & { wantRollback?: boolean },
): Promise<void> {
  if (flags.detach) return;
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
      value: (service) =>
        `${counts.get(service.id)?.running ?? 0}/${counts.get(service.id)?.desired ?? 0}`,
    },
    { title: 'IMAGE', value: (service) => service.spec.task.container.image },
    {
      title: 'PORTS',
      value: (service) =>
        service.endpoint.ports
          .filter((port) => port.publishMode === 'ingress')
          .map((port) => `*:${port.publishedPort}->${port.targetPort}/${port.protocol}`)
          .join(','),
    },
  ];
  context.terminal.out(list(format, columns, services));
}
