/** Flags of services that say where tasks run, when they are replaced, and how. */
import type { Command } from 'commander';

import { HEADINGS } from './flag-headings.ts';
import {
  collect,
  oneOf,
  parseCanary,
  parseCount,
  parseDuration,
  parsePlatform,
  parseRatio,
} from './flags.ts';

export function addPlacementFlags(command: Command): Command {
  return command
    .optionsGroup(HEADINGS.placement)
    .option('--platform <os/arch>', 'what the image runs on', collect(parsePlatform))
    .option('--replicas-max-per-node <n>', 'upper bound of tasks on one node', parseCount)
    .option(
      '--placement-strategy <spread|binpack>',
      'the node with the fewest tasks, or the fullest (spread)',
      oneOf('spread', 'binpack'),
    )
    .option('--priority <n>', 'importance among tasks that want the same place', parseCount)
    .option('--preempt', 'tasks of lower priority make room')
    .option('--standby <n>', 'prepared tasks that take over at once', parseCount)
    .option('--rebalance-budget <n>', 'tasks that may move at once, 0 for none', parseCount)
    .option('--rebalance-interval <duration>', 'least time between moves (10s)', parseDuration);
}

export function addRestartFlags(command: Command): Command {
  return command
    .optionsGroup(HEADINGS.restarts)
    .option(
      '--restart-condition <none|on-failure|any>',
      'when to replace ended tasks',
      oneOf('none', 'on-failure', 'any'),
    )
    .option('--restart-delay <duration>', 'wait before a restart (5s)', parseDuration)
    .option('--restart-max-attempts <n>', 'give up after so many restarts', parseCount)
    .option('--restart-window <duration>', 'count only restarts within this time', parseDuration);
}

export function addUpdateFlags(command: Command): Command {
  command
    .optionsGroup(HEADINGS.updates)
    .option(
      '--update-canary <steps>',
      'stops on the way, e.g. 10%:approve,3:health=30s; "none" for no stops',
      parseCanary,
    );
  return addRolloutFlags(command, 'update', ['pause', 'continue', 'rollback']);
}

export function addRollbackFlags(command: Command): Command {
  command.optionsGroup(HEADINGS.rollbacks);
  return addRolloutFlags(command, 'rollback', ['pause', 'continue']);
}

/** How an update or a rollback replaces tasks. */
function addRolloutFlags(
  command: Command,
  verb: 'update' | 'rollback',
  failureActions: readonly string[],
): Command {
  return command
    .option(`--${verb}-parallelism <n>`, 'tasks at once, 0 for all (1)', parseCount)
    .option(`--${verb}-delay <duration>`, 'pause between tasks', parseDuration)
    .option(
      `--${verb}-monitor <duration>`,
      'watch new tasks so long for failures (5s)',
      parseDuration,
    )
    .option(
      `--${verb}-failure-action <${failureActions.join('|')}>`,
      'after too many failures (pause)',
      oneOf(...failureActions),
    )
    .option(
      `--${verb}-progress-deadline <duration>`,
      'longest a new task may take to run, 0 for no limit (10m)',
      parseDuration,
    )
    .option(`--${verb}-max-failure-ratio <0..1>`, 'failures to put up with (0)', parseRatio)
    .option(
      `--${verb}-order <stop-first|start-first>`,
      'order of a replacement (stop-first)',
      oneOf('stop-first', 'start-first'),
    );
}

export function addHealthFlags(command: Command): Command {
  return command
    .optionsGroup(HEADINGS.health)
    .option('--health-cmd <command>', 'shell command that tells health')
    .option('--health-interval <duration>', 'time between checks', parseDuration)
    .option('--health-timeout <duration>', 'longest a check may take', parseDuration)
    .option('--health-retries <n>', 'failures in a row that count as unhealthy', parseCount)
    .option(
      '--health-start-period <duration>',
      'time in which failures do not count',
      parseDuration,
    )
    .option(
      '--health-start-interval <duration>',
      'time between checks in the start period',
      parseDuration,
    )
    .option('--no-healthcheck', 'no check, not even that of the image');
}
