/**
 * What a spec field means that is not set on the wire, where that is not zero or empty. These are the
 * defaults of the zod schemas in `model`, said again so that agents, which only receive complete
 * specs, need not load zod and the schemas; a test holds the two together.
 */
export type Defaults = Readonly<Record<string, unknown>>;

const NONE: Defaults = {};

const DEFAULTS: Readonly<Record<string, Defaults>> = {
  AutoscaleMetric: { path: '/metrics' },
  AutoscalePolicy: {
    tolerance: 0.1,
    downWindowMs: 300_000,
    stepUp: 4,
    stepDown: 2,
    intervalMs: 15_000,
    warmupMs: 30_000,
  },
  ClusterSpec: {
    taskHistoryLimit: 5,
    heartbeatPeriodMs: 1_000,
    nodeDownAfterMs: 3_000,
    nodeRestartGraceMs: 30_000,
    flapHoldMs: 10_000,
    flapHoldMaxMs: 600_000,
    flapDecayMs: 600_000,
    massFailureShare: 0.5,
    massFailureIntervalMs: 10_000,
    nodeCertificateExpiryMs: 90 * 24 * 3_600_000,
    overlayPool: '10.0.0.0/8',
    overlayPool6: 'fd53:7764::/32',
    gatewayPool: '100.64.0.0/10',
    ingressPool: '10.255.0.0/16',
    vxlanPort: 4_789,
    overlayKeyPeriodMs: 12 * 3_600_000,
  },
  Config: { number: 1 },
  ConfigSpec: { templating: 'none' },
  ContainerSpec: { stopGracePeriodMs: 10_000 },
  EndpointSpec: { mode: 'vip', source: 'preserve', affinity: 'none' },
  FileReference: { mode: 0o444 },
  HealthcheckSpec: {
    intervalMs: 30_000,
    timeoutMs: 30_000,
    retries: 3,
    startIntervalMs: 5_000,
  },
  JobSchedule: { timeZone: 'UTC', concurrency: 'forbid', keepCompleted: 3, keepFailed: 1 },
  MountSpec: { tmpfsMode: 0o1777 },
  NetworkSpec: { driver: 'overlay' },
  NodeSpec: { availability: 'active' },
  Placement: { strategy: 'spread' },
  PortConfig: { protocol: 'tcp', publishMode: 'ingress' },
  RebalanceDefault: { intervalMs: 10_000 },
  ReplicatedJobMode: { maxConcurrent: 1, totalCompletions: 1 },
  RestartPolicy: { condition: 'any', delayMs: 5_000 },
  Secret: { number: 1 },
  SecretSpec: { templating: 'none' },
  ServiceSpec: { mode: { kind: 'replicated', replicas: 1 } },
  UpdateConfig: {
    parallelism: 1,
    monitorMs: 5_000,
    failureAction: 'pause',
    order: 'stop-first',
    progressDeadlineMs: 600_000,
  },
};

/** Defaults of a message's fields, by the message's name without its package. */
export function specDefaults(name: string): Defaults {
  return Object.hasOwn(DEFAULTS, name) ? (DEFAULTS[name] ?? NONE) : NONE;
}
