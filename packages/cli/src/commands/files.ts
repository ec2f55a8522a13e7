/**
 * swarmctl secret ... and swarmctl config ...: the same verbs over two kinds of content. Each has
 * versions; where a reference names one, it is the newest, unless "NAME@2" says which.
 */
import type { Control, Write } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';
import { resolve, type Kind } from '@swarmd/client';
import { asId, type Config, type Secret, type Service } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { addDryRunFlags, dryRun, type DryRunFlags } from '../dry-run.ts';
import { collect, parseLabel, parseText, oneOf } from '../flags.ts';
import { ago, json, list, type Column, formatOf, listing, type ListFlags } from '../output.ts';
import { forEach } from '../several.ts';
import { addWaitFlags, waitForService, type WaitFlags } from '../wait-for-service.ts';
import { configKind, secretKind } from './kinds.ts';

interface FileSpec {
  readonly name: string;
  readonly labels: Record<string, string>;
  readonly data: Uint8Array;
  readonly templating: 'none' | 'golang';
}

interface FileUpdate {
  readonly id: string;
  readonly version: number;
  readonly spec: FileSpec;
  readonly keepServices: boolean;
}

interface Verbs<T extends Secret | Config> {
  readonly noun: 'secret' | 'config';
  readonly kind: () => Promise<Kind<T>>;
  readonly create: (control: Control, spec: FileSpec) => Promise<T>;
  readonly update: (control: Control, request: FileUpdate) => Promise<T>;
  readonly remove: (control: Control, id: string) => Promise<void>;
  /** The same as what a dry run is asked for. */
  readonly asCreate: (spec: FileSpec) => Write;
  readonly asUpdate: (request: FileUpdate) => Write;
  readonly asRemove: (id: string) => Write;
}

export function addSecretCommands(program: Command, context: Context): void {
  const { call } = context;
  const withId = <R extends { id: string }>(request: R) => ({
    ...request,
    id: asId('secret', request.id),
  });
  addVerbs<Secret>(program, context, {
    noun: 'secret',
    kind: () => secretKind(context),
    create: (control, spec) => control.createSecret({ spec }, call),
    update: (control, request) => control.updateSecret(withId(request), call),
    remove: (control, id) => control.removeSecret(withId({ id }), call),
    asCreate: (spec) => ({ kind: 'create-secret', spec }),
    asUpdate: (request) => ({ kind: 'update-secret', ...withId(request) }),
    asRemove: (id) => ({ kind: 'remove-secret', ...withId({ id }) }),
  });
}

export function addConfigCommands(program: Command, context: Context): void {
  const { call } = context;
  const withId = <R extends { id: string }>(request: R) => ({
    ...request,
    id: asId('config', request.id),
  });
  addVerbs<Config>(program, context, {
    noun: 'config',
    kind: () => configKind(context),
    create: (control, spec) => control.createConfig({ spec }, call),
    update: (control, request) => control.updateConfig(withId(request), call),
    remove: (control, id) => control.removeConfig(withId({ id }), call),
    asCreate: (spec) => ({ kind: 'create-config', spec }),
    asUpdate: (request) => ({ kind: 'update-config', ...withId(request) }),
    asRemove: (id) => ({ kind: 'remove-config', ...withId({ id }) }),
  });
}

function addVerbs<T extends Secret | Config>(
  program: Command,
  context: Context,
  verbs: Verbs<T>,
): void {
  const { noun } = verbs;
  const group = program.command(noun).description(`${noun}s: content that tasks see as files`);
  addCreate(group, context, verbs);
  addUpdate(group, context, verbs);
  addReads(group, context, verbs);
  addRemoval(group, context, verbs);
}

interface CreateFlags extends DryRunFlags {
  label?: [string, string][];
  templateDriver: 'none' | 'golang';
}

const TEMPLATE_DRIVER = '"golang": the content is a template, expanded for each task';

function addCreate<T extends Secret | Config>(
  group: Command,
  context: Context,
  verbs: Verbs<T>,
): void {
  addDryRunFlags(group.command('create'))
    .description(`create a ${verbs.noun} from a file`)
    .argument('<name>', 'unique among its kind')
    .argument('<file>', '"-" for standard input')
    .option('--label <key=value>', 'label', collect(parseLabel))
    .option('--template-driver <driver>', TEMPLATE_DRIVER, oneOf('none', 'golang'), 'none')
    .action(async (name: string, file: string, flags: CreateFlags) => {
      const labels = Object.fromEntries(flags.label ?? []);
      const data = context.terminal.readFile(file);
      const spec = { name, labels, data, templating: flags.templateDriver };
      if (flags.dryRun) {
        await dryRun(context, verbs.asCreate(spec), flags.format);
        return;
      }
      const { control } = await context.cluster();
      const object = await verbs.create(control, spec);
      context.terminal.out(`${object.id}\n`);
    });
}

interface UpdateFlags extends DryRunFlags, WaitFlags {
  labelAdd?: [string, string][];
  labelRm?: string[];
  templateDriver?: 'none' | 'golang';
  keepServices: boolean;
}

function addUpdate<T extends Secret | Config>(
  group: Command,
  context: Context,
  verbs: Verbs<T>,
): void {
  const { noun } = verbs;
  addWaitFlags(addDryRunFlags(group.command('update')))
    .description(`make a new version of a ${noun}, and update the services that use it`)
    .argument(`<${noun}>`, 'name, id or id prefix')
    .argument('[file]', '"-" for standard input; without: only what the flags say')
    .option('--label-add <key=value>', 'add or change a label', collect(parseLabel))
    .option('--label-rm <key>', 'remove a label', collect(parseText))
    .option('--template-driver <driver>', TEMPLATE_DRIVER, oneOf('none', 'golang'))
    .option('--keep-services', 'services keep the version they use until they are updated', false)
    .action(async (reference: string, file: string | undefined, flags: UpdateFlags) => {
      const { labelAdd = [], labelRm = [], templateDriver, keepServices } = flags;
      if (file === undefined && labelAdd.length + labelRm.length === 0 && !templateDriver) {
        throw new SwarmError(
          'invalid-argument',
          `nothing to change: give a file, --label-add, --label-rm or --template-driver`,
        );
      }
      const { control } = await context.cluster();
      const { id, meta, spec: old } = await resolve(await verbs.kind(), reference, context.call);
      const kept = Object.entries(old.labels).filter(([key]) => !labelRm.includes(key));
      const spec = {
        name: old.name,
        labels: Object.fromEntries([...kept, ...labelAdd]),
        data: file === undefined ? new Uint8Array() : context.terminal.readFile(file),
        templating: templateDriver ?? old.templating,
      };
      const request = { id, version: meta.version, spec, keepServices };
      if (flags.dryRun) {
        await dryRun(context, verbs.asUpdate(request), flags.format);
        return;
      }
      const next = await verbs.update(control, request);
      context.terminal.out(`${next.id}\n`);
      if (next.id === id) return;
      const users = (await usersOf(context, verbs.noun)).get(next.id) ?? [];
      for (const service of users) await waitForService(context, service, flags);
    });
}

/** Services by the id of each version that they refer to. */
async function usersOf(
  context: Context,
  noun: 'secret' | 'config',
): Promise<Map<string, Service[]>> {
  const { control } = await context.cluster();
  const users = new Map<string, Service[]>();
  for (const service of await control.listServices({ filter: {} }, context.call)) {
    const { container } = service.spec.task;
    for (const { id } of noun === 'secret' ? container.secrets : container.configs) {
      users.set(id, [...(users.get(id) ?? []), service]);
    }
  }
  return users;
}

function addReads<T extends Secret | Config>(
  group: Command,
  context: Context,
  verbs: Verbs<T>,
): void {
  const { noun } = verbs;
  listing(
    group
      .command('ls')
      .description(`list ${noun}s`)
      .option('-a, --all', 'former versions, too', false),
  ).action(async (flags: ListFlags & { all: boolean }) => {
    const now = context.clock.now();
    const columns: Column<T>[] = [
      { title: 'ID', value: (object) => object.id },
      { title: 'NAME', value: (object) => object.spec.name },
      { title: 'VERSION', value: (object) => `${object.number}` },
      { title: 'CREATED', value: (object) => ago(object.meta.createdAt, now) },
      {
        title: 'REPLACED',
        value: ({ replacedAt }) => (replacedAt === undefined ? '' : ago(replacedAt, now)),
      },
    ];
    const objects = await (await verbs.kind()).list({ filter: {} }, context.call);
    const shown = flags.all ? objects : objects.filter((one) => one.replacedAt === undefined);
    const sorted = shown.toSorted(
      (a, b) => a.spec.name.localeCompare(b.spec.name) || b.number - a.number,
    );
    context.terminal.out(list(formatOf(flags), columns.slice(0, flags.all ? 5 : 4), sorted));
  });

  group
    .command('inspect')
    .description(`show everything about ${noun}s, with their versions and users, as JSON`)
    .argument(`<${noun}...>`, 'name, NAME@VERSION, id or id prefix')
    .action(async (references: string[]) => {
      const kind = await verbs.kind();
      const users = await usersOf(context, noun);
      const objects = await Promise.all(
        references.map((reference) => resolve(kind, reference, context.call)),
      );
      const described = await Promise.all(
        objects.map(async (object) => {
          const { name } = object.spec;
          const versions = await kind.list({ filter: { names: [name] } }, context.call);
          return {
            ...object,
            versions: versions
              .toSorted((a, b) => b.number - a.number)
              .map(({ id, number, meta, replacedAt }) => ({
                number,
                id,
                createdAt: meta.createdAt,
                ...(replacedAt === undefined ? {} : { replacedAt }),
                services: (users.get(id) ?? []).map(({ spec }) => spec.name).toSorted(),
              })),
          };
        }),
      );
      context.terminal.out(json(described, 2));
    });
}

function addRemoval<T extends Secret | Config>(
  group: Command,
  context: Context,
  verbs: Verbs<T>,
): void {
  const { noun } = verbs;
  addDryRunFlags(group.command('rm'))
    .description(`remove ${noun}s that no service uses, with all their versions`)
    .argument(`<${noun}...>`, 'name, id or id prefix; NAME@VERSION for one version')
    .action(async (references: string[], flags: DryRunFlags) => {
      const { control } = await context.cluster();
      const kind = await verbs.kind();
      await forEach(references, async (reference) => {
        const object = await resolve(kind, reference, context.call);
        if (flags.dryRun) {
          await dryRun(context, verbs.asRemove(object.id), flags.format);
          return;
        }
        await verbs.remove(control, object.id);
        context.terminal.out(`${kind.nameOf(object)}\n`);
      });
    });
}
