/** The flags of autoscaling, and what they do to a spec. */
import { SwarmError } from '@swarmd/base';
import type { ServiceSpecInput } from '@swarmd/model';
import { InvalidArgumentError, type Command } from 'commander';

import { HEADINGS } from './flag-headings.ts';
import { parseCount, parseDuration, parseRatio } from './flags.ts';

type Policy = NonNullable<ServiceSpecInput['autoscale']>;

export interface AutoscaleFlags {
  /** False after --no-autoscale. */
  autoscale?: boolean;
  autoscaleMin?: number;
  autoscaleMax?: number;
  autoscaleCpu?: number;
  autoscaleMemory?: number;
  autoscaleMetric?: NonNullable<Policy['metric']>;
  autoscaleTolerance?: number;
  autoscaleUpWindow?: number;
  autoscaleDownWindow?: number;
  autoscaleStepUp?: number;
  autoscaleStepDown?: number;
  autoscaleInterval?: number;
  autoscaleWarmup?: number;
}

export function addAutoscaleFlags(command: Command): Command {
  return command
    .optionsGroup(HEADINGS.autoscaling)
    .option('--autoscale-min <n>', 'fewest tasks (1)', parseCount)
    .option('--autoscale-max <n>', 'most tasks: turns autoscaling on', parseCount)
    .option('--autoscale-cpu <percent>', 'wanted use of reserved CPU, e.g. 70%', parsePercent)
    .option('--autoscale-memory <percent>', 'wanted use of reserved memory', parsePercent)
    .option(
      '--autoscale-metric <name=target@port[/path]>',
      'wanted value of a Prometheus metric of each task, e.g. inflight=20@8080/metrics',
      parseMetric,
    )
    .option('--autoscale-tolerance <0..1>', 'difference to put up with (0.1)', parseRatio)
    .option('--autoscale-up-window <duration>', 'more must be wanted so long (0s)', parseDuration)
    .option(
      '--autoscale-down-window <duration>',
      'fewer must be wanted so long (5m)',
      parseDuration,
    )
    .option('--autoscale-step-up <n>', 'most tasks to add at once (4)', parseCount)
    .option('--autoscale-step-down <n>', 'most tasks to take away at once (2)', parseCount)
    .option('--autoscale-interval <duration>', 'least time between steps (15s)', parseDuration)
    .option(
      '--autoscale-warmup <duration>',
      'what a new task uses asks for nothing so long (30s)',
      parseDuration,
    );
}

/**
 * The policy with what was said of it, as a field to spread.
 * @throws SwarmError `invalid-argument` for flags without an upper bound.
 */
export function autoscaleWith(
  old: ServiceSpecInput['autoscale'],
  flags: AutoscaleFlags,
): Pick<ServiceSpecInput, 'autoscale'> {
  if (flags.autoscale === false) return { autoscale: undefined };
  const said = Object.fromEntries(
    Object.entries({
      min: flags.autoscaleMin,
      max: flags.autoscaleMax,
      cpuPercent: flags.autoscaleCpu,
      memoryPercent: flags.autoscaleMemory,
      metric: flags.autoscaleMetric,
      tolerance: flags.autoscaleTolerance,
      upWindowMs: flags.autoscaleUpWindow,
      downWindowMs: flags.autoscaleDownWindow,
      stepUp: flags.autoscaleStepUp,
      stepDown: flags.autoscaleStepDown,
      intervalMs: flags.autoscaleInterval,
      warmupMs: flags.autoscaleWarmup,
    }).filter(([, value]) => value !== undefined),
  );
  if (Object.keys(said).length === 0) return {};
  const max = flags.autoscaleMax ?? old?.max;
  if (max === undefined) {
    throw new SwarmError(
      'invalid-argument',
      'the service is not autoscaled: say how many tasks there may be with --autoscale-max',
    );
  }
  return { autoscale: { min: 1, max, ...old, ...said } };
}

/** @throws SwarmError `failed-precondition` for a number of tasks where autoscaling decides. */
export function refuseReplicas(name: string, policy: ServiceSpecInput['autoscale']): void {
  if (policy === undefined) return;
  throw new SwarmError(
    'failed-precondition',
    `service ${name}: autoscaling decides on its replicas (${policy.min} to ${policy.max}); ` +
      'change the bounds with service update --autoscale-min and --autoscale-max, or end it with --no-autoscale',
  );
}

/** "70%" or "70". */
function parsePercent(text: string): number {
  const [, digits] = /^(\d+)%?$/.exec(text) ?? [];
  if (digits === undefined || Number(digits) === 0)
    throw new InvalidArgumentError('use a percentage such as 70%.');
  return Number(digits);
}

/** "inflight=20@8080/metrics". */
function parseMetric(text: string): NonNullable<Policy['metric']> {
  const [, name, target, port, path] =
    /^([a-zA-Z_:][a-zA-Z0-9_:]*)=(\d+(?:\.\d+)?)@(\d+)(\/\S*)?$/.exec(text) ?? [];
  if (name === undefined || Number(target) === 0) {
    throw new InvalidArgumentError(
      'use NAME=TARGET@PORT[/PATH], e.g. inflight_requests=20@8080/metrics.',
    );
  }
  return {
    name,
    target: Number(target),
    port: Number(port),
    ...(path === undefined ? {} : { path }),
  };
}
