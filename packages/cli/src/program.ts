/** The whole command line as one commander program. */
import type { ReplicaState } from '@swarmd/api';
import { errorMessage, SwarmError } from '@swarmd/base';
import { Command, CommanderError } from 'commander';

import { addDoctorCommands } from './commands/doctor.ts';
import { addExplainCommands } from './commands/explain.ts';
import { addConfigCommands, addSecretCommands } from './commands/files.ts';
import { addImageCommands } from './commands/image.ts';
import { addNetworkCommands } from './commands/network.ts';
import { addNodeCommands } from './commands/node.ts';
import { addRegistryCommands } from './commands/registry.ts';
import { addServiceCommands } from './commands/service.ts';
import { addSwarmCommands } from './commands/swarm.ts';
import { addTaskCommands } from './commands/task.ts';
import { addVolumeCommands } from './commands/volume.ts';
import type { Context } from './context.ts';
import { EXIT, exitCodeOf, ExitWith } from './exit-codes.ts';
import { RUN_DIR_DEFAULT } from './run-dir.ts';

const EXIT_HELP = `
Exit codes: 0 done; 1 failed; 2 wrong usage or value; 3 no such object; 4 no daemon, no leader or no answer in time;
5 refused as things are (name taken, port in use, out of date, update paused); 130 interrupted.
task exec and attach: the exit code of the program.`;

export function buildProgram(context: Context): Command {
  const program = new Command('swarmctl')
    .description('drives a swarmd cluster through the daemon of this machine')
    .option(
      '--run-dir <dir>',
      'folder of the daemon\u2019s sockets (or SWARMD_RUN_DIR)',
      RUN_DIR_DEFAULT,
    )
    .version(VERSION, '-V, --version', 'print the version')
    .enablePositionalOptions()
    .addHelpText('after', EXIT_HELP);
  addSwarmCommands(program, context);
  addNodeCommands(program, context);
  addServiceCommands(program, context);
  addTaskCommands(program, context);
  addImageCommands(program, context);
  addRegistryCommands(program, context);
  addVolumeCommands(program, context);
  addExplainCommands(program, context);
  addNetworkCommands(program, context);
  addSecretCommands(program, context);
  addConfigCommands(program, context);
  addDoctorCommands(program, context);
  forEachCommand(program, (command) => {
    if (READS.has(command.name())) addStale(command);
    command
      .exitOverride()
      .showSuggestionAfterError()
      .showHelpAfterError(`(see: ${fullName(command)} --help)`)
      .configureOutput({
        writeOut: context.terminal.out,
        writeErr: context.terminal.err,
        outputError: (text, write) => write(text.replace(/^error: /, 'swarmctl: ')),
      });
  });
  program.hook('preAction', (_program, command) => {
    if (command.opts()['stale'] === true) acceptStale(context);
  });
  return program;
}

/** Commands that only look. */
const READS: ReadonlySet<string> = new Set(['ls', 'inspect', 'ps']);

function addStale(command: Command): void {
  command.option(
    '--stale',
    'answer from what this manager has, also without a quorum; may be out of date',
    false,
  );
}

/** From now on reads need no quorum. How old the answers may be is said once, on standard error. */
function acceptStale(context: Context): void {
  let isSaid = false;
  const onState = ({ index, ageMs }: ReplicaState): void => {
    if (isSaid) return;
    isSaid = true;
    const age =
      ageMs === 0
        ? 'which knows a leader'
        : `which has known no leader for ${(ageMs / 1_000).toFixed(1)} s`;
    context.terminal.err(`stale: the state of this manager at index ${index}, ${age}\n`);
  };
  context.call = { ...context.call, stale: true, onState };
}

const VERSION = '0.1.0';

function forEachCommand(command: Command, visit: (command: Command) => void): void {
  visit(command);
  for (const child of command.commands) forEachCommand(child, visit);
}

function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;
}

/** Runs one command line to its exit code; every failure ends as one clear message on standard error. */
export async function runProgram(context: Context, argv: readonly string[]): Promise<number> {
  const program = buildProgram(context);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    if (error instanceof ExitWith) return error.code;
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    for (const line of errorMessage(error).split('\n')) context.terminal.err(`swarmctl: ${line}\n`);
    if (!(error instanceof SwarmError) && error instanceof Error)
      context.terminal.err(`${error.stack ?? ''}\n`);
    return exitCodeOf(error);
  }
}
