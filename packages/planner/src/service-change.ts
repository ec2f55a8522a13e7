/** What becomes of a service object when its user writes it. The caller checks and stores it. */
import {
  isJob,
  wantedReplicas,
  type JobRun,
  type JobStatus,
  type Service,
  type ServiceId,
  type ServiceSpec,
} from '@swarmd/model';

import { allocateEndpoint } from './allocate/endpoint.ts';
import { allocated, refused, type Allocated } from './allocate/result.ts';
import { SPEC_HISTORY_MAX } from './limits.ts';
import { reason, remember } from './reasons.ts';
import { runRefusal, withRun } from './service/runs.ts';
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
    ...autoscaleOf(undefined, spec, now),
    ...(isJob(spec.mode) ? { jobStatus: firstStatus(spec, now) } : {}),
    because: [],
  });
}

/**
 * The service with a new spec: the present one becomes the previous, and a running update ends. A job
 * runs again, unless it has a schedule.
 */
export function changedService(
  view: PlanView,
  service: Service,
  change: { spec: ServiceSpec; now: number },
): Allocated<Service> {
  const { spec, now } = change;
  const endpoint = allocateEndpoint(view, spec, service);
  if (endpoint.kind === 'refused') return endpoint;
  const { updateStatus: _ended, autoscale: _before, ...rest } = service;
  return allocated({
    ...rest,
    spec: withoutScaler(service, spec),
    ...autoscaleOf(service, spec, now),
    // Grows with every write, so no two specs of a service share one.
    specVersion: service.meta.version,
    previousSpec: isUnfinished(service) ? (service.previousSpec ?? service.spec) : service.spec,
    history: withPresent(service, now),
    endpoint: endpoint.value,
    ...(isJob(spec.mode) ? { jobStatus: statusAfter(service, spec, now) } : {}),
  });
}

/** What autoscaling has come to stays when the policy changes; it starts with what there is. */
function autoscaleOf(
  service: Service | undefined,
  spec: ServiceSpec,
  now: number,
): Pick<Service, 'autoscale'> {
  if (spec.autoscale === undefined || spec.mode.kind !== 'replicated') return {};
  const known = service?.autoscale;
  if (known !== undefined) return { autoscale: known };
  const replicas = wantedReplicas({ spec });
  return { autoscale: { replicas, changedAt: now, message: 'nothing is measured yet' } };
}

/** Who turns autoscaling off and says no number keeps the one there is. */
function withoutScaler(service: Service, spec: ServiceSpec): ServiceSpec {
  const before = service.spec.mode;
  const { mode } = spec;
  const isOff = service.spec.autoscale !== undefined && spec.autoscale === undefined;
  if (!isOff || mode.kind !== 'replicated' || before.kind !== 'replicated') return spec;
  if (mode.replicas !== before.replicas) return spec;
  return { ...spec, mode: { ...mode, replicas: wantedReplicas(service) } };
}

/**
 * An update that nobody knows yet to be good: what follows it goes back to what was before it. Swarm
 * goes back to the unfinished one, which may be what had to be mended.
 */
function isUnfinished({ updateStatus }: Service): boolean {
  return updateStatus?.state === 'updating' || updateStatus?.state === 'paused';
}

/** The history of a service whose spec is about to be replaced. */
export function withPresent(
  { history, spec, specVersion }: Service,
  replacedAt: number,
): NonNullable<Service['history']> {
  const specs = [...(history?.specs ?? []), { specVersion, spec, replacedAt }];
  return { specs: specs.slice(-SPEC_HISTORY_MAX) };
}

/** The job as it is when it is to run once more, at once and with the spec it has. */
export function repeatedJob(service: Service, now: number): Allocated<Service> {
  const { name, mode, schedule } = service.spec;
  const { jobStatus } = service;
  if (!isJob(mode) || jobStatus === undefined) {
    return refused('failed-precondition', `service "${name}" is ${mode.kind}: only jobs are run`);
  }
  if (schedule === undefined) return allocated({ ...service, jobStatus: nextRun(service, now) });
  const refusal = runRefusal(jobStatus, schedule);
  if (refusal !== undefined) return refused('failed-precondition', `job "${name}": ${refusal}`);
  const after = withRun(jobStatus, schedule, { now });
  const why = reason('run-asked', `run ${after.iteration} begins, as a user asked for it`, {
    at: now,
  });
  return allocated({ ...service, jobStatus: after, because: remember(service.because, why) });
}

function firstStatus({ schedule }: ServiceSpec, now: number): JobStatus {
  return schedule === undefined
    ? { iteration: 1, lastExecution: now, runs: [] }
    : { iteration: 0, lastExecution: 0, runs: [], schedule: { decidedUntil: now } };
}

function nextRun(service: Service, now: number): JobStatus {
  return { iteration: (service.jobStatus?.iteration ?? 0) + 1, lastExecution: now, runs: [] };
}

/** A job without a schedule runs again. With one it goes on; times that another schedule had count no more. */
function statusAfter(service: Service, { schedule }: ServiceSpec, now: number): JobStatus {
  const status = service.jobStatus ?? { iteration: 0, lastExecution: 0, runs: [] };
  if (schedule === undefined) return nextRun(service, now);
  const before = service.spec.schedule;
  if (before === undefined) {
    const { iteration, lastExecution } = status;
    // What the job was doing without a schedule goes on as its first run.
    const run: JobRun = { iteration, state: 'active', at: lastExecution, message: '' };
    return { iteration, lastExecution, runs: [run], schedule: { decidedUntil: now } };
  }
  const isSame =
    before.cron === schedule.cron &&
    before.timeZone === schedule.timeZone &&
    before.suspended === schedule.suspended;
  return isSame ? status : { ...status, schedule: { decidedUntil: now } };
}

/** The service whose update may go on from the canary step where it waits for that. */
export function continuedService(service: Service, now: number): Allocated<Service> {
  const { spec, updateStatus } = service;
  const { passed = 0, waitsSince, until } = updateStatus?.canary ?? {};
  if (updateStatus?.state !== 'updating' || waitsSince === undefined || until !== undefined) {
    const state =
      updateStatus === undefined
        ? 'it is not being updated'
        : `${updateStatus.state}: ${updateStatus.message}`;
    return refused(
      'failed-precondition',
      `the update of service "${spec.name}" waits for no approval (${state})`,
    );
  }
  const message = `step ${passed + 1} of ${spec.update.canary.length} was approved`;
  return allocated({
    ...service,
    updateStatus: { ...updateStatus, message, canary: { passed: passed + 1 } },
    because: remember(service.because, reason('update-continued', message, { at: now })),
  });
}

/** What a rollback goes back to: the previous spec, or that of the version `to`. */
export function rollbackSpec(service: Service, to?: number): ServiceSpec | undefined {
  if (to === undefined) return service.previousSpec;
  return service.history?.specs.find(({ specVersion }) => specVersion === to)?.spec;
}

/**
 * The user's own rollback: the previous and the present spec change places, or the present one gives
 * way to that of the version `to`.
 */
export function rolledBackService(
  view: PlanView,
  service: Service,
  { to, now }: { to?: number | undefined; now: number },
): Allocated<Service> {
  const { name } = service.spec;
  const spec = rollbackSpec(service, to);
  if (spec === undefined) {
    return to === undefined
      ? refused(
          'failed-precondition',
          `service "${name}" has no previous spec to roll back to (those of its past: swarmctl service history ${name}; to one of them: swarmctl service rollback --to SPEC ${name})`,
        )
      : refused(
          'not-found',
          `service "${name}" has no spec ${to} in its history (see what there is with: swarmctl service history ${name})`,
        );
  }
  const changed = changedService(view, service, { spec, now });
  if (changed.kind === 'refused' || isJob(changed.value.spec.mode)) return changed;
  const message = 'rollback requested by the user';
  return allocated({
    ...changed.value,
    previousSpec: service.spec,
    updateStatus: {
      state: 'rollback-started',
      startedAt: now,
      message,
    },
    because: remember(changed.value.because, reason('update-started', message, { at: now })),
  });
}
