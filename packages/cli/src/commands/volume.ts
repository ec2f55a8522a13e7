/** swarmctl volume ...: named volumes of one node. */
import type { Volume } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';
import type { NodeId } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { collect, parseLabel } from '../flags.ts';
import { ago, json, list, type Column, formatOf, listing, type ListFlags } from '../output.ts';
import { forEach } from '../several.ts';
import { nodeOf, NODE_FLAG, NODE_HINT } from './on-node.ts';

export function addVolumeCommands(program: Command, context: Context): void {
  const group = program.command('volume').description('named volumes of a node');

  group
    .command('create')
    .description('make a volume, unless it is there')
    .argument('<name>', 'unique on its node')
    .option(NODE_FLAG, NODE_HINT)
    .option('-d, --driver <name>', 'who keeps it', 'local')
    .option('-o, --opt <key=value>', 'option of the driver', collect(parseLabel))
    .option('--label <key=value>', 'label', collect(parseLabel))
    .action(
      async (
        name: string,
        flags: {
          node?: string;
          driver: string;
          opt?: [string, string][];
          label?: [string, string][];
        },
      ) => {
        const { engine } = await context.cluster();
        const nodeId = await nodeOf(context, flags.node);
        const options = Object.fromEntries(flags.opt ?? []);
        const labels = Object.fromEntries(flags.label ?? []);
        const request = { nodeId, name, driver: flags.driver, options, labels };
        context.terminal.out(`${(await engine.createVolume(request, context.call)).name}\n`);
      },
    );

  listing(
    group.command('ls').description('list the volumes of a node').option(NODE_FLAG, NODE_HINT),
  ).action(async (flags: ListFlags & { node?: string }) => {
    const { engine } = await context.cluster();
    const nodeId = await nodeOf(context, flags.node);
    const volumes = await engine.listVolumes({ nodeId }, context.call);
    context.terminal.out(list(formatOf(flags), columns(context.clock.now()), volumes));
  });

  group
    .command('inspect')
    .description('show everything about volumes, as JSON')
    .argument('<name...>', 'names')
    .option(NODE_FLAG, NODE_HINT)
    .action(async (names: string[], flags: { node?: string }) => {
      const { engine } = await context.cluster();
      const nodeId = await nodeOf(context, flags.node);
      const volumes = await engine.listVolumes({ nodeId }, context.call);
      context.terminal.out(
        json(
          names.map((name) => named(volumes, name)),
          2,
        ),
      );
    });

  addRemoval(group, context);
}

function addRemoval(group: Command, context: Context): void {
  group
    .command('rm')
    .description('remove volumes and what is in them')
    .argument('<name...>', 'names')
    .option(NODE_FLAG, NODE_HINT)
    .action(async (names: string[], flags: { node?: string }) => {
      const nodeId = await nodeOf(context, flags.node);
      await remove(context, nodeId, names);
    });

  group
    .command('prune')
    .description('remove all volumes of a node that no container uses, and what is in them')
    .option(NODE_FLAG, NODE_HINT)
    .requiredOption('-f, --force', 'yes, really')
    .action(async (flags: { node?: string }) => {
      const { engine } = await context.cluster();
      const nodeId = await nodeOf(context, flags.node);
      const volumes = await engine.listVolumes({ nodeId }, context.call);
      const idle = volumes.filter((volume) => !volume.used).map((volume) => volume.name);
      await remove(context, nodeId, idle);
    });
}

async function remove(context: Context, nodeId: NodeId, names: readonly string[]): Promise<void> {
  const { engine } = await context.cluster();
  await forEach(names, async (name) => {
    await engine.removeVolume({ nodeId, name }, context.call);
    context.terminal.out(`${name}\n`);
  });
}

function named(volumes: readonly Volume[], name: string): Volume {
  const found = volumes.find((volume) => volume.name === name);
  if (found !== undefined) return found;
  throw new SwarmError('not-found', `no such volume: "${name}" (see: swarmctl volume ls)`);
}

const columns = (now: number): readonly Column<Volume>[] => [
  { title: 'NAME', value: (volume) => volume.name },
  { title: 'DRIVER', value: (volume) => volume.driver },
  { title: 'USED', value: (volume) => (volume.used ? 'yes' : 'no') },
  {
    title: 'CREATED',
    value: (volume) => (volume.createdAt === 0 ? '' : ago(volume.createdAt, now)),
  },
];
