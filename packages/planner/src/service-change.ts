/** What becomes of a service object when its user writes it. The caller checks and stores it. */
import type { Service, ServiceId, ServiceSpec } from '@swarmd/model';

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
    because: [],
  });
}

/** The service with a new spec: the present one becomes the previous, and a running update ends. */
export function changedService(
  view: PlanView,
  service: Service,
  spec: ServiceSpec,
): Allocated<Service> {
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
  });
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
  const changed = changedService(view, service, service.previousSpec);
  if (changed.kind === 'refused') return changed;
  return allocated({
    ...changed.value,
    updateStatus: {
      state: 'rollback-started',
      startedAt: now,
      message: 'rollback requested by the user',
    },
  });
}
