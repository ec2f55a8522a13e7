/** swarmctl secret ... and swarmctl config ...: the same verbs over two kinds of content. */
import { resolve, type Kind } from '@swarmd/client';
import type { Config, ConfigId, Secret, SecretId } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { collect, parseLabel, oneOf } from '../flags.ts';
import { ago, json, list, parseFormat, type Column, type Format } from '../output.ts';
import { forEach } from '../several.ts';
import { configKind, secretKind } from './kinds.ts';

interface Verbs<T extends Secret | Config> {
  readonly noun: 'secret' | 'config';
  readonly kind: () => Promise<Kind<T>>;
  readonly create: (spec: {
    name: string;
    labels: Record<string, string>;
    data: Uint8Array;
    templating: 'none' | 'golang';
  }) => Promise<T>;
  readonly remove: (id: string) => Promise<void>;
}

export function addSecretCommands(program: Command, context: Context): void {
  addVerbs<Secret>(program, context, {
    noun: 'secret',
    kind: () => secretKind(context),
    create: async (spec) => (await context.cluster()).control.createSecret({ spec }, context.call),
    remove: async (id) =>
      (await context.cluster()).control.removeSecret({ id: id as SecretId }, context.call),
  });
}

export function addConfigCommands(program: Command, context: Context): void {
  addVerbs<Config>(program, context, {
    noun: 'config',
    kind: () => configKind(context),
    create: async (spec) => (await context.cluster()).control.createConfig({ spec }, context.call),
    remove: async (id) =>
      (await context.cluster()).control.removeConfig({ id: id as ConfigId }, context.call),
  });
}

interface CreateFileFlags {
  label?: [string, string][];
  templateDriver: 'none' | 'golang';
}

function addVerbs<T extends Secret | Config>(
  program: Command,
  context: Context,
  verbs: Verbs<T>,
): void {
  const { noun } = verbs;
  const group = program.command(noun).description(`${noun}s: content that tasks see as files`);

  group
    .command('create')
    .description(`create a ${noun} from a file`)
    .argument('<name>')
    .argument('<file>', '"-" for standard input')
    .option('--label <key=value>', 'label', collect(parseLabel))
    .option(
      '--template-driver <driver>',
      '"golang": the content is a template, expanded for each task',
      oneOf('none', 'golang'),
      'none',
    )
    .action(async (name: string, file: string, flags: CreateFileFlags) => {
      const labels = Object.fromEntries(flags.label ?? []);
      const data = context.terminal.readFile(file);
      const object = await verbs.create({ name, labels, data, templating: flags.templateDriver });
      context.terminal.out(`${object.id}\n`);
    });

  group
    .command('ls')
    .description(`list ${noun}s`)
    .option('--format <table|json>', 'output format', parseFormat, 'table')
    .action(async (flags: { format: Format }) => {
      const now = context.clock.now();
      const columns: Column<T>[] = [
        { title: 'ID', value: (object) => object.id },
        { title: 'NAME', value: (object) => object.spec.name },
        { title: 'CREATED', value: (object) => ago(object.meta.createdAt, now) },
      ];
      const objects = await (await verbs.kind()).list({ filter: {} }, context.call);
      context.terminal.out(
        list(
          flags.format,
          columns,
          objects.toSorted((a, b) => a.spec.name.localeCompare(b.spec.name)),
        ),
      );
    });

  group
    .command('inspect')
    .description(`show everything about ${noun}s, as JSON`)
    .argument(`<${noun}...>`, 'name, id or id prefix')
    .action(async (references: string[]) => {
      const kind = await verbs.kind();
      const objects = await Promise.all(
        references.map((reference) => resolve(kind, reference, context.call)),
      );
      context.terminal.out(json(objects, 2));
    });

  group
    .command('rm')
    .description(`remove ${noun}s that no service uses`)
    .argument(`<${noun}...>`, 'name, id or id prefix')
    .action(async (references: string[]) => {
      const kind = await verbs.kind();
      await forEach(references, async (reference) => {
        const object = await resolve(kind, reference, context.call);
        await verbs.remove(object.id);
        context.terminal.out(`${object.spec.name}\n`);
      });
    });
}
