/** What becomes of a service object when its user writes it. The caller checks and stores it. */
import {
  isJob,
  type JobStatus,
  type Service,
  type ServiceId,
  type ServiceSpec,
} from '@swarmd/model';

import { allocateEndpoint } from './allocate/endpoint.ts';
import { allocated, refused, type Allocated } from './allocate/result.ts';
import type { PlanView } from './types.ts';

/** A new service, with its ports and virtual addresses. */
export function newService(
  view: PlanView,
  options: { id: ServiceId; spec: ServiceSpec; now: number },
): Allocated<Service> {
  const { id, spec, now } = options;
  const endpoint = allocateEndpoint(view, spec);
  if (endpoint.kind === 'refused') return endpoint;
  return allocated({
    id,
    meta: { version: 0, createdAt: now, updatedAt: now },
    spec,
    specVersion: 0,
    endpoint: endpoint.value,
    ...(isJob(spec.mode) ? { jobStatus: { iteration: 1, lastExecution: now } } : {}),
    because: [],
  });
}

/**
 * The service with a new spec: the present one becomes the previous, and a running update ends. A job
 * runs again.
 */
export function changedService(
  view: PlanView,
  service: Service,
  change: { spec: ServiceSpec; now: number },
): Allocated<Service> {
  const { spec, now } = change;
  const endpoint = allocateEndpoint(view, spec, service);
  if (endpoint.kind === 'refused') return endpoint;
  const { updateStatus: _ended, ...rest } = service;
  return allocated({
    ...rest,
    spec,
    // Grows with every write, so no two specs of a service share one.
    specVersion: service.meta.version,
    previousSpec: service.spec,
    endpoint: endpoint.value,
    ...(isJob(spec.mode) ? { jobStatus: nextRun(service, now) } : {}),
  });
}

/** The job as it is when it is to run once more, with the spec it has. */
export function repeatedJob(service: Service, now: number): Service {
  return { ...service, jobStatus: nextRun(service, now) };
}

function nextRun(service: Service, now: number): JobStatus {
  return { iteration: (service.jobStatus?.iteration ?? 0) + 1, lastExecution: now };
}

/** The user's own rollback: the previous and the present spec change places. */
export function rolledBackService(
  view: PlanView,
  service: Service,
  now: number,
): Allocated<Service> {
  if (service.previousSpec === undefined) {
    return refused(
      'failed-precondition',
      `service "${service.spec.name}" has no previous spec to roll back to`,
    );
  }
  const changed = changedService(view, service, { spec: service.previousSpec, now });
  if (changed.kind === 'refused' || isJob(changed.value.spec.mode)) return changed;
  return allocated({
    ...changed.value,
    updateStatus: {
      state: 'rollback-started',
      startedAt: now,
      message: 'rollback requested by the user',
    },
  });
}
