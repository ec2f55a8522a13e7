/** swarmctl volume ...: named volumes of one node. */
import type { Volume } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';
import type { NodeId } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { collect, parseLabel } from '../flags.ts';
import {
  addNodeDryRunFlags,
  printNodeChanges,
  printRemovals,
  refuseUsed,
  type NodeChange,
  type NodeDryRunFlags,
} from '../node-dry-run.ts';
import { ago, json, list, type Column, formatOf, listing, type ListFlags } from '../output.ts';
import { forEach } from '../several.ts';
import { nodeOf, NODE_FLAG, NODE_HINT } from './on-node.ts';

export function addVolumeCommands(program: Command, context: Context): void {
  const group = program.command('volume').description('named volumes of a node');

  addNodeDryRunFlags(group.command('create'))
    .description('make a volume, unless it is there')
    .argument('<name>', 'unique on its node')
    .option(NODE_FLAG, NODE_HINT)
    .option('-d, --driver <name>', 'who keeps it', 'local')
    .option('-o, --opt <key=value>', 'option of the driver', collect(parseLabel))
    .option('--label <key=value>', 'label', collect(parseLabel))
    .action(
      async (
        name: string,
        flags: NodeDryRunFlags & {
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
        if (flags.dryRun) {
          const volumes = await engine.listVolumes({ nodeId }, context.call);
          printNodeChanges(context, [creation(volumes, name, flags.driver)], flags.format);
          return;
        }
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
  addNodeDryRunFlags(group.command('rm'))
    .description('remove volumes and what is in them')
    .argument('<name...>', 'names')
    .option(NODE_FLAG, NODE_HINT)
    .action(async (names: string[], flags: NodeDryRunFlags & { node?: string }) => {
      const nodeId = await nodeOf(context, flags.node);
      if (!flags.dryRun) {
        await remove(context, nodeId, names);
        return;
      }
      const { engine } = await context.cluster();
      const volumes = await engine.listVolumes({ nodeId }, context.call);
      const wanted = { names, format: flags.format };
      await printRemovals(context, wanted, (name) => removal(named(volumes, name)));
    });

  addNodeDryRunFlags(group.command('prune'))
    .description('remove all volumes of a node that no container uses, and what is in them')
    .option(NODE_FLAG, NODE_HINT)
    .option('-f, --force', 'yes, really', false)
    .action(async (flags: NodeDryRunFlags & { node?: string; force: boolean }) => {
      if (!flags.force && !flags.dryRun) {
        const message = 'this removes data: say --force, or --dry-run to see of which volumes';
        throw new SwarmError('invalid-argument', message);
      }
      const { engine } = await context.cluster();
      const nodeId = await nodeOf(context, flags.node);
      const volumes = await engine.listVolumes({ nodeId }, context.call);
      const idle = volumes.filter((volume) => !volume.used);
      if (flags.dryRun) printNodeChanges(context, idle.map(removal), flags.format);
      else {
        await remove(
          context,
          nodeId,
          idle.map(({ name }) => name),
        );
      }
    });
}

/** @throws SwarmError `already-exists` as the node would. */
function creation(volumes: readonly Volume[], name: string, driver: string): NodeChange {
  const known = volumes.find((volume) => volume.name === name);
  if (known === undefined) return { action: 'create', name, detail: `driver ${driver}` };
  if (known.driver === driver) return { action: 'keep', name, detail: 'it is there already' };
  throw new SwarmError(
    'already-exists',
    `volume ${name} is there already, of driver "${known.driver}" instead of "${driver}"`,
  );
}

function removal({ name, driver, used }: Volume): NodeChange {
  if (used) refuseUsed(`volume ${name}`);
  return { action: 'remove', name, detail: `with what is in it (driver ${driver})` };
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
