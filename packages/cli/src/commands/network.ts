/** swarmctl network ... */
import { resolve } from '@swarmd/client';
import type { Network } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { collect, oneOf, parseCount, parseLabel } from '../flags.ts';
import { json, list, parseFormat, type Column, type Format } from '../output.ts';
import { forEach } from '../several.ts';
import { networkKind } from './kinds.ts';

const COLUMNS: readonly Column<Network>[] = [
  { title: 'ID', value: (network) => network.id.slice(0, 12) },
  { title: 'NAME', value: (network) => network.spec.name },
  { title: 'DRIVER', value: (network) => network.spec.driver },
  { title: 'SUBNET', value: (network) => network.subnet },
  { title: 'VNI', value: (network) => String(network.vni) },
];

interface CreateFlags {
  driver: 'overlay';
  subnet?: string;
  internal: boolean;
  mtu?: number;
  label?: [string, string][];
}

export function addNetworkCommands(program: Command, context: Context): void {
  const group = program.command('network').description('overlay networks between containers');

  group
    .command('create')
    .description('create an overlay network')
    .argument('<name>')
    .option('-d, --driver <overlay>', 'kind of network', oneOf('overlay'), 'overlay')
    .option(
      '--subnet <cidr>',
      'addresses, e.g. 10.1.0.0/24 (default: from the pool of the cluster)',
    )
    .option('--internal', 'no way out of the network', false)
    .option('--mtu <bytes>', 'largest packet', parseCount)
    .option('--label <key=value>', 'label', collect(parseLabel))
    .action(async (name: string, flags: CreateFlags) => {
      const { control } = await context.cluster();
      const { label, ...rest } = flags;
      const spec = {
        name,
        ...rest,
        ...(label === undefined ? {} : { labels: Object.fromEntries(label) }),
      };
      const network = await control.createNetwork({ spec }, context.call);
      context.terminal.out(`${network.id}\n`);
    });

  group
    .command('ls')
    .description('list networks')
    .option('--format <table|json>', 'output format', parseFormat, 'table')
    .action(async (flags: { format: Format }) => {
      const { control } = await context.cluster();
      const networks = await control.listNetworks({ filter: {} }, context.call);
      context.terminal.out(
        list(
          flags.format,
          COLUMNS,
          networks.toSorted((a, b) => a.vni - b.vni),
        ),
      );
    });

  group
    .command('inspect')
    .description('show everything about networks, as JSON')
    .argument('<network...>', 'name, id or id prefix')
    .action(async (references: string[]) => {
      const kind = await networkKind(context);
      const networks = await Promise.all(
        references.map((reference) => resolve(kind, reference, context.call)),
      );
      context.terminal.out(json(networks, 2));
    });

  group
    .command('rm')
    .description('remove networks that no service uses')
    .argument('<network...>', 'name, id or id prefix')
    .action(async (references: string[]) => {
      const { control } = await context.cluster();
      const kind = await networkKind(context);
      await forEach(references, async (reference) => {
        const network = await resolve(kind, reference, context.call);
        await control.removeNetwork({ id: network.id }, context.call);
        context.terminal.out(`${network.spec.name}\n`);
      });
    });
}
