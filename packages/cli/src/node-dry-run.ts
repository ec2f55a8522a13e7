/**
 * `--dry-run` of what acts on the disk of one node. No plan reads that: what would change follows from what the
 * node tells of itself, by the rules that it goes by.
 */
import { SwarmError } from '@swarmd/base';
import type { Command } from 'commander';

import type { Context } from './context.ts';
import { json, parseFormat, table, type Format } from './output.ts';
import { forEach } from './several.ts';

export interface NodeDryRunFlags {
  readonly dryRun: boolean;
  readonly format: Format;
}

/** One thing on the node, and what the command would do with it. */
export interface NodeChange {
  readonly action: 'create' | 'keep' | 'pull' | 'remove' | 'tag';
  readonly name: string;
  readonly detail: string;
}

export function addNodeDryRunFlag(command: Command): Command {
  return command.option(
    '--dry-run',
    'change nothing, and show what would change on the node',
    false,
  );
}

export function addNodeDryRunFlags(command: Command): Command {
  return addNodeDryRunFlag(command).option(
    '--format <table|json>',
    'output format of --dry-run',
    parseFormat,
    'table',
  );
}

export function printNodeChanges(
  { terminal }: Context,
  changes: readonly NodeChange[],
  format: Format,
): void {
  if (format === 'json') {
    terminal.out(json(changes));
    return;
  }
  const rows =
    changes.length === 0
      ? 'nothing would change\n'
      : table(
          [
            { title: 'ACTION', value: ({ action }) => action },
            { title: 'NAME', value: ({ name }) => name },
            { title: 'DETAIL', value: ({ detail }) => detail },
          ],
          changes,
        );
  terminal.out(`dry run: nothing is changed\n${rows}`);
}

/** One by one, as they would be removed: those that would be refused are said, and the others shown. */
export async function printRemovals(
  context: Context,
  { names, format }: { names: readonly string[]; format: Format },
  removalOf: (name: string) => NodeChange | Promise<NodeChange>,
): Promise<void> {
  const changes: NodeChange[] = [];
  try {
    await forEach(names, async (name) => void changes.push(await removalOf(name)));
  } finally {
    printNodeChanges(context, changes, format);
  }
}

/** As the node would refuse it. */
export function refuseUsed(what: string): never {
  throw new SwarmError('failed-precondition', `${what} is in use by a container of this node`);
}
