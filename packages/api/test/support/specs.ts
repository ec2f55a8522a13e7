/** Arbitrary specs, every field present: the types see to that. */
import type {
  ClusterSpec,
  ConfigSpec,
  ContainerSpec,
  NetworkSpec,
  NodeSpec,
  SecretSpec,
  ServiceSpec,
  TaskSpec,
} from '@swarmd/model';
import * as fc from 'fast-check';

export const uint = fc.oneof(fc.nat(3), fc.nat(), fc.maxSafeNat());
export const uint32 = fc.oneof(fc.nat(3), fc.nat());
export const text = fc.oneof(fc.constant(''), fc.string({ unit: 'grapheme', maxLength: 8 }));
export const texts = fc.array(text, { maxLength: 3 });
export const bytes = fc.uint8Array({ maxLength: 20 });

/** Also the keys that plain objects treat specially, except the one that sets a prototype. */
const labels = fc
  .dictionary(fc.oneof(fc.constantFrom('constructor', 'toString'), text), text, {
    maxKeys: 3,
    noNullPrototype: true,
  })
  .filter((map) => !Object.hasOwn(map, '__proto__'));
const mode = fc.nat(0o7777);
const name = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
const path = name.map((part) => `/${part}`);
const cidr = fc.constantFrom('10.1.0.0/24', '192.168.0.0/16');
const amount = fc.constantFrom(0, 1_000_000_000, 4 * 1024 * 1024);

const file = fc.record({ id: name, name, target: path, uid: uint32, gid: uint32, mode });

const container: fc.Arbitrary<ContainerSpec> = fc
  .record({
    image: name,
    labels: labels.map((map) => withoutEmptyKey(map)),
    command: texts,
    args: texts,
    hostname: name,
    env: fc.array(name.map((key) => `${key}=value`)),
    dir: fc.oneof(fc.constant(''), path),
    user: text,
    tty: fc.boolean(),
    readOnly: fc.boolean(),
    init: fc.boolean(),
    stopSignal: text,
    stopGracePeriodMs: uint,
    mounts: fc.array(
      fc.record({
        kind: fc.constantFrom('bind', 'volume', 'tmpfs'),
        source: text,
        target: path,
        readOnly: fc.boolean(),
        tmpfsSizeBytes: uint,
        tmpfsMode: mode,
        propagation: fc.constantFrom('', 'shared', 'rslave'),
        nonRecursive: fc.boolean(),
        subpath: fc.constantFrom('', 'a/b'),
        noCopy: fc.boolean(),
        driver: text,
        driverOptions: labels,
        labels,
      }),
      { maxLength: 2 },
    ),
    secrets: fc.array(file, { maxLength: 2 }),
    configs: fc.array(file, { maxLength: 2 }),
    hosts: texts,
    capabilityAdd: texts,
    capabilityDrop: texts,
    sysctls: labels,
    stdin: fc.boolean(),
    groups: texts,
    privileged: fc.boolean(),
    noNewPrivileges: fc.boolean(),
    ulimits: fc.array(
      fc.record({
        name: fc.constantFrom('nofile', 'nproc'),
        soft: fc.integer({ min: -1 }),
        hard: fc.integer({ min: -1 }),
      }),
      { maxLength: 2 },
    ),
    devices: fc.array(path, { maxLength: 2 }),
    shmSizeBytes: uint,
    oomScoreAdj: fc.integer({ min: -1000, max: 1000 }),
    userns: fc.constantFrom('' as const, 'host' as const, 'remap' as const),
    seccomp: fc.constantFrom('', 'unconfined', '{"defaultAction":"SCMP_ACT_LOG"}'),
    runtime: text,
    registrySecret: text,
    log: fc.oneof(
      fc.record({
        driver: fc.constantFrom('' as const, 'local' as const, 'json-file' as const),
        options: fc.record({ 'max-file': fc.constantFrom('1', '9'), labels: text }),
      }),
      fc.record({
        driver: fc.constantFrom('syslog' as const, 'journald' as const, 'none' as const),
        options: fc.constant({}),
      }),
    ),
    dns: fc.record({ nameservers: texts, search: texts, options: texts }),
  })
  .chain((spec) =>
    fc
      .option(healthcheck, { nil: undefined })
      .map((check) => (check ? { ...spec, healthcheck: check } : spec)),
  );

const healthcheck = fc.record({
  test: fc.array(text, { minLength: 1, maxLength: 3 }),
  intervalMs: fc.nat().map(plusOne),
  timeoutMs: fc.nat().map(plusOne),
  retries: fc.nat(9).map(plusOne),
  startPeriodMs: uint,
  startIntervalMs: fc.nat().map(plusOne),
});

export const taskSpecs: fc.Arbitrary<TaskSpec> = fc.record({
  container,
  limits: fc.record(
    {
      nanoCpus: amount,
      memoryBytes: amount,
      pids: uint,
      swapBytes: uint,
      cpuShares: fc.integer({ min: 2, max: 262_144 }),
      cpuSet: fc.constantFrom('0', '0-2,5'),
      ioWeight: fc.integer({ min: 10, max: 1_000 }),
    },
    { requiredKeys: ['nanoCpus', 'memoryBytes', 'pids'] },
  ),
  reservations: fc.record({
    nanoCpus: amount,
    memoryBytes: amount,
    generic: fc.array(
      fc.record({ kind: fc.constantFrom('gpu', 'fpga'), count: fc.integer({ min: 1, max: 8 }) }),
      { maxLength: 2 },
    ),
  }),
  restart: fc.record({
    condition: fc.constantFrom('none', 'on-failure', 'any'),
    delayMs: uint,
    maxAttempts: uint,
    windowMs: uint,
  }),
  placement: fc.record({
    constraints: texts,
    maxReplicasPerNode: uint,
    preferences: fc.array(fc.record({ spread: text }), { maxLength: 2 }),
    platforms: fc.array(fc.record({ os: text, architecture: text }), { maxLength: 2 }),
    strategy: fc.constantFrom('spread', 'binpack'),
    affinities: texts,
    priority: fc.nat(1_000_000),
    preempts: fc.boolean(),
  }),
  networks: fc.array(fc.record({ target: name, aliases: texts }), { maxLength: 2 }),
  forceUpdate: uint,
});

const updateConfig = fc.record({
  parallelism: uint32,
  delayMs: uint,
  monitorMs: uint,
  failureAction: fc.constantFrom('pause', 'continue', 'rollback'),
  maxFailureRatio: fc.constantFrom(0, 0.25, 1),
  order: fc.constantFrom('stop-first', 'start-first'),
  progressDeadlineMs: uint,
  canary: fc.array(
    fc.oneof(
      fc.record({ percent: fc.integer({ min: 1, max: 100 }), healthMs: uint }),
      fc.record({ tasks: fc.integer({ min: 1, max: 99 }), healthMs: uint }),
    ),
    { maxLength: 3 },
  ),
});

export const ports = fc.array(
  fc.record({
    protocol: fc.constantFrom('tcp', 'udp', 'sctp'),
    targetPort: fc.integer({ min: 1, max: 65_535 }),
    publishedPort: fc.nat(65_535),
    publishMode: fc.constantFrom('ingress', 'host'),
    address: fc.constantFrom('', '192.0.2.7'),
  }),
  { maxLength: 2 },
);

const schedule = fc.record({
  cron: fc.constantFrom('@daily', '*/5 * * * *'),
  timeZone: fc.constantFrom('UTC', 'Europe/Berlin'),
  concurrency: fc.constantFrom('allow', 'forbid', 'replace'),
  startingDeadlineMs: uint,
  suspended: fc.boolean(),
  keepCompleted: fc.nat(100),
  keepFailed: fc.nat(100),
});

const autoscale = fc.record(
  {
    min: fc.integer({ min: 1, max: 9 }),
    max: fc.integer({ min: 9, max: 99 }),
    cpuPercent: fc.integer({ min: 1, max: 100 }),
    memoryPercent: fc.integer({ min: 1, max: 100 }),
    metric: fc.record({
      name: fc.constantFrom('requests_total', 'queue:length'),
      port: fc.integer({ min: 1, max: 65_535 }),
      path: fc.constantFrom('/metrics', '/'),
      target: fc.constantFrom(0.5, 20),
    }),
    tolerance: fc.constantFrom(0, 0.1),
    upWindowMs: uint,
    downWindowMs: uint,
    stepUp: fc.integer({ min: 1, max: 9 }),
    stepDown: fc.integer({ min: 1, max: 9 }),
    intervalMs: fc.integer({ min: 1_000, max: 99_000 }),
    warmupMs: uint,
  },
  {
    requiredKeys: [
      'min',
      'max',
      'tolerance',
      'upWindowMs',
      'downWindowMs',
      'stepUp',
      'stepDown',
      'intervalMs',
      'warmupMs',
    ],
  },
);

const serviceFields = {
  name,
  labels: labels.map((map) => withoutEmptyKey(map)),
  mode: fc.oneof(
    fc.record({ kind: fc.constant('replicated'), replicas: fc.nat(1_000_000) }),
    fc.record({ kind: fc.constantFrom('global', 'global-job') }),
    fc.record({
      kind: fc.constant('replicated-job'),
      maxConcurrent: fc.integer({ min: 1, max: 1_000_000 }),
      totalCompletions: fc.nat(1_000_000),
    }),
  ),
  task: taskSpecs,
  update: updateConfig,
  rollback: updateConfig,
  endpoint: fc.record({
    mode: fc.constantFrom('vip', 'dnsrr'),
    ports,
    source: fc.constantFrom('preserve', 'snat'),
    localOnly: fc.boolean(),
    affinity: fc.constantFrom('none', 'client-ip'),
    affinityTimeoutMs: uint,
  }),
  standby: fc.nat(1_000),
  rebalance: fc.record({ budget: uint, intervalMs: uint }, { requiredKeys: [] }),
  schedule,
  autoscale,
} satisfies { [K in keyof ServiceSpec]-?: fc.Arbitrary<Exclude<ServiceSpec[K], undefined>> };

type Optional = 'schedule' | 'autoscale';

export const serviceSpecs: fc.Arbitrary<ServiceSpec> = fc.record(serviceFields, {
  requiredKeys: Object.keys(serviceFields).filter(
    (key) => !['schedule', 'autoscale'].includes(key),
  ) as Exclude<keyof ServiceSpec, Optional>[],
});

export const nodeSpecs: fc.Arbitrary<NodeSpec> = fc.record({
  labels: labels.map((map) => withoutEmptyKey(map)),
  role: fc.constantFrom('worker', 'manager'),
  availability: fc.constantFrom('active', 'pause', 'drain'),
});

export const networkSpecs: fc.Arbitrary<NetworkSpec> = fc.record({
  name,
  labels: labels.map((map) => withoutEmptyKey(map)),
  driver: fc.constantFrom('overlay', 'bridge', 'host', 'none', 'macvlan'),
  options: fc.constantFrom({}, { parent: 'eth0' }),
  ipv6: fc.boolean(),
  internal: fc.boolean(),
  attachable: fc.boolean(),
  subnet: fc.oneof(fc.constant(''), cidr),
  mtu: fc.nat(9_000),
  gateway: fc.constantFrom('', '10.1.0.254'),
  ipRange: fc.oneof(fc.constant(''), cidr),
  reserved: fc.constantFrom({}, { router: '10.1.0.3' }),
  moreSubnets: fc.array(cidr, { maxLength: 2 }),
});

const fileSpecs = fc.record({
  name,
  labels: labels.map((map) => withoutEmptyKey(map)),
  data: fc.uint8Array({ minLength: 1, maxLength: 20 }),
  templating: fc.constantFrom('none', 'golang'),
});
export const secretSpecs: fc.Arbitrary<SecretSpec> = fileSpecs;
export const configSpecs: fc.Arbitrary<ConfigSpec> = fileSpecs;

export const clusterSpecs: fc.Arbitrary<ClusterSpec> = fc.record({
  labels: labels.map((map) => withoutEmptyKey(map)),
  taskHistoryLimit: uint32,
  heartbeatPeriodMs: fc.nat().map((value) => value + 100),
  nodeDownAfterMs: fc.nat().map((value) => value + 500),
  nodeCertificateExpiryMs: fc.nat().map((value) => value + 3_600_000),
  overlayPool: cidr,
  overlayPool6: fc.constantFrom('fd53:7764::/32', '2001:db8:1::/48'),
  gatewayPool: cidr,
  ingressPool: cidr,
  vxlanPort: fc.integer({ min: 1_024, max: 49_151 }),
  overlayKeyPeriodMs: fc.nat().map((value) => value + 60_000),
  encryptMesh: fc.boolean(),
  nodeRestartGraceMs: fc.nat(),
  flapHoldMs: fc.nat(),
  flapHoldMaxMs: fc.nat(),
  flapDecayMs: fc.nat().map((value) => value + 1_000),
  massFailureShare: fc.constantFrom(0, 0.5, 1),
  massFailureIntervalMs: fc.nat(),
  rebalance: fc.record({ budget: uint, intervalMs: uint }),
});

export { labels };

function plusOne(value: number): number {
  return value + 1;
}

function withoutEmptyKey(map: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(map).filter(([key]) => key !== ''));
}
