/**
 * Limits change on running containers (ADR 0023): a task whose spec differs from its service's in
 * nothing else takes them over where it is, all tasks at once. Its node applies them, and says so when it cannot.
 */
import type { Service, TaskSpec } from '@swarmd/model';

import type { Draft } from '../draft.ts';
import { isOver, isWanted, sameSpec, sameWhereItStays } from '../task-view.ts';
import { isHalted } from './update-state.ts';

export function refreshLimits(draft: Draft, service: Service): void {
  if (isHalted(service)) return;
  const wanted = service.spec.task;
  for (const task of draft.tasks()) {
    if (isOver(task) || !isWanted(task) || task.spec === wanted) continue;
    if (sameSpec(task.spec.limits, wanted.limits)) continue;
    const spec = withLimits(task.spec, wanted);
    if (!sameWhereItStays(spec, wanted)) continue;
    const why = draft.reason('limits-changed', 'the limits of the service changed');
    const specVersion = spec === wanted ? service.specVersion : task.specVersion;
    const limitsChanged = (task.limitsChanged ?? 0) + 1;
    draft.change(task, { spec, specVersion, limitsChanged }, why);
  }
}

/** The spec with the limits of another; tasks that shared it share the result. */
function withLimits(spec: TaskSpec, wanted: TaskSpec): TaskSpec {
  const known = results.get(spec);
  if (known?.wanted === wanted) return known.result;
  const changed = { ...spec, limits: wanted.limits };
  const result = sameSpec(changed, wanted) ? wanted : changed;
  results.set(spec, { wanted, result });
  return result;
}

/** Specs are immutable. */
const results = new WeakMap<TaskSpec, { wanted: TaskSpec; result: TaskSpec }>();
