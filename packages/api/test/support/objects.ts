/** Arbitrary objects of the cluster, with optional parts present or not. */
import {
  TASK_STATES,
  type AutoscaleStatus,
  type CanaryProgress,
  type Cluster,
  type Config,
  type JobRun,
  type Network,
  type Node,
  type NodeDescription,
  type ObjectOf,
  type Reason,
  type Secret,
  type Service,
  type TableName,
  type Task,
  type TaskState,
  type TaskStatus,
  type TaskId,
} from '@swarmd/model';
import * as fc from 'fast-check';

import {
  clusterSpecs,
  configSpecs,
  labels,
  networkSpecs,
  nodeSpecs,
  ports,
  secretSpecs,
  serviceSpecs,
  taskSpecs,
  text,
  texts,
  uint,
  uint32,
} from './specs.ts';

/** A record whose named parts may be missing. */
function partly<T extends object>(
  model: { [K in keyof T]-?: fc.Arbitrary<Exclude<T[K], undefined>> },
  optional: readonly (keyof T)[],
): fc.Arbitrary<T> {
  const requiredKeys = (Object.keys(model) as (keyof T)[]).filter((key) => !optional.includes(key));
  return fc.record(model, { requiredKeys }) as fc.Arbitrary<unknown> as fc.Arbitrary<T>;
}

const shortId = fc.stringMatching(/^[a-z0-9]{1,4}$/);
const id = <T extends string>(): fc.Arbitrary<T> => shortId as fc.Arbitrary<T>;

const meta = fc.record({ version: uint, createdAt: uint, updatedAt: uint });
const generics = fc.array(fc.record({ kind: text, count: uint, names: texts }), { maxLength: 2 });
const because = fc.array(
  partly<Reason>(
    {
      code: text,
      message: text,
      at: uint,
      until: uint,
      placement: fc.record({
        refusals: fc.array(fc.record({ filter: text, nodes: uint32 }), { maxLength: 2 }),
      }),
      times: uint32,
      since: uint,
    },
    ['until', 'placement', 'times', 'since'],
  ),
  { maxLength: 2 },
);

export const descriptions: fc.Arbitrary<NodeDescription> = partly<NodeDescription>(
  {
    hostname: text,
    platform: fc.record({ os: text, architecture: text }),
    resources: fc.record({ nanoCpus: uint, memoryBytes: uint, generic: generics }),
    engineVersion: text,
    networks: texts,
    addresses6: texts,
    labels,
    plugins: fc.array(
      fc.record({
        kind: fc.constantFrom('interface', 'log', 'network', 'runtime', 'volume'),
        name: text,
      }),
      { maxLength: 2 },
    ),
    encryption: fc.record({ lacks: text, incarnation: text, newestKey: uint32 }),
    dataPathAddress: text,
  },
  ['encryption'],
);

const nodes = partly<Node>(
  {
    id: id(),
    meta,
    spec: nodeSpecs,
    role: fc.constantFrom('worker', 'manager'),
    index: uint32,
    gatewaySubnet: text,
    ingressAddress: text,
    description: descriptions,
    status: partly<Node['status']>(
      {
        state: fc.constantFrom('unknown', 'ready', 'down'),
        message: text,
        address: text,
        agentAddress: text,
        since: uint,
        awayUntil: uint,
        flaps: fc.record({ losses: fc.constantFrom(0, 1.5, 3), at: uint }),
        heldUntil: uint,
        replaceFrom: uint,
      },
      ['awayUntil', 'flaps', 'heldUntil', 'replaceFrom'],
    ),
    manager: fc.record({ raftId: uint, apiAddress: text, raftAddress: text }),
    everManager: fc.boolean(),
  },
  ['description', 'manager', 'everManager'],
);

const services = partly<Service>(
  {
    id: id(),
    meta,
    spec: serviceSpecs,
    specVersion: uint,
    previousSpec: serviceSpecs,
    history: fc.record({
      specs: fc.array(fc.record({ specVersion: uint, spec: serviceSpecs, replacedAt: uint }), {
        maxLength: 2,
      }),
    }),
    endpoint: fc.record({
      ports,
      virtualIps: fc.array(fc.record({ networkId: id(), address: text }), { maxLength: 2 }),
    }),
    updateStatus: partly<NonNullable<Service['updateStatus']>>(
      {
        state: fc.constantFrom(
          'updating',
          'paused',
          'completed',
          'rollback-started',
          'rollback-paused',
          'rollback-completed',
        ),
        startedAt: uint,
        completedAt: uint,
        message: text,
        canary: partly<CanaryProgress>({ passed: uint32, waitsSince: uint, until: uint }, [
          'waitsSince',
          'until',
        ]),
      },
      ['completedAt', 'canary'],
    ),
    jobStatus: partly<NonNullable<Service['jobStatus']>>(
      {
        iteration: uint,
        lastExecution: uint,
        runs: fc.array(
          partly<JobRun>(
            {
              iteration: uint,
              state: fc.constantFrom('active', 'complete', 'failed', 'replaced', 'skipped'),
              plannedFor: uint,
              at: uint,
              endedAt: uint,
              message: text,
            },
            ['plannedFor', 'endedAt'],
          ),
          { maxLength: 2 },
        ),
        schedule: partly<NonNullable<NonNullable<Service['jobStatus']>['schedule']>>(
          { decidedUntil: uint, nextAt: uint },
          ['nextAt'],
        ),
      },
      ['schedule'],
    ),
    autoscale: partly<AutoscaleStatus>(
      {
        replicas: uint32,
        changedAt: uint,
        pressure: fc.record({ since: uint, replicas: uint32 }),
        message: text,
      },
      ['pressure'],
    ),
    because,
  },
  ['previousSpec', 'history', 'updateStatus', 'jobStatus', 'autoscale'],
);

export const taskStatuses = partly<TaskStatus>(
  {
    state: fc.constantFrom(...(Object.keys(TASK_STATES) as TaskState[])),
    timestamp: uint,
    message: text,
    error: text,
    containerId: text,
    pid: uint32,
    exitCode: fc.integer(),
    appliedAt: uint,
    limitsApplied: uint32,
    limitsRefused: uint32,
  },
  ['containerId', 'pid', 'exitCode', 'appliedAt', 'limitsApplied', 'limitsRefused'],
);

export const tasks = partly<Task>(
  {
    id: id(),
    meta,
    serviceId: id(),
    serviceName: text,
    slot: uint32,
    spec: taskSpecs,
    specVersion: uint,
    limitsChanged: uint32,
    jobIteration: uint,
    templating: fc.record({ serviceLabels: labels }),
    claimed: fc.record({ generic: generics }),
    nominated: fc.record({ nodeId: id(), victims: fc.array(id<TaskId>(), { maxLength: 2 }) }),
    promotedAt: uint,
    preemptedBy: id<TaskId>(),
    nodeId: id(),
    desiredState: fc.constantFrom('ready', 'running', 'complete', 'shutdown', 'remove'),
    startNotBefore: uint,
    status: taskStatuses,
    startedAt: uint,
    releasedAt: uint,
    networks: fc.array(fc.record({ networkId: id(), address: text, aliases: texts }), {
      maxLength: 2,
    }),
    gatewayAddress: text,
    ports,
    because,
  },
  [
    'limitsChanged',
    'nodeId',
    'jobIteration',
    'templating',
    'claimed',
    'nominated',
    'promotedAt',
    'preemptedBy',
    'startNotBefore',
    'startedAt',
    'releasedAt',
    'gatewayAddress',
  ],
);

export const networks: fc.Arbitrary<Network> = fc.record({
  id: id(),
  meta,
  spec: networkSpecs,
  vni: uint32,
  subnet: text,
  gateway: text,
  subnet6: text,
});
const secrets = partly<Secret>(
  { id: id(), meta, spec: secretSpecs, number: uint32, replacedAt: uint },
  ['replacedAt'],
);
const configs = partly<Config>(
  { id: id(), meta, spec: configSpecs, number: uint32, replacedAt: uint },
  ['replacedAt'],
);
export const overlayKeys = fc.array(
  fc.record({ id: uint32, secret: fc.uint8Array({ maxLength: 4 }), createdAt: uint }),
  { maxLength: 3 },
);
const clusters: fc.Arbitrary<Cluster> = partly<Cluster>(
  {
    id: id(),
    meta,
    spec: clusterSpecs,
    rootCa: fc.record({
      certificatePem: text,
      keyPem: text,
      joinTokens: fc.record({ worker: text, manager: text }),
    }),
    removedManagers: fc.array(id()),
    overlayKeys: fc.record({ keys: overlayKeys, primary: uint32, dueAt: uint }),
  },
  ['overlayKeys'],
);

export const OBJECTS: { [T in TableName]: fc.Arbitrary<ObjectOf[T]> } = {
  cluster: clusters,
  config: configs,
  network: networks,
  node: nodes,
  secret: secrets,
  service: services,
  task: tasks,
};
export { id, partly };
