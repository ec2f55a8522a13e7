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
});
export const resourceReservations = z.strictObject({ nanoCpus, memoryBytes });
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
  /** "key==value" or "key!=value"; all must hold. */
  constraints: z.array(z.string()).default([]),
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
