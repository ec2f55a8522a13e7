/** swarmctl network keys: which keys encrypted networks use, and who has them; never the keys themselves. */
import { SwarmError } from '@swarmd/base';
import type { Node, OverlayKeys } from '@swarmd/model';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { ago, json, parseFormat, table, type Column, type Format } from '../output.ts';

/** A key by what it is for. */
export interface KeyUse {
  readonly id: number;
  readonly use: string;
  readonly createdAt: number;
}

export function keyUses(ring: OverlayKeys | undefined): KeyUse[] {
  if (ring === undefined) return [];
  return ring.keys.map(({ id, createdAt }) => ({ id, use: useOf(id, ring.primary), createdAt }));
}

function useOf(id: number, primary: number): string {
  if (id === primary) return 'sent and received by';
  return id < primary
    ? 'received by, until the next change'
    : 'received by, sent by after the next';
}

interface Flags {
  rotate: boolean;
  format: Format;
}

export function addNetworkKeys(group: Command, context: Context): void {
  group
    .command('keys')
    .description('show the keys of encrypted networks by number and age, and which nodes have them')
    .option('--rotate', 'ask for new ones, as soon as every node has the present ones', false)
    .option('--format <table|json>', 'output format', parseFormat, 'table')
    .action(async ({ rotate, format }: Flags) => {
      const { control } = await context.cluster();
      let cluster = await control.getCluster({}, context.call);
      if (rotate) {
        const rotation = { rotateWorkerToken: false, rotateManagerToken: false };
        const { version } = cluster.meta;
        const request = { version, ...rotation, rotateOverlayKeys: true };
        cluster = await control.updateCluster(request, context.call);
      }
      const ring = cluster.overlayKeys;
      if (ring === undefined) {
        throw new SwarmError(
          'failed-precondition',
          'there are no keys: this cluster never had an encrypted network; make one with network create --opt encrypted',
        );
      }
      const nodes = await control.listNodes({ filter: {} }, context.call);
      const now = context.clock.now();
      if (format === 'json') {
        context.terminal.out(json(keyUses(ring)));
        return;
      }
      context.terminal.out(table(keyColumns(now), keyUses(ring)));
      context.terminal.out(`\n${table(nodeColumns(ring), nodes)}`);
      context.terminal.out(`\n${nextChange(ring, now)}\n`);
    });
}

function keyColumns(now: number): readonly Column<KeyUse>[] {
  return [
    { title: 'KEY', value: ({ id }) => String(id) },
    { title: 'MADE', value: ({ createdAt }) => ago(createdAt, now) },
    { title: 'USE', value: ({ use }) => use },
  ];
}

function nodeColumns(ring: OverlayKeys): readonly Column<Node>[] {
  return [
    { title: 'NODE', value: ({ id, description }) => description?.hostname ?? id },
    { title: 'ENCRYPTION', value: (node) => partOf(node, ring) },
  ];
}

function partOf({ description, status }: Node, { keys }: OverlayKeys): string {
  const part = description?.encryption;
  if (part === undefined) return 'cannot: its version knows no encrypted networks';
  if (part.lacks !== '') return `cannot: ${part.lacks}`;
  if (part.incarnation === '') return 'has no encrypted network';
  const newest = keys.at(-1)?.id ?? 0;
  if (part.newestKey >= newest) return 'has these keys';
  const state = status.state === 'ready' ? 'is waited for' : `is ${status.state}`;
  return `has keys up to ${part.newestKey}, ${state}`;
}

function nextChange({ dueAt }: OverlayKeys, now: number): string {
  const minutes = Math.ceil((dueAt - now) / 60_000);
  if (minutes <= 0) return 'next change: as soon as every node has these keys';
  const hours = Math.floor(minutes / 60);
  return `next change: in ${hours > 0 ? `${hours} h ` : ''}${minutes % 60} min`;
}
