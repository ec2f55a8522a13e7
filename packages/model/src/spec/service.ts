/** What users say of a service. */
import { z } from 'zod';

import { canonicalIpv6 } from '../ipv6.ts';
import { dnsName, durationMs, labels } from './common.ts';
import { taskSpec } from './task.ts';

const taskCount = z.int().min(0).max(1_000_000);

export const serviceMode = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('replicated'), replicas: taskCount }),
  /** One task on every node that is ready, active and meets the constraints. */
  z.strictObject({ kind: z.literal('global') }),
  /** So many tasks that complete, so many of them at a time. */
  z.strictObject({
    kind: z.literal('replicated-job'),
    maxConcurrent: taskCount.min(1).default(1),
    totalCompletions: taskCount.default(1),
  }),
  /** One task that completes on every such node. */
  z.strictObject({ kind: z.literal('global-job') }),
]);
export type ServiceMode = z.infer<typeof serviceMode>;

const CANARY_STEPS_MAX = 10;

/** A stop on the way of an update: when so many slots run the new spec, it waits. */
export const canaryStep = z
  .strictObject({
    /** Of all slots, rounded up. This or `tasks`. */
    percent: z.int().min(1).max(100).optional(),
    tasks: z.int().min(1).optional(),
    /** It goes on after so long without too many failures; 0: when somebody says so. */
    healthMs: durationMs.default(0),
  })
  .refine(
    ({ percent, tasks }) => (percent === undefined) !== (tasks === undefined),
    'a canary step is a percentage or a number of tasks: say one of them',
  );
export type CanaryStep = z.infer<typeof canaryStep>;

export const updateConfig = z.strictObject({
  /** Tasks updated at the same time; 0: all. */
  parallelism: z.int().min(0).default(1),
  delayMs: durationMs.default(0),
  /** A task that fails within this time after it started running counts against the update. */
  monitorMs: durationMs.default(5_000),
  failureAction: z.enum(['pause', 'continue', 'rollback']).default('pause'),
  maxFailureRatio: z.number().min(0).max(1).default(0),
  order: z.enum(['stop-first', 'start-first']).default('stop-first'),
  /** A new task that neither runs nor fails for so long counts as a failure; 0: it is waited for. */
  progressDeadlineMs: durationMs.default(600_000),
  /** Where an update stops on its way, in this order; of updates only, not of rollbacks. */
  canary: z.array(canaryStep).max(CANARY_STEPS_MAX).default([]),
});
export type UpdateConfig = z.infer<typeof updateConfig>;

/** Moving tasks to where there is more room, once nodes have come or returned. */
export const rebalancePolicy = z.strictObject({
  /** Tasks on the move at the same time, never more than the update's parallelism; 0: none moves; absent: as the cluster says. */
  budget: z.int().min(0).optional(),
  /** Least time between the starts of two moves. */
  intervalMs: durationMs.optional(),
});
export type RebalancePolicy = z.infer<typeof rebalancePolicy>;

const percent = z.int().min(1).max(10_000);

/** The number of replicas follows what the tasks use. Of several targets the one that wants most counts. */
export const autoscalePolicy = z.strictObject({
  /** Never fewer: at nothing there would be nothing to measure. */
  min: z.int().min(1).max(1_000_000),
  max: z.int().min(1).max(1_000_000),
  /** Wanted use of a task's CPU and memory, of what it reserves, or else of its limit. */
  cpuPercent: percent.optional(),
  memoryPercent: percent.optional(),
  /** A metric that each task serves over HTTP in Prometheus' text form, and its wanted value per task. */
  metric: z
    .strictObject({
      name: z
        .string()
        .regex(/^[a-zA-Z_:][a-zA-Z0-9_:]*$/, 'must be the name of a Prometheus metric'),
      port: z.int().min(1).max(65_535),
      path: z.string().startsWith('/').max(200).default('/metrics'),
      target: z.number().positive(),
    })
    .optional(),
  /** Nothing is done while use differs from the target by less than this share of it. */
  tolerance: z.number().min(0).max(1).default(0.1),
  /** More, or fewer, must have been wanted all this time. */
  upWindowMs: durationMs.default(0),
  downWindowMs: durationMs.default(300_000),
  /** Replicas that come or go in one step, and the least time between two steps. */
  stepUp: z.int().min(1).default(4),
  stepDown: z.int().min(1).default(2),
  intervalMs: durationMs.min(1_000).default(15_000),
  /** What a task uses so long after its start asks for no more replicas. */
  warmupMs: durationMs.default(30_000),
});
export type AutoscalePolicy = z.infer<typeof autoscalePolicy>;

/** When a job runs by itself. What the words of `cron` mean: `planner/src/schedule/cron.ts`. */
export const jobSchedule = z.strictObject({
  /** Minute, hour, day of month, month, day of week; or @hourly, @daily and the like. */
  cron: z.string().min(1).max(200),
  /** Of the IANA data base, e.g. "Europe/Berlin". */
  timeZone: z.string().min(1).max(64).default('UTC'),
  /** What happens when a run is due while an earlier one has not ended: both, only the old, only the new. */
  concurrency: z.enum(['allow', 'forbid', 'replace']).default('forbid'),
  /** A run that could not be started on time is started up to so much later; 0: however late. */
  startingDeadlineMs: durationMs.default(0),
  /** Nothing starts by itself, and nothing is made up for later. */
  suspended: z.boolean().default(false),
  /** Runs whose tasks are kept once they have ended. */
  keepCompleted: z.int().min(0).max(100).default(3),
  keepFailed: z.int().min(0).max(100).default(1),
});
export type JobSchedule = z.infer<typeof jobSchedule>;

export const portConfig = z.strictObject({
  protocol: z.enum(['tcp', 'udp', 'sctp']).default('tcp'),
  targetPort: z.int().min(1).max(65_535),
  /** 0: the managers choose one of 30000 to 32767. */
  publishedPort: z.int().min(0).max(65_535).default(0),
  /** ingress: every node answers. host: only the nodes that run a task. */
  publishMode: z.enum(['ingress', 'host']).default('ingress'),
  /** Only what comes to this address of a node is answered; empty: to any of its addresses. */
  address: z
    .union([z.literal(''), z.ipv4(), z.ipv6()])
    .transform((text) => canonicalIpv6(text) ?? text)
    .default(''),
});
export type PortConfig = z.infer<typeof portConfig>;

export const endpointSpec = z.strictObject({
  mode: z.enum(['vip', 'dnsrr']).default('vip'),
  ports: z.array(portConfig).max(1_000).default([]),
  /** What tasks see of clients at ingress ports: their address, or that of the node they came by. */
  source: z.enum(['preserve', 'snat']).default('preserve'),
  /** Ingress ports are answered only by nodes with a task, and by that task. */
  localOnly: z.boolean().default(false),
  /** client-ip: one client stays with one task, at virtual addresses and ingress ports. */
  affinity: z.enum(['none', 'client-ip']).default('none'),
  /**
   * How long a client is remembered after its last new connection, so that tasks which come do not
   * take it over; 0: not at all, some clients move when tasks come or go.
   */
  affinityTimeoutMs: durationMs.default(0),
});
export type EndpointSpec = z.infer<typeof endpointSpec>;

export const serviceSpec = z.strictObject({
  name: dnsName,
  labels,
  mode: serviceMode.prefault({ kind: 'replicated', replicas: 1 }),
  task: taskSpec,
  update: updateConfig.prefault({}),
  rollback: updateConfig.prefault({}),
  endpoint: endpointSpec.prefault({}),
  /** Tasks that are prepared besides, to take over at once from one that fails. Replicated only. */
  standby: z.int().min(0).max(1_000).default(0),
  rebalance: rebalancePolicy.prefault({}),
  /** Replicated only; the number of replicas in `mode` is what it starts with. */
  autoscale: autoscalePolicy.optional(),
  /** Jobs only: they run when it says so, not when they are written. */
  schedule: jobSchedule.optional(),
});
export type ServiceSpec = z.infer<typeof serviceSpec>;
/** A service spec as a user may write it: defaults left out. */
export type ServiceSpecInput = z.input<typeof serviceSpec>;
