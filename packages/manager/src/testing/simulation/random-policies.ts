/** What services may say besides their tasks: how they are updated, when jobs run, how many there are. */
import type { AutoscalePolicy, JobSchedule, ServiceSpecInput } from '@swarmd/model';

import type { Dice } from '@swarmd/base/testing';

type Update = NonNullable<ServiceSpecInput['update']>;

/** `canary`: how often it has steps on its way. Rollbacks have none. */
export function randomRollout(dice: Dice, canary: number): Update {
  return {
    parallelism: dice.between(0, 3),
    delayMs: dice.pick([0, 0, 500, 2_000]),
    monitorMs: dice.pick([500, 1_000, 5_000]),
    failureAction: dice.pick(['pause', 'continue', 'rollback']),
    maxFailureRatio: dice.pick([0, 0, 0.3]),
    order: dice.pick(['stop-first', 'stop-first', 'start-first']),
    progressDeadlineMs: dice.pick([600_000, 15_000, 5_000]),
    canary: dice.happens(canary) ? randomSteps(dice) : [],
  };
}

function randomSteps(dice: Dice): NonNullable<Update['canary']> {
  const healthMs = (): number => dice.pick([0, 500, 4_000]);
  const first = dice.happens(0.5)
    ? { tasks: dice.between(1, 2), healthMs: healthMs() }
    : { percent: dice.pick([10, 30]), healthMs: healthMs() };
  return dice.happens(0.5) ? [first] : [first, { percent: 60, healthMs: healthMs() }];
}

export function randomSchedule(dice: Dice): JobSchedule {
  return {
    cron: dice.pick(['* * * * *', '*/2 * * * *']),
    timeZone: dice.pick(['UTC', 'Asia/Kathmandu']),
    concurrency: dice.pick(['allow', 'forbid', 'replace']),
    startingDeadlineMs: dice.pick([0, 0, 5_000]),
    suspended: dice.happens(0.1),
    keepCompleted: dice.between(0, 3),
    keepFailed: dice.between(0, 1),
  };
}

export function randomAutoscale(dice: Dice, max: number): AutoscalePolicy {
  return {
    min: dice.between(1, 2),
    max: dice.between(2, Math.max(2, max)),
    cpuPercent: 50,
    tolerance: 0.1,
    upWindowMs: dice.pick([0, 3_000]),
    downWindowMs: dice.pick([5_000, 20_000]),
    stepUp: dice.between(1, 4),
    stepDown: dice.between(1, 2),
    intervalMs: dice.pick([1_000, 5_000]),
    warmupMs: dice.pick([0, 2_000]),
  };
}

/** Labels that a node may have, and what services ask of them. */
export function randomLabels(dice: Dice): Record<string, string> {
  return {
    ...(dice.happens(0.7) ? { disk: dice.pick(['ssd', 'hdd']) } : {}),
    ...(dice.happens(0.7) ? { rank: `${dice.between(1, 4)}` } : {}),
  };
}

export function randomConstraints(dice: Dice): string[] {
  if (!dice.happens(0.15)) return [];
  return [
    dice.pick([
      'node.labels.disk==ssd',
      'node.labels.disk!=hdd',
      'node.labels.disk not in (hdd, tape)',
      'node.labels.disk exists',
      'node.labels.rank > 1',
    ]),
  ];
}
