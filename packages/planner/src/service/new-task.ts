import { asId, type Reason, type Service, type Task, type TaskSpec } from '@swarmd/model';

import type { Draft } from '../draft.ts';

export interface TaskPlan {
  readonly slot: number;
  readonly because: Reason;
  /** When it may start; undefined: as soon as it is ready. */
  readonly startNotBefore?: number;
  /** A restart repeats what it replaces; everything else follows the service. */
  readonly from?: { readonly spec: TaskSpec; readonly specVersion: number };
}

/** Adds a task without a node to the plan. */
export function addTask(draft: Draft, service: Service, plan: TaskPlan): Task {
  const { slot, because, startNotBefore } = plan;
  const from = plan.from ?? { spec: service.spec.task, specVersion: service.specVersion };
  const task: Task = {
    id: asId('task', draft.nextId()),
    meta: { version: 0, createdAt: draft.now, updatedAt: draft.now },
    serviceId: service.id,
    serviceName: service.spec.name,
    slot,
    spec: from.spec,
    specVersion: from.specVersion,
    desiredState: startNotBefore === undefined ? 'running' : 'ready',
    ...(startNotBefore === undefined ? {} : { startNotBefore }),
    status: { state: 'pending', timestamp: draft.now, message: 'created', error: '' },
    networks: [],
    ports: service.endpoint.ports,
    because: [because],
  };
  draft.add(task);
  return task;
}
