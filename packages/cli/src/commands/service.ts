/** swarmctl service ... */
import { SwarmError } from '@swarmd/base';
import type { MountSpec, Service, ServiceSpecInput } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { parseCount } from '../flags.ts';
import { refuseReplicas } from '../autoscale-flags.ts';
import { addDryRunFlags, dryRun, type DryRunFlags } from '../dry-run.ts';
import { findReferences } from '../references.ts';
import { requestedAuth } from '../registry-auth.ts';
import { resolveImage } from '../resolve-image.ts';
import {
  addFlagsOfCreate,
  addFlagsOfUpdate,
  type CreateFlags,
  type UpdateFlags,
} from '../service-flags.ts';
import { createSpec, modeWith, updateSpec } from '../service-spec.ts';
import { forEach } from '../several.ts';
import { mountsWith } from '../volumes-from.ts';
import { addWaitFlags, waitForService, type WaitFlags } from '../wait-for-service.ts';
import { addServiceLogs } from './logs.ts';
import { findService } from './kinds.ts';
import { addServiceReads } from './service-read.ts';

type WriteFlags = DryRunFlags & WaitFlags;

/** What `update` does when no new spec is meant. */
interface Instead {
  rollback: boolean;
  continue: boolean;
}

/** Of all that write a service and then wait for it. */
function addWriteFlags(command: Command): Command {
  return addWaitFlags(addDryRunFlags(command));
}

function addRun(group: Command, context: Context): void {
  addWriteFlags(group.command('run'))
    .description('run a job now, and wait until it is complete')
    .argument('<job>', 'name, id or id prefix')
    .action(async (reference: string, flags: WriteFlags) => {
      const { id, meta } = await findService(context, reference);
      const change = { id, version: meta.version, run: true };
      const after = await write(context, change, flags);
      if (after !== undefined) await waitForService(context, after, { ...flags, wantRun: true });
    });
}

export function addServiceCommands(program: Command, context: Context): void {
  const group = program.command('service').description('what the cluster keeps running');

  addWriteFlags(addFlagsOfCreate(group.command('create')))
    .description('create a service and wait until it runs')
    .argument('<image>', '[registry/]repository[:tag][@digest]')
    .argument('[arg...]', 'command for the image')
    .passThroughOptions()
    .action(async (image: string, args: string[], flags: CreateFlags & WriteFlags) =>
      create(context, { image, args, flags }),
    );

  addWriteFlags(addFlagsOfUpdate(group.command('update')))
    .description('change a service and wait until it has happened')
    .argument('<service>', 'name, id or id prefix')
    .option('--rollback', 'go back to the previous spec', false)
    .option('--continue', 'let the update go on, which waits for that at a canary step', false)
    .action(async (reference: string, flags: UpdateFlags & WriteFlags & Instead) => {
      if (flags.rollback && flags.continue) {
        throw new SwarmError('invalid-argument', '--rollback or --continue, not both');
      }
      if (flags.rollback) await rollback(context, reference, flags);
      else if (flags.continue) await proceed(context, reference, flags);
      else await update(context, reference, flags);
    });

  addWriteFlags(group.command('rollback'))
    .description('go back to the previous spec of a service')
    .argument('<service>', 'name, id or id prefix')
    .option('--to <spec>', 'a spec of its history (see service history)', parseCount)
    .action(async (reference: string, flags: WriteFlags & { to?: number }) =>
      rollback(context, reference, flags),
    );

  addRun(group, context);
  addWriteFlags(group.command('scale'))
    .description('set the number of tasks of services')
    .argument('<service=replicas...>', 'e.g. web=5')
    .action(async (words: string[], flags: WriteFlags) => {
      const changed: Service[] = [];
      await forEach(words.map(parseScale), async ([reference, replicas]) => {
        const { id, meta, spec } = await findService(context, reference);
        refuseReplicas(spec.name, spec.autoscale);
        const scaled: ServiceSpecInput = { ...spec, ...modeWith(spec.mode, { replicas }) };
        const after = await write(context, { id, version: meta.version, spec: scaled }, flags);
        if (after !== undefined) changed.push(after);
      });
      for (const service of changed) await waitForService(context, service, flags);
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

  addServiceReads(group, context);
  addServiceLogs(group, context);
}

async function create(
  context: Context,
  request: { image: string; args: string[]; flags: CreateFlags & WriteFlags },
): Promise<void> {
  const { args } = request;
  const { control } = await context.cluster();
  const mount = await wantedMounts(context, request.flags);
  const flags = { ...request.flags, ...(mount === undefined ? {} : { mount }) };
  const [references, image] = await Promise.all([
    findReferences(context, flags, { mayCreate: !flags.dryRun }),
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
  await waitForService(context, service, flags);
}

/** Of the command line, and of the services that it takes volumes from. */
async function wantedMounts(
  context: Context,
  { mount, volumesFrom }: CreateFlags,
): Promise<MountSpec[] | undefined> {
  if (volumesFrom === undefined) return mount;
  const others = await Promise.all(
    volumesFrom.map(async ({ service, readOnly }) => {
      const { spec } = await findService(context, service);
      return { name: spec.name, mounts: spec.task.container.mounts, readOnly };
    }),
  );
  return [...mountsWith(mount ?? [], others)];
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
  const added = await findReferences(
    context,
    {
      network: flags.networkAdd ?? [],
      secret: flags.secretAdd ?? [],
      config: flags.configAdd ?? [],
    },
    { mayCreate: !flags.dryRun },
  );
  const removed = await findReferences(
    context,
    { network: flags.networkRm ?? [] },
    { mayCreate: false },
  );
  const image =
    flags.image === undefined ? {} : { image: await resolveImage(context, flags.image, flags) };
  const spec = updateSpec(before.spec, { ...flags, ...image }, { added, removed });
  const { image: now } = spec.task.container;
  const auth = requestedAuth(context, now, flags);
  const change = { id: before.id, version: before.meta.version, spec, ...auth };
  const after = await write(context, change, flags);
  if (after !== undefined) await waitForService(context, after, flags);
}

async function rollback(
  context: Context,
  reference: string,
  flags: WriteFlags & { to?: number },
): Promise<void> {
  const { id, meta } = await findService(context, reference);
  const to = flags.to === undefined ? {} : { rollbackTo: flags.to };
  const service = await write(context, { id, version: meta.version, ...to }, flags);
  if (service !== undefined)
    await waitForService(context, service, { ...flags, wantRollback: true });
}

/** Approves the canary step that the update waits at. */
async function proceed(context: Context, reference: string, flags: WriteFlags): Promise<void> {
  const { id, meta } = await findService(context, reference);
  const change = { id, version: meta.version, continueUpdate: true };
  const service = await write(context, change, flags);
  if (service !== undefined) await waitForService(context, service, flags);
}

/**
 * Stores a changed spec, goes back to the previous one, lets the update go on or runs a job; says of
 * what.
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
    continueUpdate?: boolean;
  },
  flags: DryRunFlags,
): Promise<Service | undefined> {
  const { control } = await context.cluster();
  const isOther = change.run === true || change.continueUpdate === true;
  const request = { ...change, rollback: change.spec === undefined && !isOther };
  if (flags.dryRun) {
    await dryRun(context, { kind: 'update-service', ...request }, flags.format);
    return undefined;
  }
  const service = await control.updateService(request, context.call);
  context.terminal.out(`${service.spec.name}\n`);
  return service;
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
