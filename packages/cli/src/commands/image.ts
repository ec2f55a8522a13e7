/** swarmctl image ...: images on one node. Tasks pull theirs by themselves. */
import type { Image } from '@swarmd/api';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { FORCE_FLAG, FORCE_HINT, parseDuration } from '../flags.ts';
import {
  ago,
  bytes,
  json,
  list,
  parseFormat,
  shortId,
  type Column,
  formatOf,
  listing,
  type ListFlags,
} from '../output.ts';
import {
  addNodeDryRunFlag,
  addNodeDryRunFlags,
  printNodeChanges,
  printRemovals,
  type NodeDryRunFlags,
} from '../node-dry-run.ts';
import { pullOf, removalOf, removalsOf, tagOf } from './image-dry-run.ts';
import { byNameOrPin } from '../pinned-image.ts';
import { showPull } from '../pull-progress.ts';
import { registryAuthFor } from '../registry-auth.ts';
import { forEach } from '../several.ts';
import { addImageTransferCommands } from './image-transfer.ts';
import { nodeOf, NODE_FLAG, NODE_HINT } from './on-node.ts';

const PULL_TIMEOUT_MS = 30 * 60_000;

type NodeFlags = NodeDryRunFlags & { node?: string };

export function addImageCommands(program: Command, context: Context): void {
  const group = program.command('image').description('images on a node');

  addNodeDryRunFlags(group.command('pull'))
    .description('make an image present on a node before a task needs it')
    .argument('<image>', '[registry/]repository[:tag][@digest]')
    .option(NODE_FLAG, NODE_HINT)
    .action(async (reference: string, flags: NodeFlags) => {
      const { engine } = await context.cluster();
      const nodeId = await nodeOf(context, flags.node);
      if (flags.dryRun) {
        printNodeChanges(context, [await pullOf(context, nodeId, reference)], flags.format);
        return;
      }
      const call = { ...context.call, timeoutMs: PULL_TIMEOUT_MS };
      const request = { nodeId, reference, ...registryAuthFor(context, reference) };
      const image = await showPull(engine.pullImage(request, call), context.terminal);
      if (context.terminal.interactive) {
        context.terminal.out(`${image.reference} ${image.digest}\n`);
      }
    });

  listing(
    group.command('ls').description('list the images of a node').option(NODE_FLAG, NODE_HINT),
  ).action(async (flags: ListFlags & { node?: string }) => {
    const { engine } = await context.cluster();
    const nodeId = await nodeOf(context, flags.node);
    const images = await engine.listImages({ nodeId }, context.call);
    context.terminal.out(list(formatOf(flags), columns(context.clock.now()), images));
  });

  addImageTransferCommands(group, context);
  addChanges(group, context);
}

function addChanges(group: Command, context: Context): void {
  addNodeDryRunFlags(group.command('tag'))
    .description('give an image of a node another name')
    .argument('<image>', 'a name that it has')
    .argument('<name>', 'the name it gets')
    .option(NODE_FLAG, NODE_HINT)
    .action(async (reference: string, target: string, flags: NodeFlags) => {
      const { engine } = await context.cluster();
      const nodeId = await nodeOf(context, flags.node);
      if (flags.dryRun) {
        const change = await tagOf(context, { nodeId, reference, target });
        printNodeChanges(context, [change], flags.format);
        return;
      }
      await byNameOrPin(context, { nodeId, reference }, (name) =>
        engine.tagImage({ nodeId, reference: name, target }, context.call),
      );
    });

  addNodeDryRunFlags(group.command('rm'))
    .description('take names from images of a node; what no name needs goes from its disk')
    .argument('<image...>', 'names')
    .option(NODE_FLAG, NODE_HINT)
    .action(async (references: string[], flags: NodeFlags) => {
      const { engine } = await context.cluster();
      const nodeId = await nodeOf(context, flags.node);
      if (flags.dryRun) {
        const wanted = { names: references, format: flags.format };
        await printRemovals(context, wanted, (name) => removalOf(context, nodeId, name));
        return;
      }
      await forEach(references, async (reference) => {
        await byNameOrPin(context, { nodeId, reference }, async (name) => {
          const request = { nodeId, reference: name };
          const { freedBytes } = await engine.removeImage(request, context.call);
          context.terminal.out(`${name} (${bytes(freedBytes)})\n`);
        });
      });
    });

  addNodeDryRunFlag(group.command('prune'))
    .description('remove the images of a node that no container is made of')
    .option(NODE_FLAG, NODE_HINT)
    .option(FORCE_FLAG, FORCE_HINT)
    .option('--unused-for <duration>', 'only those unused for so long', parseDuration, 0)
    .option('--format <table|json>', 'output format', parseFormat, 'table')
    .action(async (flags: NodeFlags & { unusedFor: number }) => {
      const { engine } = await context.cluster();
      const nodeId = await nodeOf(context, flags.node);
      if (flags.dryRun) {
        const changes = await removalsOf(context, nodeId, flags.unusedFor);
        printNodeChanges(context, changes, flags.format);
        return;
      }
      const request = { nodeId, unusedForMs: flags.unusedFor };
      const pruned = await engine.pruneImages(request, context.call);
      if (flags.format === 'json') {
        context.terminal.out(json([pruned]));
        return;
      }
      for (const reference of pruned.references) context.terminal.out(`${reference}\n`);
      context.terminal.out(`given back: ${bytes(pruned.freedBytes)}\n`);
    });
}

const columns = (now: number): readonly Column<Image>[] => [
  { title: 'IMAGE', value: (image) => image.reference },
  { title: 'ID', value: (image) => shortId(image.id.replace('sha256:', '')) },
  { title: 'SIZE', value: (image) => bytes(image.bytes) },
  { title: 'USED', value: (image) => (image.used ? 'yes' : 'no') },
  { title: 'PULLED', value: (image) => (image.pulledAt === 0 ? '' : ago(image.pulledAt, now)) },
];
