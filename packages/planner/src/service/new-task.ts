import {
  asId,
  isJob,
  type DesiredState,
  type Reason,
  type Service,
  type Task,
  namesServiceLabels,
  type TaskSpec,
} from '@swarmd/model';

import type { Draft } from '../draft.ts';

export interface TaskPlan {
  readonly slot: number;
  readonly because: Reason;
  /** When it may start; undefined: as soon as it is ready. */
  readonly startNotBefore?: number;
  /** It is only prepared. */
  readonly isStandby?: boolean;
  /** A restart repeats what it replaces; everything else follows the service. */
  readonly from?: Pick<Task, 'spec' | 'specVersion' | 'ports'>;
}

const NO_NETWORKS: Task['networks'] = [];

/** What is wanted of a task once nothing holds it back. */
export function goalOf(service: Service): DesiredState {
  return isJob(service.spec.mode) ? 'complete' : 'running';
}

/** Adds a task without a node to the plan. */
export function addTask(draft: Draft, service: Service, plan: TaskPlan): Task {
  const { slot, because, startNotBefore, isStandby = false } = plan;
  const isHeld = isStandby || startNotBefore !== undefined;
  const { ports } = service.endpoint;
  const from = plan.from ?? { spec: service.spec.task, specVersion: service.specVersion, ports };
  const task: Task = {
    id: asId('task', draft.nextId()),
    meta: { version: 0, createdAt: draft.now, updatedAt: draft.now },
    serviceId: service.id,
    serviceName: service.spec.name,
    slot,
    ...templatingOf(service, from.spec),
    spec: from.spec,
    specVersion: from.specVersion,
    ...(service.jobStatus === undefined ? {} : { jobIteration: service.jobStatus.iteration }),
    desiredState: isHeld ? 'ready' : goalOf(service),
    ...(startNotBefore === undefined ? {} : { startNotBefore }),
    status: { state: 'pending', timestamp: draft.now, message: 'created', error: '' },
    networks: NO_NETWORKS,
    ports: withIngressPorts(from.ports, ports),
    because: [because],
  };
  draft.add(task);
  return task;
}

function templatingOf(service: Service, spec: TaskSpec): Pick<Task, 'templating'> {
  const { labels } = service.spec;
  const isNeeded = Object.keys(labels).length > 0 && namesServiceLabels(spec.container);
  return isNeeded ? { templating: { serviceLabels: labels } } : {};
}

/** The mesh's ports are as the service has them; the node's ports stay those the task was made for. */
export function withIngressPorts(ports: Task['ports'], ofService: Task['ports']): Task['ports'] {
  if (ports === ofService) return ports;
  const ingress = ofService.filter((port) => port.publishMode === 'ingress');
  return [...ingress, ...ports.filter((port) => port.publishMode === 'host')];
}
