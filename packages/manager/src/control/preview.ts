/** Dry runs: what a write would do, by the very code that does it. */
import type { Call, Control, Preview, Write } from '@swarmd/api';
import { unreachable } from '@swarmd/base';
import { serviceSpec, type ServiceId } from '@swarmd/model';
import {
  fieldChanges,
  outdatedTasks,
  plannedTasks,
  planService,
  servicesConcerned,
  type Wait,
} from '@swarmd/planner';
import { writeChanges, type Rehearsal } from '@swarmd/store';

import type { ControlContext, ControlOptions } from './context.ts';
import { nodeControl } from './node.ts';
import { RehearsalContext } from './rehearsal.ts';
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
      await serviceControl(context).createService(write, call);
      return;
    case 'update-service':
      await serviceControl(context).updateService(write, call);
      return;
    case 'remove-service':
      await serviceControl(context).removeService(write, call);
      return;
    case 'update-node':
      await nodeControl(context).updateNode(write, call);
      return;
    case 'remove-node':
      await nodeControl(context).removeNode(write, call);
      return;
    default:
      unreachable(write);
  }
}

/** Plans on as the managers would after this write, and tells what has become different by then. */
function describe(tx: Rehearsal, write: Write, { clock, ids }: ControlOptions): Preview {
  const spec = specChanges(tx);
  const now = clock.now();
  const waits: Wait[] = [];
  let later = 0;
  for (const id of concernedBy(tx, write)) {
    const plan = planService(tx, id, { now, ids });
    writeChanges(tx, plan.ops);
    waits.push(...plan.waits);
    later += outdatedTasks(tx, id);
  }
  const changes = tx.changes().flatMap((change) => (change.table === 'task' ? [change] : []));
  return {
    spec,
    tasks: plannedTasks(tx, changes),
    waits: waits
      .toSorted((a, b) => a.until - b.until)
      .map(({ code, message, until }) => ({ code, message, until })),
    later,
  };
}

/** A spec in which everything is as it is when nothing is said of it. */
const UNSET = serviceSpec.parse({ name: 'x', task: { container: { image: 'x' } } });

/** Of the object that the write is about: nothing else has a spec that it changes. */
function specChanges(tx: Rehearsal): Preview['spec'] {
  return tx.changes().flatMap((change) => {
    if (change.table === 'service' && change.before === undefined) {
      return fieldChanges(UNSET, change.after?.spec).flatMap(({ path, after }) =>
        after === undefined ? [] : [{ path, after }],
      );
    }
    if (change.table !== 'service' && change.table !== 'node') return [];
    // Of what is removed, every field would be.
    return change.after === undefined ? [] : fieldChanges(change.before?.spec, change.after.spec);
  });
}

function concernedBy(tx: Rehearsal, write: Write): Iterable<ServiceId> {
  switch (write.kind) {
    case 'create-service': {
      const made = tx.serviceByName(write.spec.name);
      return made === undefined ? [] : [made.id];
    }
    case 'update-service':
    case 'remove-service':
      return [write.id];
    case 'update-node':
    case 'remove-node':
      return servicesConcerned(tx, write.id);
    default:
      return unreachable(write);
  }
}
