/** Services as users may think of them: every mode and policy, in combinations that the API accepts. */
import type { Config, Secret, ServiceSpecInput } from '@swarmd/model';

import type { Dice } from '@swarmd/base/testing';
import {
  randomAutoscale,
  randomConstraints,
  randomRollout,
  randomSchedule,
} from './random-policies.ts';

type Mode = NonNullable<ServiceSpecInput['mode']>;

/** What a task of an autoscaled service reserves, in billionths of a CPU. */
const SCALED_CPUS = 0.2e9;
const MIB = 1024 ** 2;
const IMAGES = ['good1', 'good2', 'good3', 'good4', 'slow', 'good-stubborn', 'broken', 'crash'];

export interface Files {
  readonly secrets: readonly Secret[];
  readonly configs: readonly Config[];
}

export interface SpecOptions {
  readonly name: string;
  readonly replicasMax: number;
  /** Names of services that it may want to be near to, or far from. */
  readonly others: readonly string[];
  /** In a large cluster: no service is on all nodes, and each network has a few. */
  readonly isLarge: boolean;
  /** Networks besides those that every cluster has. */
  readonly networks: readonly string[];
  /** Newest versions of secrets and configs that there are. */
  readonly files: Files;
  /** Undefined: any. A service keeps its mode for life. */
  readonly mode?: ServiceSpecInput['mode'];
}

export function randomSpec(dice: Dice, options: SpecOptions): ServiceSpecInput {
  const { name, replicasMax } = options;
  const mode = options.mode ?? randomMode(dice, options);
  const isReplicated = mode.kind === 'replicated';
  const isScaled = isReplicated && dice.happens(0.2);
  const isHostPort = dice.happens(0.15);
  return {
    name,
    mode,
    task: randomTask(dice, { ...options, mode, isScaled }),
    ...rolloutOf(dice, mode),
    ...(isReplicated
      ? {
          standby: dice.pick([0, 0, 0, 1, 2]),
          rebalance: { budget: dice.pick([0, 0, 1, 2]), intervalMs: dice.pick([500, 3_000]) },
        }
      : {}),
    ...(isScaled ? { autoscale: randomAutoscale(dice, Math.min(12, replicasMax)) } : {}),
    endpoint: {
      ports: isHostPort
        ? [{ targetPort: 80, publishedPort: dice.between(8_000, 8_001), publishMode: 'host' }]
        : [],
    },
  };
}

/** Jobs have no updates; some have a schedule. */
function rolloutOf(dice: Dice, { kind }: Mode): Partial<ServiceSpecInput> {
  if (kind === 'replicated' || kind === 'global') {
    return { update: randomRollout(dice, 0.25), rollback: randomRollout(dice, 0) };
  }
  return dice.happens(0.4) ? { schedule: randomSchedule(dice) } : {};
}

function randomTask(
  dice: Dice,
  options: SpecOptions & { mode: Mode; isScaled: boolean },
): ServiceSpecInput['task'] {
  const { mode, isScaled } = options;
  const isReplicated = mode.kind === 'replicated';
  const isJob = mode.kind === 'replicated-job' || mode.kind === 'global-job';
  const network = randomNetwork(dice, options);
  return {
    container: {
      image: randomImage(dice, options),
      stopGracePeriodMs: 10_000,
      ...randomFiles(dice, options.files),
    },
    limits: { pids: dice.pick([0, 0, 100]) },
    reservations: {
      memoryBytes: dice.pick([0, 50, 100, 300]) * MIB,
      nanoCpus: isScaled ? SCALED_CPUS : 0,
    },
    restart: {
      condition: dice.pick(['any', 'any', 'any', 'on-failure', 'none']),
      // A run of a job whose image fails for ever would never end.
      maxAttempts: isJob ? 2 : dice.pick([0, 0, 0, 2]),
      delayMs: dice.pick([0, 500, 3_000]),
    },
    placement: {
      ...(isReplicated || mode.kind === 'replicated-job'
        ? { maxReplicasPerNode: dice.pick([0, 0, 0, isReplicated ? 2 : 1]) }
        : {}),
      affinities: randomAffinities(dice, options),
      constraints: randomConstraints(dice),
      preferences: dice.happens(0.2) ? [{ spread: 'node.labels.disk' }] : [],
      strategy: dice.pick(['spread', 'spread', 'binpack']),
      ...randomPriority(dice),
    },
    networks: network === undefined ? [] : [{ target: network }],
  };
}

function randomPriority(dice: Dice): { priority: number; preempts: boolean } {
  const priority = dice.pick([0, 0, 10, 20]);
  return { priority, preempts: dice.happens(0.3) && priority > 0 };
}

/** In a large cluster most images work: it would do nothing but start again what failed. */
function randomImage(dice: Dice, { isLarge }: SpecOptions): string {
  const image = dice.pick(['good1', ...IMAGES]);
  return isLarge && !image.startsWith('good') && dice.happens(0.7) ? 'good1' : image;
}

function randomFiles(
  dice: Dice,
  { secrets, configs }: Files,
): Pick<ServiceSpecInput['task']['container'], 'secrets' | 'configs'> {
  const [secret, config] = [dice.maybe(secrets), dice.maybe(configs)];
  const reference = ({ id, spec: { name } }: Secret | Config) => ({ id, name, target: name });
  return {
    ...(secret !== undefined && dice.happens(0.4) ? { secrets: [reference(secret)] } : {}),
    ...(config !== undefined && dice.happens(0.3) ? { configs: [reference(config)] } : {}),
  };
}

function randomNetwork(dice: Dice, { isLarge, networks }: SpecOptions): string | undefined {
  const network = dice.pick(['wide', 'wide', 'narrow', undefined]);
  if (!isLarge || network === undefined) return network;
  // A network of four addresses is full with one service: the others would do nothing but wait.
  return network === 'narrow' && dice.happens(0.1) ? network : dice.maybe(networks);
}

function randomMode(dice: Dice, { replicasMax, isLarge }: SpecOptions): Mode {
  const kind = isLarge
    ? dice.pick(['replicated', 'replicated', 'replicated', 'jobs'])
    : dice.pick(['replicated', 'replicated', 'replicated', 'global', 'jobs']);
  if (kind === 'replicated') return { kind, replicas: dice.between(0, replicasMax) };
  if (kind === 'global') return { kind };
  if (!isLarge && dice.happens(0.4)) return { kind: 'global-job' };
  const totalCompletions = dice.between(1, replicasMax);
  return { kind: 'replicated-job', totalCompletions, maxConcurrent: dice.between(1, 3) };
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
