/** swarmctl image inspect, history, push, save, load, import. */
import { open, rename, rm } from 'node:fs/promises';

import type { ImageDetails, LoadRequest } from '@swarmd/api';
import { errorMessage, SwarmError } from '@swarmd/base';
import type { Call } from '@swarmd/api';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { changedConfig } from '../image-changes.ts';
import { collect } from '../flags.ts';
import { bytes, json, list, parseFormat, type Column, type Format } from '../output.ts';
import { LayerPrinter } from '../pull-progress.ts';
import { registryAuthFor } from '../registry-auth.ts';
import { detailsOf } from './image-dry-run.ts';
import { nodeOf, NODE_FLAG, NODE_HINT } from './on-node.ts';

const TRANSFER_TIMEOUT_MS = 30 * 60_000;

interface NodeFlag {
  node?: string;
}

export function addImageTransferCommands(group: Command, context: Context): void {
  addLooks(group, context);
  group
    .command('push')
    .description('send an image of a node to the registry of its name')
    .argument('<image>', '[registry/]repository[:tag]')
    .option(NODE_FLAG, NODE_HINT)
    .action(async (reference: string, flags: NodeFlag) => {
      const { engine } = await context.cluster();
      const nodeId = await nodeOf(context, flags.node);
      const request = { nodeId, reference, ...registryAuthFor(context, reference) };
      const printer = new LayerPrinter(context.terminal);
      for await (const { layers } of engine.pushImage(request, patient(context))) {
        printer.show({ kind: 'progress', layers });
      }
      context.terminal.err(`pushed ${reference}\n`);
    });
  group
    .command('save')
    .description('images of a node as one tar archive: an OCI layout and what docker loads in one')
    .argument('<image...>', 'names')
    .option('-o, --output <file>', 'file to write; "-" is standard output', '-')
    .option(NODE_FLAG, NODE_HINT)
    .action(async (references: string[], flags: NodeFlag & { output: string }) => {
      const { engine } = await context.cluster();
      const nodeId = await nodeOf(context, flags.node);
      const archive = engine.saveImages({ nodeId, references }, patient(context));
      await writeTo(context, flags.output, archive);
    });
  addLoads(group, context);
}

function addLooks(group: Command, context: Context): void {
  group
    .command('inspect')
    .description('show everything about images of a node, as JSON')
    .argument('<image...>', 'names')
    .option(NODE_FLAG, NODE_HINT)
    .action(async (references: string[], flags: NodeFlag) => {
      const nodeId = await nodeOf(context, flags.node);
      const all = await Promise.all(
        references.map((reference) => detailsOf(context, nodeId, reference)),
      );
      const shown = all.map(({ image, names, config, layers }) => ({
        ...image,
        names,
        layers,
        config: JSON.parse(config) as unknown,
      }));
      context.terminal.out(json(shown, 2));
    });
  group
    .command('history')
    .description('show how an image of a node was made, newest step first')
    .argument('<image>', 'name')
    .option(NODE_FLAG, NODE_HINT)
    .option('--format <table|json>', 'output format', parseFormat, 'table')
    .action(async (reference: string, flags: NodeFlag & { format: Format }) => {
      const nodeId = await nodeOf(context, flags.node);
      const details = await detailsOf(context, nodeId, reference);
      context.terminal.out(list(flags.format, HISTORY, historyOf(details)));
    });
}

function addLoads(group: Command, context: Context): void {
  group
    .command('load')
    .description('make images of a tar archive (OCI layout, docker save) present on a node')
    .option('-i, --input <file>', 'file to read; "-" is standard input', '-')
    .option(NODE_FLAG, NODE_HINT)
    .action(async (flags: NodeFlag & { input: string }) =>
      load(context, flags, { importAs: '', config: '' }),
    );
  group
    .command('import')
    .description('make an image of a root file system, a tar archive')
    .argument('<file>', 'file to read; "-" is standard input')
    .argument('<image>', 'the name it gets')
    .option(
      '-c, --change <instruction>',
      'CMD, ENTRYPOINT, ENV, LABEL, STOPSIGNAL, USER or WORKDIR as in a Dockerfile; may be repeated',
      collect((text) => text),
    )
    .option(NODE_FLAG, NODE_HINT)
    .action(async (input: string, importAs: string, flags: NodeFlag & { change?: string[] }) => {
      const config = JSON.stringify(changedConfig(flags.change ?? []));
      await load(context, { ...flags, input }, { importAs, config });
    });
}

async function load(
  context: Context,
  flags: NodeFlag & { input: string },
  how: { readonly importAs: string; readonly config: string },
): Promise<void> {
  const { engine } = await context.cluster();
  const nodeId = await nodeOf(context, flags.node);
  const archive =
    flags.input === '-' ? context.terminal.console.input() : await contentOf(flags.input);
  const messages = async function* (): AsyncGenerator<LoadRequest> {
    yield { kind: 'start', nodeId, ...how };
    for await (const data of archive) yield { kind: 'data', data };
  };
  for await (const { references } of engine.loadImages(messages(), patient(context))) {
    for (const reference of references) context.terminal.out(`${reference}\n`);
  }
}

/** Opened before anything is sent: a stream that fails while nobody reads it would end the process. */
async function contentOf(path: string): Promise<AsyncIterable<Uint8Array>> {
  try {
    const file = await open(path);
    return file.createReadStream() as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw new SwarmError('failed-precondition', `${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** A file is there when it is whole. */
async function writeTo(
  { terminal }: Context,
  path: string,
  archive: AsyncIterable<Uint8Array>,
): Promise<void> {
  if (path === '-') {
    if (terminal.console.isTerminal) {
      throw new SwarmError('invalid-argument', 'an archive is not for a terminal: use --output');
    }
    for await (const piece of archive) await terminal.console.write('stdout', piece);
    return;
  }
  const temporary = `${path}.part`;
  try {
    await using file = await open(temporary, 'w', 0o600);
    for await (const piece of archive) await file.appendFile(piece);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    if (error instanceof SwarmError) throw error;
    throw new SwarmError('failed-precondition', `${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

function patient({ call }: Context): Call {
  return { ...call, timeoutMs: TRANSFER_TIMEOUT_MS };
}

interface HistoryStep {
  readonly created: string;
  readonly by: string;
  readonly bytes: number;
  readonly comment: string;
}

const HISTORY: readonly Column<HistoryStep>[] = [
  { title: 'CREATED', value: ({ created }) => created },
  { title: 'BLOB', value: (step) => bytes(step.bytes) },
  { title: 'COMMENT', value: ({ comment }) => comment },
  { title: 'CREATED BY', value: ({ by }) => by },
];

interface ImageConfig {
  readonly history?: readonly {
    readonly created?: string;
    readonly created_by?: string;
    readonly comment?: string;
    readonly empty_layer?: boolean;
  }[];
}

/** Layers that the image does not tell the making of are steps, too. */
function historyOf({ config, layers }: ImageDetails): HistoryStep[] {
  const { history = [] } = JSON.parse(config) as ImageConfig;
  const left = [...layers];
  const steps = history.map((step) => ({
    created: step.created ?? '',
    by: step.created_by ?? '',
    comment: step.comment ?? '',
    bytes: step.empty_layer === true ? 0 : (left.shift()?.bytes ?? 0),
  }));
  const untold = left.map((layer) => ({ created: '', by: '', comment: '', bytes: layer.bytes }));
  return [...steps, ...untold].toReversed();
}
