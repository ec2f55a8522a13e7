/** swarmctl explain ...: why things are as they are. */
import { errorCode, SwarmError } from '@swarmd/base';
import type { Command } from 'commander';

import type { Context } from '../context.ts';
import { SUBJECTS, type Found } from './explain-subjects.ts';

export function addExplainCommands(program: Command, context: Context): void {
  const group = program
    .command('explain')
    .description('why things are as they are, and what they wait for')
    .argument('[name]', 'a name, an id or its beginning: whatever has it is explained')
    .action(async (reference: string | undefined, _flags: unknown, command: Command) => {
      if (reference === undefined) command.help({ error: true });
      else await (await foundAnywhere(context, reference)).tell();
    });
  for (const { noun, description, argument, find } of SUBJECTS) {
    group
      .command(noun)
      .description(description)
      .argument(`<${noun}>`, argument)
      .action(async (reference: string) => (await find(context, reference)).tell());
  }
}

/**
 * A full id wins over a name, a name over the beginning of an id, as for one kind of things.
 * @throws SwarmError `not-found`, or `invalid-argument` that says which commands say what is meant.
 */
async function foundAnywhere(context: Context, reference: string): Promise<Found> {
  const found: { readonly noun: string; readonly rank: number; readonly one: Found }[] = [];
  const failures: unknown[] = [];
  await Promise.all(
    SUBJECTS.map(async ({ noun, find }) => {
      try {
        const one = await find(context, reference);
        found.push({ noun, rank: rankOf(one, reference), one });
      } catch (error) {
        if (errorCode(error) !== 'not-found') failures.push(error);
      }
    }),
  );
  const best = Math.min(...found.map(({ rank }) => rank));
  const meant = found.filter(({ rank }) => rank === best);
  const [first, second] = meant;
  const [failure] = failures;
  // Several of one kind, where something else has the very name.
  if (failure !== undefined && (first === undefined || best === PREFIX)) throw failure;
  if (first === undefined) {
    const nouns = SUBJECTS.map(({ noun }) => noun).join(', ');
    throw new SwarmError('not-found', `nothing is called "${reference}": no ${nouns}`);
  }
  if (second === undefined) return first.one;
  const commands = SUBJECTS.filter(({ noun }) => meant.some((it) => it.noun === noun))
    .map(({ noun }) => `swarmctl explain ${noun} ${reference}`)
    .join(', or ');
  throw new SwarmError('invalid-argument', `several things are called "${reference}": ${commands}`);
}

const [ID, NAME, PREFIX] = [0, 1, 2];

function rankOf({ id, name }: Found, reference: string): number {
  if (id === reference) return ID;
  return name === reference || !id.startsWith(reference) ? NAME : PREFIX;
}
