/**
 * What Swarm has when nothing is said, and what it refuses, field by field: the same here, or it is said why not.
 * The defaults that nodes and managers have besides are in the packages' `limits.ts`.
 */
import { expect, test } from 'vitest';

import {
  clusterSpec,
  configSpec,
  networkSpec,
  nodeSpec,
  secretSpec,
  serviceSpec,
} from '../src/index.ts';
import { healthcheckSpec, fileReference } from '../src/spec/container.ts';

type Fields = Readonly<Record<string, unknown>>;

const container = { image: 'nginx' };
const SERVICE = { name: 'web', task: { container } };
const file = { id: 'f', name: 'f', target: 'f' };

const SPECS = {
  service: (fields: Fields) => serviceSpec.safeParse(merged(SERVICE, fields)),
  job: (fields: Fields) =>
    serviceSpec.safeParse(merged({ ...SERVICE, mode: { kind: 'replicated-job' } }, fields)),
  health: (fields: Fields) => healthcheckSpec.safeParse(merged({ test: ['CMD', 'x'] }, fields)),
  file: (fields: Fields) => fileReference.safeParse(merged(file, fields)),
  node: (fields: Fields) => nodeSpec.safeParse(merged({ role: 'worker' }, fields)),
  network: (fields: Fields) => networkSpec.safeParse(merged({ name: 'net' }, fields)),
  cluster: (fields: Fields) => clusterSpec.safeParse(fields),
  secret: (fields: Fields) =>
    secretSpec.safeParse(merged({ name: 's', data: new Uint8Array(1) }, fields)),
  config: (fields: Fields) =>
    configSpec.safeParse(merged({ name: 'c', data: new Uint8Array(1) }, fields)),
};
type Kind = keyof typeof SPECS;

/** "a.b" says which field of a field. */
function merged(base: Fields, fields: Fields): Fields {
  const all: Record<string, unknown> = structuredClone(base);
  for (const [path, value] of Object.entries(fields)) {
    const keys = path.split('.');
    const last = keys.pop() ?? '';
    let at = all;
    for (const key of keys) at = (at[key] ??= {}) as Record<string, unknown>;
    at[last] = value;
  }
  return all;
}

function valueAt(value: unknown, path: string): unknown {
  return path.split('.').reduce((at, key) => (at as Fields | undefined)?.[key], value);
}

const ROLLOUT = {
  parallelism: 1,
  delayMs: 0,
  failureAction: 'pause',
  monitorMs: 5_000,
  maxFailureRatio: 0,
  order: 'stop-first',
};

const DEFAULTS: readonly (readonly [kind: Kind, path: string, value: unknown])[] = [
  ['service', 'mode', { kind: 'replicated', replicas: 1 }],
  ['service', 'task.container.stopGracePeriodMs', 10_000],
  ['service', 'task.restart.condition', 'any'],
  ['service', 'task.restart.delayMs', 5_000],
  ['service', 'task.restart.maxAttempts', 0],
  ['service', 'task.restart.windowMs', 0],
  ['service', 'task.placement.maxReplicasPerNode', 0],
  ['service', 'task.limits.pids', 0],
  ['service', 'task.forceUpdate', 0],
  ['service', 'endpoint.mode', 'vip'],
  ...['update', 'rollback'].flatMap((rollout) =>
    Object.entries(ROLLOUT).map(([field, value]): readonly ['service', string, unknown] => [
      'service',
      `${rollout}.${field}`,
      value,
    ]),
  ),
  // Swarm waits for ever.
  ['service', 'update.progressDeadlineMs', 600_000],
  ['job', 'mode.maxConcurrent', 1],
  ['health', 'intervalMs', 30_000],
  ['health', 'timeoutMs', 30_000],
  ['health', 'retries', 3],
  ['health', 'startPeriodMs', 0],
  ['health', 'startIntervalMs', 5_000],
  ['file', 'mode', 0o444],
  ['node', 'availability', 'active'],
  ['network', 'driver', 'overlay'],
  ['network', 'ipv6', false],
  ['network', 'internal', false],
  ['cluster', 'taskHistoryLimit', 5],
  ['cluster', 'overlayPool', '10.0.0.0/8'],
  ['cluster', 'vxlanPort', 4_789],
  ['cluster', 'nodeCertificateExpiryMs', 2_160 * 3_600_000],
  ['cluster', 'overlayKeyPeriodMs', 12 * 3_600_000],
  // Swarm: 5 s and three times that; a lost node shall be noticed in 3 s here.
  ['cluster', 'heartbeatPeriodMs', 1_000],
  ['cluster', 'nodeDownAfterMs', 3_000],
];

test.each(DEFAULTS)('by default, %s %s is %j', (kind, path, value) => {
  const parsed = SPECS[kind]({});
  expect(parsed.success).toBe(true);
  expect(valueAt(parsed.data, path)).toEqual(value);
});

const KIB = 1024;
const MIB = KIB * KIB;
const long = (length: number): string => 'a'.repeat(length);
const port = (fields: object): object[] => [{ targetPort: 80, ...fields }];

const BOUNDS: readonly (readonly [kind: Kind, path: string, fine: unknown, refused: unknown])[] = [
  ['service', 'name', long(63), long(64)],
  ['service', 'name', 'a-b', '-ab'],
  ['service', 'mode', { kind: 'replicated', replicas: 0 }, { kind: 'replicated', replicas: -1 }],
  ['service', 'mode', { kind: 'global' }, { kind: 'anything' }],
  ['job', 'mode.totalCompletions', 0, -1],
  ['job', 'mode.maxConcurrent', 1, -1],
  ['service', 'task.container.image', 'a/b:1', ''],
  ['service', 'task.container.image', 'registry:5000/a/b:1', 'a/B:1'],
  ['service', 'task.limits.nanoCpus', 1e6, 1e6 - 1],
  ['service', 'task.limits.memoryBytes', 4 * MIB, 4 * MIB - 1],
  ['service', 'task.limits.pids', 0, -1],
  ['service', 'task.reservations.nanoCpus', 1e6, 1e6 - 1],
  ['service', 'task.reservations.memoryBytes', 4 * MIB, 4 * MIB - 1],
  [
    'service',
    'task.reservations.generic',
    [{ kind: 'gpu', count: 1 }],
    [{ kind: 'gpu', count: 0 }],
  ],
  // Only reservations have them.
  ['service', 'task.limits', {}, { generic: [{ kind: 'gpu', count: 1 }] }],
  ['service', 'task.restart.condition', 'on-failure', 'always'],
  ['service', 'task.restart.delayMs', 0, -1],
  ['service', 'task.restart.windowMs', 0, -1],
  ['service', 'task.restart.maxAttempts', 0, -1],
  ['service', 'task.placement.maxReplicasPerNode', 0, -1],
  ['service', 'task.container.oomScoreAdj', -1_000, -1_001],
  ['service', 'task.container.stopGracePeriodMs', 0, -1],
  ...['update', 'rollback'].flatMap(
    (rollout): (readonly ['service', string, unknown, unknown])[] => [
      ['service', `${rollout}.parallelism`, 0, -1],
      ['service', `${rollout}.delayMs`, 0, -1],
      ['service', `${rollout}.monitorMs`, 0, -1],
      ['service', `${rollout}.maxFailureRatio`, 1, 1.01],
      ['service', `${rollout}.maxFailureRatio`, 0, -0.01],
      ['service', `${rollout}.order`, 'start-first', 'anyhow'],
      ['service', `${rollout}.failureAction`, 'continue', 'ignore'],
    ],
  ),
  ['service', 'endpoint.mode', 'dnsrr', 'ipvs'],
  ['service', 'endpoint.ports', port({ publishedPort: 65_535 }), port({ publishedPort: 65_536 })],
  ['service', 'endpoint.ports', port({ targetPort: 1 }), port({ targetPort: 0 })],
  ['service', 'endpoint.ports', port({ protocol: 'sctp' }), port({ protocol: 'icmp' })],
  ['service', 'endpoint.ports', port({ publishMode: 'host' }), port({ publishMode: 'any' })],
  ['health', 'intervalMs', 1, 0],
  ['health', 'timeoutMs', 1, 0],
  ['health', 'startIntervalMs', 1, 0],
  // Swarm takes 0 for 3.
  ['health', 'retries', 1, 0],
  ['node', 'availability', 'drain', 'off'],
  ['node', 'role', 'manager', 'owner'],
  ['network', 'name', long(63), long(64)],
  ['secret', 'name', long(64), long(65)],
  ['secret', 'name', 'a.b_c-d', 'a b'],
  ['secret', 'data', new Uint8Array(500 * KIB), new Uint8Array(500 * KIB + 1)],
  ['secret', 'data', new Uint8Array(1), new Uint8Array(0)],
  ['config', 'name', long(64), long(65)],
  ['config', 'data', new Uint8Array(1_000 * KIB), new Uint8Array(1_000 * KIB + 1)],
  ['config', 'data', new Uint8Array(1), new Uint8Array(0)],
  ['cluster', 'vxlanPort', 1_024, 1_023],
  ['cluster', 'vxlanPort', 49_151, 49_152],
  ['cluster', 'nodeCertificateExpiryMs', 3_600_000, 3_599_999],
  // Swarm keeps every ended task then: memory without a bound.
  ['cluster', 'taskHistoryLimit', 0, -1],
];

test.each(BOUNDS)('%s %s may be %j, not %j', (...bound) => {
  const [kind, path, fine, refused] = bound;
  expect(SPECS[kind]({ [path]: fine }).success).toBe(true);
  expect(SPECS[kind]({ [path]: refused }).success).toBe(false);
});
