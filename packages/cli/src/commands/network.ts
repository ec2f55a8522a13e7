/** swarmctl network ... */
import { errorCode, SwarmError } from '@swarmd/base';
import { resolve } from '@swarmd/client';
import {
  isEncrypted,
  type Network,
  type NetworkAttachmentSpec,
  type NetworkSpec,
} from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { addDryRunFlags, dryRun, type DryRunFlags } from '../dry-run.ts';
import {
  collect,
  FORCE_FLAG,
  FORCE_HINT,
  oneOf,
  parseCount,
  parseLabel,
  parseText,
} from '../flags.ts';
import { json, list, shortId, type Column, formatOf, listing, type ListFlags } from '../output.ts';
import { forEach } from '../several.ts';
import { findService, networkKind } from './kinds.ts';
import { addNetworkExplain } from './network-explain.ts';
import { addNetworkKeys, keyUses } from './network-keys.ts';

const COLUMNS: readonly Column<Network>[] = [
  { title: 'ID', value: (network) => shortId(network.id) },
  { title: 'NAME', value: (network) => network.spec.name },
  { title: 'DRIVER', value: (network) => network.spec.driver },
  {
    title: 'SUBNET',
    value: (network) => [network.subnet, ...network.spec.moreSubnets].join(','),
  },
  { title: 'VNI', value: (network) => String(network.vni) },
  { title: 'ENCRYPTED', value: ({ spec }) => (isEncrypted(spec) ? 'yes' : '') },
];

interface CreateFlags extends DryRunFlags {
  driver: NetworkSpec['driver'];
  subnet?: string;
  internal: boolean;
  ipv6?: boolean;
  attachable: boolean;
  gateway?: string;
  ipRange?: string;
  auxAddress?: [string, string][];
  mtu?: number;
  label?: [string, string][];
  opt?: [string, string][];
}

const NETWORK_DRIVERS = ['overlay', 'bridge', 'macvlan', 'host', 'none'] as const;

export function addNetworkCommands(program: Command, context: Context): void {
  const group = program.command('network').description('networks of containers');
  addCreate(group, context);
  addReads(group, context);
  addNetworkExplain(group, context);
  addNetworkKeys(group, context);
  addUpdate(group, context);
  addConnections(group, context);
  addRemovals(group, context);
}

function addCreate(group: Command, context: Context): void {
  addDryRunFlags(group.command('create'))
    .description('create a network')
    .argument('<name>', 'unique among its kind')
    .option(
      '-d, --driver <driver>',
      'overlay, bridge (on each node alone), macvlan, host or none',
      oneOf(...NETWORK_DRIVERS),
      'overlay',
    )
    .option(
      '-o, --opt <key=value>',
      'option of the driver; overlay: encrypted; macvlan: parent=INTERFACE, macvlan_mode=bridge|private|vepa',
      collect(parseLabel),
    )
    .option(
      '--subnet <cidr>',
      'addresses, e.g. 10.1.0.0/24 (default: from the pool of the cluster)',
    )
    .option('--gateway <address>', 'address that no task gets (default: the first)')
    .option('--ip-range <cidr>', 'part of the subnet that addresses are given out of')
    .option(
      '--aux-address <name=address>',
      'address that somebody else has: given to nobody',
      collect(parseLabel),
    )
    .option('--internal', 'no way out of the network', false)
    .option('--ipv6', 'IPv6 addresses between the containers, besides IPv4')
    .option(
      '--attachable',
      'as Docker\u2019s; all containers are tasks here, which may join every network',
      false,
    )
    .option(
      '--mtu <bytes>',
      'largest packet (default: what the nodes’ own links leave)',
      parseCount,
    )
    .option('--label <key=value>', 'label', collect(parseLabel))
    .action(async (name: string, flags: CreateFlags) => {
      const { label, auxAddress, opt, dryRun: isDry, format, ...rest } = flags;
      const spec = {
        name,
        ...rest,
        ...(auxAddress === undefined ? {} : { reserved: Object.fromEntries(auxAddress) }),
        ...(opt === undefined ? {} : { options: Object.fromEntries(opt) }),
        ...(label === undefined ? {} : { labels: Object.fromEntries(label) }),
      };
      if (isDry) {
        await dryRun(context, { kind: 'create-network', spec }, format);
        return;
      }
      const { control } = await context.cluster();
      const network = await control.createNetwork({ spec }, context.call);
      context.terminal.out(`${network.id}\n`);
    });
}

function addReads(group: Command, context: Context): void {
  listing(group.command('ls').description('list networks')).action(async (flags: ListFlags) => {
    const { control } = await context.cluster();
    const networks = await control.listNetworks({ filter: {} }, context.call);
    context.terminal.out(
      list(
        formatOf(flags),
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
      const encrypted = networks.some(({ spec }) => isEncrypted(spec));
      const { control } = await context.cluster();
      const cluster = encrypted ? await control.getCluster({}, context.call) : undefined;
      const shown = networks.map((network) =>
        isEncrypted(network.spec) ? { ...network, keys: keyUses(cluster?.overlayKeys) } : network,
      );
      context.terminal.out(json(shown, 2));
    });
}

interface UpdateFlags extends DryRunFlags {
  labelAdd?: [string, string][];
  labelRm?: string[];
  subnetAdd?: string[];
}

function addUpdate(group: Command, context: Context): void {
  addDryRunFlags(group.command('update'))
    .description('change the labels of a network, or give it more addresses')
    .argument('<network>', 'name, id or id prefix')
    .option('--label-add <key=value>', 'add or change a label', collect(parseLabel))
    .option('--label-rm <key>', 'remove a label', collect(parseText))
    .option(
      '--subnet-add <cidr>',
      'one more subnet, used when the others are full',
      collect(parseText),
    )
    .action(async (reference: string, flags: UpdateFlags) => {
      const { labelAdd = [], labelRm = [], subnetAdd = [] } = flags;
      if (labelAdd.length + labelRm.length + subnetAdd.length === 0) {
        throw new SwarmError(
          'invalid-argument',
          'nothing to change: give --label-add, --label-rm or --subnet-add',
        );
      }
      const { control } = await context.cluster();
      const { id, meta, spec } = await resolve(await networkKind(context), reference, context.call);
      const kept = Object.entries(spec.labels).filter(([key]) => !labelRm.includes(key));
      const changed = {
        ...spec,
        labels: Object.fromEntries([...kept, ...labelAdd]),
        moreSubnets: [...new Set([...spec.moreSubnets, ...subnetAdd])],
      };
      const request = { id, version: meta.version, spec: changed };
      if (flags.dryRun) {
        await dryRun(context, { kind: 'update-network', ...request }, flags.format);
        return;
      }
      await control.updateNetwork(request, context.call);
      context.terminal.out(`${spec.name}\n`);
    });
}

/** What `service update --network-add` and `--network-rm` do, in the words of others. */
function addConnections(group: Command, context: Context): void {
  const change = async (
    references: { network: string; service: string; flags: DryRunFlags },
    networksOf: (present: readonly NetworkAttachmentSpec[], id: string) => NetworkAttachmentSpec[],
  ): Promise<void> => {
    const { control } = await context.cluster();
    const network = await resolve(await networkKind(context), references.network, context.call);
    const { id, meta, spec } = await findService(context, references.service);
    const networks = networksOf(spec.task.networks, network.id);
    if (networks.length === spec.task.networks.length) {
      context.terminal.err(`nothing to change: service ${spec.name} is so already\n`);
      return;
    }
    const changed = { ...spec, task: { ...spec.task, networks } };
    const request = { id, version: meta.version, spec: changed, rollback: false };
    const { dryRun: isDry, format } = references.flags;
    if (isDry) {
      await dryRun(context, { kind: 'update-service', ...request }, format);
      return;
    }
    await control.updateService(request, context.call);
    context.terminal.out(`${spec.name}\n`);
  };
  addDryRunFlags(group.command('connect'))
    .description('attach a service to a network; its tasks are replaced')
    .argument('<network>', 'name, id or id prefix')
    .argument('<service>', 'name, id or id prefix')
    .option('--alias <name>', 'one more name on the network', collect(parseText))
    .action(async (network: string, service: string, flags: DryRunFlags & { alias?: string[] }) =>
      change({ network, service, flags }, (present, target) =>
        present.some((one) => one.target === target)
          ? [...present]
          : [...present, { target, aliases: flags.alias ?? [] }],
      ),
    );
  addDryRunFlags(group.command('disconnect'))
    .description('detach a service from a network; its tasks are replaced')
    .argument('<network>', 'name, id or id prefix')
    .argument('<service>', 'name, id or id prefix')
    .action(async (network: string, service: string, flags: DryRunFlags) =>
      change({ network, service, flags }, (present, target) =>
        present.filter((one) => one.target !== target),
      ),
    );
}

function addRemovals(group: Command, context: Context): void {
  addDryRunFlags(group.command('prune'))
    .description('remove all networks that nothing uses')
    .option(FORCE_FLAG, FORCE_HINT)
    .action(async (flags: DryRunFlags) => {
      const { control } = await context.cluster();
      for (const network of await control.listNetworks({ filter: {} }, context.call)) {
        try {
          // What could be removed is what would be: nothing of a dry run happens to the one before.
          if (flags.dryRun) {
            await control.preview({ kind: 'remove-network', id: network.id }, context.call);
            context.terminal.out(`dry run: ${network.spec.name} would be removed\n`);
            continue;
          }
          await control.removeNetwork({ id: network.id }, context.call);
          context.terminal.out(`${network.spec.name}\n`);
        } catch (error) {
          // In use, or removed by somebody else meanwhile.
          if (!['failed-precondition', 'not-found'].includes(errorCode(error))) throw error;
        }
      }
    });

  addDryRunFlags(group.command('rm'))
    .description('remove networks that no service uses')
    .argument('<network...>', 'name, id or id prefix')
    .action(async (references: string[], flags: DryRunFlags) => {
      const { control } = await context.cluster();
      const kind = await networkKind(context);
      await forEach(references, async (reference) => {
        const network = await resolve(kind, reference, context.call);
        if (flags.dryRun) {
          await dryRun(context, { kind: 'remove-network', id: network.id }, flags.format);
          return;
        }
        await control.removeNetwork({ id: network.id }, context.call);
        context.terminal.out(`${network.spec.name}\n`);
      });
    });
}
