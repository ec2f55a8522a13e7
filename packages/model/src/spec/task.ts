/** What a service says of each of its tasks. */
import { z } from 'zod';

import { durationMs } from './common.ts';
import { containerSpec } from './container.ts';

const NANO_CPUS_MIN = 1_000_000; // 0.001 CPU, Swarm's floor
const MEMORY_BYTES_MIN = 4 * 1024 * 1024; // 4 MiB, Swarm's floor

const nanoCpus = z
  .int()
  .refine((value) => value === 0 || value >= NANO_CPUS_MIN, 'CPU must be 0 or at least 0.001')
  .default(0);
const memoryBytes = z
  .int()
  .refine((value) => value === 0 || value >= MEMORY_BYTES_MIN, 'memory must be 0 or at least 4 MiB')
  .default(0);

/** 0 means: no limit, no reservation. */
export const resourceLimits = z.strictObject({
  nanoCpus,
  memoryBytes,
  pids: z.int().min(0).default(0),
  /** Memory and swap together may be this much more than the memory; absent: no swap. */
  swapBytes: z.int().min(0).optional(),
  /** Weight against others when CPU is short, 2 to 262144; absent: 1024. */
  cpuShares: z.int().min(2).max(262_144).optional(),
  /** The CPUs it may run on, e.g. "0-2,5"; absent: all. */
  cpuSet: z
    .string()
    .regex(/^\d+(-\d+)?(,\d+(-\d+)?)*$/, 'must be a list of CPUs such as 0-2,5')
    .optional(),
  /** Weight against others when the disk is busy, 10 to 1000; absent: 500. */
  ioWeight: z.int().min(10).max(1_000).optional(),
});
export const resourceReservations = z.strictObject({
  nanoCpus,
  memoryBytes,
  /** So many of a kind that nodes are configured to have. */
  generic: z
    .array(
      z.strictObject({
        kind: z
          .string()
          .regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, 'must be letters, digits, "_", "." or "-"'),
        count: z.int().min(1),
      }),
    )
    .default([]),
});
export type ResourceLimits = z.infer<typeof resourceLimits>;
export type ResourceReservations = z.infer<typeof resourceReservations>;

export const restartPolicy = z.strictObject({
  condition: z.enum(['none', 'on-failure', 'any']).default('any'),
  delayMs: durationMs.default(5_000),
  /** 0: without limit. */
  maxAttempts: z.int().min(0).default(0),
  /** Only restarts within this window count as attempts; 0: all. */
  windowMs: durationMs.default(0),
});
export type RestartPolicy = z.infer<typeof restartPolicy>;

export const placement = z.strictObject({
  /** "key==value" and the like, see `parseConstraint`; all must hold. */
  constraints: z.array(z.string()).default([]),
  /** Tasks are spread evenly over the values of the first key, then over those of the second... */
  preferences: z.array(z.strictObject({ spread: z.string() })).default([]),
  /** What the image runs on; none: anything. An empty part fits all. */
  platforms: z
    .array(z.strictObject({ os: z.string().default(''), architecture: z.string().default('') }))
    .default([]),
  /** Which of several nodes that suit: the one with the fewest tasks, or the fullest. */
  strategy: z.enum(['spread', 'binpack']).default('spread'),
  /** Of tasks that want the same place; more is more important. */
  priority: z.int().min(0).max(1_000_000).default(0),
  /** Tasks of other services with a lower priority make room for tasks without a node. */
  preempts: z.boolean().default(false),
  /** "service==name" and the like, see `parseAffinity`; all must hold. */
  affinities: z.array(z.string()).default([]),
  /** 0: without limit. */
  maxReplicasPerNode: z.int().min(0).default(0),
});
export type Placement = z.infer<typeof placement>;

export const networkAttachmentSpec = z.strictObject({
  /** Id of the network (the CLI resolves names). */
  target: z.string().min(1),
  aliases: z.array(z.string()).default([]),
});
export type NetworkAttachmentSpec = z.infer<typeof networkAttachmentSpec>;

export const taskSpec = z.strictObject({
  container: containerSpec,
  limits: resourceLimits.prefault({}),
  reservations: resourceReservations.prefault({}),
  restart: restartPolicy.prefault({}),
  placement: placement.prefault({}),
  networks: z.array(networkAttachmentSpec).default([]),
  /** A change of this number alone makes every task be replaced. */
  forceUpdate: z.int().min(0).default(0),
});
export type TaskSpec = z.infer<typeof taskSpec>;
