/** Dry runs: what a write would do, by the very code that does it. */
import type { Call, Control, Preview, Write } from '@swarmd/api';
import { unreachable } from '@swarmd/base';
import type { ServiceId, Task } from '@swarmd/model';
import {
  followsNodes,
  outdatedTasks,
  plannedTasks,
  planService,
  type Plan,
  type PlanContext,
  servicesConcerned,
  servicesWaiting,
  type TimedWait,
} from '@swarmd/planner';
import { writeChanges, type Rehearsal } from '@swarmd/store';

import { PREVIEW_PLANS_MAX } from '../limits.ts';
import { sameValue } from '../same-value.ts';
import { clusterControl } from './cluster.ts';
import { configControl } from './config.ts';
import type { ControlContext, ControlOptions } from './context.ts';
import { networkControl } from './network.ts';
import { nodeControl } from './node.ts';
import { specChanges } from './preview-spec.ts';
import { RehearsalContext } from './rehearsal.ts';
import { secretControl } from './secret.ts';
import { serviceControl } from './service.ts';

export function previewControl(
  context: ControlContext,
  options: ControlOptions,
): Pick<Control, 'preview'> {
  return {
    preview: (write, call) =>
      context.onLeader(
        call,
        async (signal) => {
          // A leader that was replaced without noticing must not tell what it would do.
          await context.read({ ...call, stale: false });
          const afterwards = (tx: Rehearsal): Preview => describe(tx, write, options);
          const rehearsal = new RehearsalContext(options, afterwards, signal);
          await carryOut(rehearsal, write, call);
          return rehearsal.outcome;
        },
        (leader, on) => leader.preview(write, on),
      ),
  };
}

async function carryOut(context: ControlContext, write: Write, call: Call): Promise<void> {
  switch (write.kind) {
    case 'create-service':
      return void (await serviceControl(context).createService(write, call));
    case 'update-service':
      return void (await serviceControl(context).updateService(write, call));
    case 'remove-service':
      return await serviceControl(context).removeService(write, call);
    case 'update-node':
      return void (await nodeControl(context).updateNode(write, call));
    case 'remove-node':
      return await nodeControl(context).removeNode(write, call);
    case 'create-network':
      return void (await networkControl(context).createNetwork(write, call));
    case 'update-network':
      return void (await networkControl(context).updateNetwork(write, call));
    case 'remove-network':
      return await networkControl(context).removeNetwork(write, call);
    case 'create-secret':
      return void (await secretControl(context).createSecret(write, call));
    case 'update-secret':
      return void (await secretControl(context).updateSecret(write, call));
    case 'remove-secret':
      return await secretControl(context).removeSecret(write, call);
    case 'create-config':
      return void (await configControl(context).createConfig(write, call));
    case 'update-config':
      return void (await configControl(context).updateConfig(write, call));
    case 'remove-config':
      return await configControl(context).removeConfig(write, call);
    case 'update-cluster':
      return void (await clusterControl(context).updateCluster(write, call));
    default:
      unreachable(write);
  }
}

const SERVICE_WRITES: ReadonlySet<Write['kind']> = new Set(['create-service', 'update-service']);

/** Plans on as the managers would after this write, and tells what has become different by then. */
function describe(tx: Rehearsal, write: Write, { clock, ids }: ControlOptions): Preview {
  const spec = specChanges(tx, write);
  const now = clock.now();
  const waits: TimedWait[] = [];
  let later = 0;
  const concerned = [...concernedBy(tx, write), ...madeRoomFor(tx)];
  const planned = new Set<ServiceId>();
  const isAboutService = SERVICE_WRITES.has(write.kind);
  for (const id of concerned) {
    if (planned.has(id)) continue;
    planned.add(id);
    const plan = planOn(tx, id, { now, ids });
    // Less important tasks that have to make room are moved by the plans of their own services.
    concerned.push(...plan.makeRoom);
    // Of all that a node or network may concern, those that go on as before wait as before.
    if (isAboutService || plan.changes) waits.push(...plan.waits);
    later += outdatedTasks(tx, id);
  }
  const changes = tx.changes().flatMap((change) => (change.table === 'task' ? [change] : []));
  return {
    spec,
    tasks: plannedTasks(tx, changes),
    waits: waits.toSorted((a, b) => a.until - b.until),
    later,
  };
}

interface Planned {
  readonly changes: boolean;
  readonly waits: readonly TimedWait[];
  /** Services of which a task is told now to make room. */
  readonly makeRoom: readonly ServiceId[];
}

/** Until the service has nothing more to do at this time, and then waits. */
function planOn(tx: Rehearsal, id: ServiceId, context: PlanContext): Planned {
  const makeRoom: ServiceId[] = [];
  for (let plans = 1; ; plans += 1) {
    const { ops, waits, requeueAfterMs } = planService(tx, id, context);
    makeRoom.push(...makingRoomBy(tx, ops));
    writeChanges(tx, ops);
    const changes = plans > 1 || ops.length > 0;
    if (requeueAfterMs !== 0 || ops.length === 0 || plans === PREVIEW_PLANS_MAX) {
      return { changes, waits, makeRoom };
    }
  }
}

/** `ops` are not written yet. */
function makingRoomBy(tx: Rehearsal, ops: Plan['ops']): ServiceId[] {
  return ops.flatMap((op) => {
    if (op.kind !== 'put' || op.table !== 'task') return [];
    return makingRoom(tx.get('task', op.object.id), op.object);
  });
}

function makingRoom(before: Task | undefined, after: Task | undefined): ServiceId[] {
  if (after?.preemptedBy === undefined || before?.preemptedBy !== undefined) return [];
  return [after.serviceId];
}

/** A write of a service has the first plan of it in it, which may have asked others to make room. */
function madeRoomFor(tx: Rehearsal): ServiceId[] {
  return tx
    .changes()
    .flatMap((one) => (one.table === 'task' ? makingRoom(one.before, one.after) : []));
}

/** As the managers' loops would be woken. */
function concernedBy(tx: Rehearsal, write: Write): Iterable<ServiceId> {
  switch (write.kind) {
    case 'create-service':
    case 'update-service':
    case 'remove-service':
    case 'update-secret':
    case 'update-config':
      return tx.changes().flatMap(({ table, before, after }) => {
        const service = table === 'service' ? (after ?? before) : undefined;
        return service === undefined ? [] : [service.id];
      });
    case 'update-node':
    case 'remove-node':
      return servicesConcerned(tx, write.id);
    case 'create-network':
    case 'update-network':
    case 'remove-network':
      return servicesWaiting(tx);
    case 'create-secret':
    case 'remove-secret':
    case 'create-config':
    case 'remove-config':
      return [];
    case 'update-cluster':
      return servicesRebalanced(tx);
    default:
      return unreachable(write);
  }
}

/** Those that a new policy of the cluster makes move their tasks. */
function servicesRebalanced(tx: Rehearsal): ServiceId[] {
  const isChanged = tx
    .changes()
    .some(
      (change) =>
        change.table === 'cluster' &&
        !sameValue(change.before?.spec.rebalance, change.after?.spec.rebalance),
    );
  if (!isChanged) return [];
  return [...tx.list('service')].flatMap((one) => (followsNodes(tx, one) ? [one.id] : []));
}
