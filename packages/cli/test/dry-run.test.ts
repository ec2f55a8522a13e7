/** Every command that writes the desired state has --dry-run, or it is said here why not. */
import { ManualClock } from '@swarmd/base/testing';
import type { Command } from 'commander';
import { expect, test } from 'vitest';

import { buildProgram } from '../src/program.ts';

const READS =
  /( ls| inspect| ps| history| logs| stats| top| status| df| explain)$|^(doctor|explain|info)\b|^events$/;

const MACHINE = 'it acts on this machine, and writes no desired state';
const CONTAINER = 'it acts on a container at once: nothing is planned';
const NODE = 'it copies between a node and a registry or an archive, and nobody is without it';

/** Commands that write something and have none, with the reason. */
const WITHOUT: Readonly<Record<string, string>> = {
  'swarm init': MACHINE,
  'swarm join': MACHINE,
  'swarm leave': MACHINE,
  'network keys': 'new keys change nothing that anybody sees',
  'registry login': MACHINE,
  'registry logout': MACHINE,
  'task exec': CONTAINER,
  'task attach': CONTAINER,
  'task pause': CONTAINER,
  'task unpause': CONTAINER,
  'task signal': CONTAINER,
  'task cp': CONTAINER,
  'image push': NODE,
  'image save': NODE,
  'image load': NODE,
  'image import': NODE,
};

function leaves(command: Command, path: readonly string[]): [string, Command][] {
  if (command.commands.length === 0) return [[path.join(' '), command]];
  return command.commands.flatMap((child) => leaves(child, [...path, child.name()]));
}

const program = buildProgram({
  terminal: { out: () => undefined, err: () => undefined },
  clock: new ManualClock(0),
} as never);
const writes = leaves(program, []).filter(([name]) => !READS.test(name));

test.each(writes)('swarmctl %s has --dry-run, or a reason for none', (name, command) => {
  const hasDryRun = command.options.some(({ long }) => long === '--dry-run');
  expect(hasDryRun).toBe(!Object.hasOwn(WITHOUT, name));
});

test('reasons are for commands that there are', () => {
  const names = writes.map(([name]) => name);
  expect(Object.keys(WITHOUT).filter((name) => !names.includes(name))).toEqual([]);
  expect(names).toContain('service create');
});
