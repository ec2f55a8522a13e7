/** Control of services. A service and its first tasks are written in one transaction. */
import type { Control } from '@swarmd/api';
import { SwarmError, unreachable } from '@swarmd/base';
import { asId, serviceSpec, type Service, type ServiceId, type ServiceSpec } from '@swarmd/model';
import {
  changedService,
  continuedService,
  countTasks,
  newService,
  planService,
  repeatedJob,
  rollbackSpec,
  rolledBackService,
  serviceWaits,
} from '@swarmd/planner';
import { writeChanges, type ReadView, type Transaction } from '@swarmd/store';

import { CONTROL_PLAN_TASKS_MAX } from '../limits.ts';
import type { ControlContext } from './context.ts';
import { matches } from './filter.ts';
import { granted } from './granted.ts';
import { checkRegistryAuth, removeRegistrySecret, withRegistrySecret } from './registry-secret.ts';
import { checkServiceReferences, checkServiceSpec } from './service-rules.ts';
import { invalid, notFound, parseSpec } from './validate.ts';

type ServiceControl = Pick<
  Control,
  | 'createService'
  | 'getService'
  | 'listServices'
  | 'listServiceCounts'
  | 'listServiceWaits'
  | 'updateService'
  | 'removeService'
>;

export function serviceControl(context: ControlContext): ServiceControl {
  return {
    createService: (request, call) => {
      const checked = checkedSpec(request.spec);
      const { registryAuth } = request;
      checkRegistryAuth(registryAuth);
      const id = asId('service', context.ids.next());
      return context.writeObject(
        { call, table: 'service', forward: (leader, on) => leader.createService(request, on) },
        (tx) => {
          refuseTakenName(tx, checked.name);
          const spec = withRegistrySecret(tx, { id, spec: checked, registryAuth }, context);
          checkServiceReferences(tx, spec);
          const service = granted(newService(tx, { id, spec, now: context.clock.now() }));
          tx.put('service', service);
          plan(context, tx, id);
          return service;
        },
      );
    },
    ...serviceReading(context),
    updateService: (request, call) => {
      const { id, version, registryAuth } = request;
      const asked = changeOf(request);
      checkRegistryAuth(registryAuth);
      return context.writeObject(
        { call, table: 'service', forward: (leader, on) => leader.updateService(request, on) },
        (tx) => {
          const stored = required(tx, request.id);
          const now = context.clock.now();
          const change =
            asked.kind === 'spec'
              ? {
                  ...asked,
                  spec: withRegistrySecret(tx, { id, spec: asked.spec, registryAuth }, context),
                }
              : asked;
          const next = changed(tx, stored, { version, change, now });
          tx.put('service', next);
          plan(context, tx, stored.id);
          return next;
        },
      );
    },
    removeService: ({ id }, call) =>
      context.write(
        call,
        (tx) => {
          required(tx, id);
          removeRegistrySecret(tx, id);
          tx.delete('service', id);
          plan(context, tx, id);
        },
        (leader, on) => leader.removeService({ id }, on),
      ),
  };
}

function serviceReading(
  context: ControlContext,
): Pick<ServiceControl, 'getService' | 'listServices' | 'listServiceCounts' | 'listServiceWaits'> {
  return {
    getService: async ({ id }, call) => required(await context.read(call), id),
    listServices: async ({ filter }, call) =>
      [...(await context.read(call)).list('service')].filter((service) =>
        matches(filter, {
          id: service.id,
          name: service.spec.name,
          labels: service.spec.labels,
        }),
      ),
    listServiceCounts: async ({ serviceIds }, call) => {
      const view = await context.read(call);
      // One that was removed meanwhile is left out: it must not spoil the answer for the others.
      return serviceIds.flatMap((id) => {
        const service = view.get('service', id);
        return service === undefined ? [] : { serviceId: id, ...countTasks(view, service) };
      });
    },
    listServiceWaits: async ({ serviceId }, call) => {
      const view = await context.read(call);
      required(view, serviceId);
      // What it would write is the leader's to write: here only what it waits for counts.
      const { ids, clock } = context;
      const tasksMax = CONTROL_PLAN_TASKS_MAX;
      return serviceWaits(view, serviceId, { now: clock.now(), ids, tasksMax });
    },
  };
}

/** What an update asks for: a spec, a former one, that the update under way goes on, or a run. */
type Change =
  | { readonly kind: 'spec'; readonly spec: ServiceSpec }
  | { readonly kind: 'rollback'; readonly to?: number }
  | { readonly kind: 'continue' }
  | { readonly kind: 'run' };

/** @throws SwarmError `invalid-argument` */
function changeOf(request: Parameters<Control['updateService']>[0]): Change {
  const { rollback, rollbackTo: to, continueUpdate = false, run = false } = request;
  if (run) return { kind: 'run' };
  if (to !== undefined && !rollback) throw invalid('service: rollbackTo is for rollbacks');
  if (rollback && continueUpdate) {
    throw invalid('service: an update goes on or goes back, not both');
  }
  if (rollback) return { kind: 'rollback', ...(to === undefined ? {} : { to }) };
  return continueUpdate ? { kind: 'continue' } : { kind: 'spec', spec: checkedSpec(request.spec) };
}

function changed(
  tx: Transaction,
  stored: Service,
  { version, change, now }: { version: number; change: Change; now: number },
): Service {
  // Whatever the spec became meanwhile, one more run of it is what is asked for.
  if (change.kind === 'run') return granted(repeatedJob(stored, now));
  checkVersion(stored, version);
  switch (change.kind) {
    case 'spec':
      checkServiceReferences(tx, change.spec);
      return granted(
        changedService(tx, notScaled(sameKind(stored, change.spec), change.spec), {
          spec: change.spec,
          now,
        }),
      );
    case 'rollback':
      checkServiceReferences(tx, rollbackSpec(stored, change.to) ?? stored.spec);
      return granted(rolledBackService(tx, stored, { to: change.to, now }));
    case 'continue':
      return granted(continuedService(stored, now));
    default:
      return unreachable(change);
  }
}

/** Plans in the transaction of the change itself, so that its first tasks leave in the same Raft entry. */
function plan(context: ControlContext, tx: Transaction, id: ServiceId): void {
  const planned = planService(tx, id, {
    now: context.clock.now(),
    ids: context.ids,
    tasksMax: CONTROL_PLAN_TASKS_MAX,
  });
  writeChanges(tx, planned.ops);
}

function checkedSpec(input: unknown): ServiceSpec {
  if (input === undefined) throw invalid('service: a spec is required');
  const spec = parseSpec('service', serviceSpec, input);
  checkServiceSpec(spec);
  return spec;
}

function required(view: ReadView, id: ServiceId): Service {
  const service = view.get('service', id);
  if (service === undefined) throw notFound('service', id);
  return service;
}

function refuseTakenName(view: ReadView, name: string): void {
  const holder = view.serviceByName(name);
  if (holder === undefined) return;
  throw new SwarmError(
    'already-exists',
    `a service named "${name}" exists already (${holder.id}); update it or choose another name`,
  );
}

function checkVersion(stored: Service, version: number): void {
  if (version === stored.meta.version) return;
  throw new SwarmError(
    'out-of-date',
    `service ${stored.spec.name} was changed meanwhile: version ${version} was read, ` +
      `${stored.meta.version} is stored; read it again and repeat the change`,
  );
}

/** @throws SwarmError `failed-precondition` for a number of replicas that autoscaling would overrule. */
function notScaled(stored: Service, spec: ServiceSpec): Service {
  const { name, mode, autoscale } = stored.spec;
  if (autoscale === undefined || spec.autoscale === undefined) return stored;
  const isSame =
    mode.kind !== 'replicated' ||
    spec.mode.kind !== 'replicated' ||
    mode.replicas === spec.mode.replicas;
  if (isSame) return stored;
  throw new SwarmError(
    'failed-precondition',
    `service ${name}: autoscaling decides on its replicas (${autoscale.min} to ${autoscale.max}); ` +
      `change the bounds with service update --autoscale-min and --autoscale-max, or end it with --no-autoscale`,
  );
}

/** @throws SwarmError `unimplemented` for what an update cannot change. */
function sameKind(stored: Service, spec: ServiceSpec): Service {
  const { name } = stored.spec;
  if (spec.name !== name) {
    throw new SwarmError(
      'unimplemented',
      `service ${name}: a service cannot be renamed (to "${spec.name}"); create a new one`,
    );
  }
  if (spec.mode.kind !== stored.spec.mode.kind) {
    throw new SwarmError(
      'unimplemented',
      `service ${name}: the mode of a service cannot be changed; create a new one`,
    );
  }
  return stored;
}
