/** Services, tasks and nodes in a few words. */
import {
  asId,
  type CanaryProgress,
  isJob,
  serviceSpec,
  type DesiredState,
  type Node,
  type Service,
  type ServiceMode,
  type Task,
  type TaskState,
  type UpdateStatus,
} from '@swarmd/model';

export interface ServiceWords {
  readonly replicas?: number;
  readonly update?: UpdateStatus['state'];
  readonly canary?: CanaryProgress;
  readonly labels?: Record<string, string>;
  /** Instead of so many replicas. */
  readonly mode?: ServiceMode;
}

const meta = (createdAt: number) => ({ version: 10, createdAt, updatedAt: createdAt });

/** A service "web" of image "web:2", whose spec was last written at version 5. */
export function service(words: ServiceWords = {}): Service {
  const {
    replicas = 1,
    update,
    canary,
    labels = {},
    mode = { kind: 'replicated', replicas },
  } = words;
  return {
    id: asId('service', 'service1'),
    meta: meta(0),
    spec: serviceSpec.parse({
      name: 'web',
      labels,
      mode,
      task: { container: { image: 'web:2', labels: { a: '1', b: '2' } } },
    }),
    specVersion: 5,
    endpoint: { ports: [], virtualIps: [] },
    because: [],
    ...(isJob(mode) ? { jobStatus: { iteration: 2, lastExecution: 0, runs: [] } } : {}),
    ...(update === undefined
      ? {}
      : {
          updateStatus: {
            state: update,
            startedAt: 0,
            message: `update ${update}`,
            ...(canary === undefined ? {} : { canary }),
          },
        }),
  };
}

let made = 0;

/**
 * A task from words: "SLOT STATE [old|same|moved] [DESIRED] [@NODE] [!ERROR...]". `old`: of image
 * web:1. `run1`, `run2`: of that run of a job. `same`: of an older spec of the service that asks the same of its tasks; `moved`: except for
 * placement. Desired is "running" and the node "n1" unless said otherwise; "@" is no node. Later
 * tasks are newer.
 */
export function task(words: string): Task {
  const [text = '', error = ''] = words.split(' !');
  const [slot, state, ...rest] = text.split(' ');
  const node = rest.find((word) => word.startsWith('@'))?.slice(1) ?? 'n1';
  const desired = rest.find((word) =>
    ['ready', 'running', 'complete', 'shutdown', 'remove'].includes(word),
  );
  const run = rest.find((word) => /^run\d$/.test(word));
  const fresh = service().spec.task;
  const { container, placement } = fresh;
  made += 1;
  return {
    id: asId('task', `task${made}`),
    meta: meta(made),
    serviceId: asId('service', 'service1'),
    serviceName: 'web',
    slot: Number(slot),
    spec: {
      ...fresh,
      container: {
        ...container,
        image: rest.includes('old') ? 'web:1' : container.image,
        labels: { b: '2', a: '1' },
      },
      placement: { ...placement, maxReplicasPerNode: rest.includes('moved') ? 3 : 0 },
    },
    specVersion: rest.some((word) => ['old', 'same', 'moved'].includes(word)) ? 3 : 5,
    desiredState: (desired ?? 'running') as DesiredState,
    status: { state: state as TaskState, timestamp: made, message: '', error },
    networks: [],
    ports: [],
    because: [],
    ...(run === undefined ? {} : { jobIteration: Number(run.slice(3)) }),
    ...(node === '' ? {} : { nodeId: asId('node', node) }),
  };
}

export function node(id: string, state: Node['status']['state'] = 'ready'): Node {
  return {
    id: asId('node', id),
    meta: meta(0),
    spec: { labels: {}, role: 'worker', availability: 'active' },
    role: 'worker',
    index: 1,
    gatewaySubnet: '',
    ingressAddress: '',
    status: { state, message: '', address: '', agentAddress: '', since: 0 },
  };
}
