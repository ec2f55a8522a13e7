/** Services as users may think of them: every mode and policy, in combinations that the API accepts. */
import type { ServiceSpecInput } from '@swarmd/model';

import type { Dice } from './dice.ts';

const MIB = 1024 ** 2;
const IMAGES = ['good1', 'good2', 'good3', 'good4', 'slow', 'good-stubborn', 'broken', 'crash'];

export interface SpecOptions {
  readonly name: string;
  readonly replicasMax: number;
  /** Names of services that it may want to be near to, or far from. */
  readonly others: readonly string[];
  /** In a large cluster: no service is on all nodes, and each network has a few. */
  readonly isLarge: boolean;
  /** Networks besides those that every cluster has. */
  readonly networks: readonly string[];
  /** Undefined: any. A service keeps its mode for life. */
  readonly mode?: ServiceSpecInput['mode'];
}

export function randomSpec(dice: Dice, options: SpecOptions): ServiceSpecInput {
  const { name } = options;
  const mode = options.mode ?? randomMode(dice, options);
  const isJob = mode.kind === 'replicated-job' || mode.kind === 'global-job';
  const isReplicated = mode.kind === 'replicated';
  const network = randomNetwork(dice, options);
  const isHostPort = dice.happens(0.15);
  return {
    name,
    mode,
    task: {
      container: { image: dice.pick(['good1', ...IMAGES]), stopGracePeriodMs: 10_000 },
      reservations: { memoryBytes: dice.pick([0, 50, 100, 300]) * MIB },
      restart: {
        condition: dice.pick(['any', 'any', 'any', 'on-failure', 'none']),
        maxAttempts: dice.pick([0, 0, 0, 2]),
        delayMs: dice.pick([0, 500, 3_000]),
      },
      placement: {
        ...(isReplicated ? { maxReplicasPerNode: dice.pick([0, 0, 0, 2]) } : {}),
        affinities: randomAffinities(dice, options),
        strategy: dice.pick(['spread', 'spread', 'binpack']),
        priority: dice.pick([0, 0, 10, 20]),
        preempts: dice.happens(0.3),
      },
      networks: network === undefined ? [] : [{ target: network }],
    },
    ...(isJob ? {} : { update: rollout(dice), rollback: rollout(dice) }),
    ...(isReplicated
      ? {
          standby: dice.pick([0, 0, 0, 1, 2]),
          rebalance: { budget: dice.pick([0, 0, 1, 2]), intervalMs: dice.pick([500, 3_000]) },
        }
      : {}),
    endpoint: {
      ports: isHostPort
        ? [{ targetPort: 80, publishedPort: dice.between(8_000, 8_001), publishMode: 'host' }]
        : [],
    },
  };
}

function randomNetwork(dice: Dice, { isLarge, networks }: SpecOptions): string | undefined {
  const network = dice.pick(['wide', 'wide', 'narrow', undefined]);
  return isLarge && network === 'wide' ? dice.maybe(networks) : network;
}

function randomMode(
  dice: Dice,
  { replicasMax, isLarge }: SpecOptions,
): NonNullable<ServiceSpecInput['mode']> {
  const kind = isLarge
    ? dice.pick(['replicated', 'replicated', 'replicated', 'jobs'])
    : dice.pick(['replicated', 'replicated', 'replicated', 'global', 'jobs']);
  if (kind === 'replicated') return { kind, replicas: dice.between(0, replicasMax) };
  if (kind === 'global') return { kind };
  if (!isLarge && dice.happens(0.4)) return { kind: 'global-job' };
  const totalCompletions = dice.between(1, replicasMax);
  return { kind: 'replicated-job', totalCompletions, maxConcurrent: dice.between(1, 3) };
}

function rollout(dice: Dice): NonNullable<ServiceSpecInput['update']> {
  return {
    parallelism: dice.between(0, 3),
    delayMs: dice.pick([0, 0, 500, 2_000]),
    monitorMs: dice.pick([500, 1_000, 5_000]),
    failureAction: dice.pick(['pause', 'continue', 'rollback']),
    maxFailureRatio: dice.pick([0, 0, 0.3]),
    order: dice.pick(['stop-first', 'stop-first', 'start-first']),
  };
}

function randomAffinities(dice: Dice, { name, others }: SpecOptions): string[] {
  const other = dice.maybe(others.filter((one) => one !== name));
  if (other === undefined || !dice.happens(0.3)) return [];
  return [
    dice.pick([
      `service==${other}`,
      `service!=${other}`,
      `service==~${other}`,
      `service!=~${other}`,
    ]),
  ];
}
