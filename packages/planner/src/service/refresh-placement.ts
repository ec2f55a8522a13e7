/**
 * A task that stays when only placement changes takes over what others are measured by: which services it keeps
 * away, and how important it is. Else nothing but a restart would ever let those in that were let in by the user.
 */
import type { Service, TaskSpec } from '@swarmd/model';

import type { Draft } from '../draft.ts';
import { isAtWork, isCurrent, sameSpec } from '../task-view.ts';
import { isHalted } from './update-state.ts';

export function refreshPlacement(draft: Draft, service: Service): void {
  if (isHalted(service)) return;
  const wanted = service.spec.task;
  for (const task of draft.tasks()) {
    if (task.spec === wanted || !isAtWork(task) || standsAlike(task.spec, wanted)) continue;
    if (!isCurrent(task, service, draft.nodes)) continue;
    const why = draft.reason('placement-changed', 'the placement of the service changed');
    draft.change(task, { spec: withStanding(task.spec, wanted) }, why);
  }
}

function standsAlike({ placement: a }: TaskSpec, { placement: b }: TaskSpec): boolean {
  return a.priority === b.priority && sameSpec(a.affinities, b.affinities);
}

/** Tasks that shared a spec share the result. */
function withStanding(spec: TaskSpec, wanted: TaskSpec): TaskSpec {
  const known = results.get(spec);
  if (known?.wanted === wanted) return known.result;
  const { affinities, priority } = wanted.placement;
  const changed = { ...spec, placement: { ...spec.placement, affinities, priority } };
  const result = sameSpec(changed, wanted) ? wanted : changed;
  results.set(spec, { wanted, result });
  return result;
}

/** Specs are immutable. */
const results = new WeakMap<TaskSpec, { wanted: TaskSpec; result: TaskSpec }>();
