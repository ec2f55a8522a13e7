/**
 * What a service waits for, for people who ask: what its plan waits for, and what keeps its tasks from
 * moving to where there is more room. Planning itself does not look for moves that it may not make.
 */
import type { Node, Service, ServiceId, Task } from '@swarmd/model';

import { Draft } from '../draft.ts';
import { Placement } from '../place/place.ts';
import { isCurrent, taskName } from '../task-view.ts';
import type { PlanContext, PlanView, Wait } from '../types.ts';
import { planService } from './plan-service.ts';
import { movesAtOnce, rebalanceOf } from './rebalance-policy.ts';
import { bestMove, type Move } from './rebalance-move.ts';
import { standingOf } from './rebalance.ts';
import { isHalfway } from './update-state.ts';

/** Of what has the budget; the others are counted. */
const NAMES_SHOWN_MAX = 3;

/** Soonest first; last what nobody can tell the end of. */
export function serviceWaits(view: PlanView, id: ServiceId, context: PlanContext): Wait[] {
  const service = view.get('service', id);
  const { waits } = planService(view, id, context);
  if (service === undefined) return [...waits];
  const draft = new Draft(view, service, { tasks: view.tasksByService(id), context });
  return [...waits, ...rebalanceWaits(draft, service)].toSorted(
    (a, b) => (a.until ?? Number.MAX_VALUE) - (b.until ?? Number.MAX_VALUE),
  );
}

function rebalanceWaits(draft: Draft, service: Service): Wait[] {
  const limit = movesAtOnce(draft.view, service);
  if (limit === 0) return [];
  const isBetween = isHalfway(service, draft.tasks(), draft.nodes);
  const isAsWanted = (task: Task): boolean => isBetween || isCurrent(task, service, draft.nodes);
  const standing = standingOf(draft, isAsWanted);
  const { settled, underWay } = standing;
  const [sample] = settled;
  if (sample === undefined) return [];
  const placement = new Placement(draft, sample);
  const waits: Wait[] = [];
  const held = bestMove(draft, standing, placement.heldBack());
  if (held !== undefined) waits.push(heldWait(held));
  const move = bestMove(draft, standing, placement.bestOfEachBranch());
  if (move === undefined) return waits;
  const would = `${taskName(move.task)} would move to node ${nameOf(move.to)}, which has more room`;
  if (isBetween) {
    const message = `${would}; nothing moves before the update is over`;
    waits.push({ code: 'rebalance-update', message });
  } else if (underWay.length >= limit) {
    const once = `at most ${limit} may be on the move or unsettled at once, and so ${underWay.length === 1 ? 'is' : 'are'} ${someOf(underWay)}`;
    const message = `${would}; ${once}; more at once with: ${wider(draft, service, limit)}`;
    waits.push({ code: 'rebalance-budget', message });
  }
  return waits;
}

function heldWait({ task, to }: Move): Wait {
  const name = nameOf(to);
  const message = `${taskName(task)} would move to node ${name}, which has more room; it is held back, as it comes and goes (swarmctl explain node ${name})`;
  const { heldUntil: until } = to.status;
  return { code: 'rebalance-held', message, ...(until === undefined ? {} : { until }) };
}

/** The command after which one more may move at once. */
function wider({ view }: Draft, service: Service, limit: number): string {
  const { name, update } = service.spec;
  const flags = [
    ...(rebalanceOf(view, service).budget === limit ? [`--rebalance-budget ${limit + 1}`] : []),
    ...(update.parallelism === limit ? [`--update-parallelism ${limit + 1}`] : []),
  ];
  return `swarmctl service update ${flags.join(' ')} ${name}`;
}

function someOf(tasks: readonly Task[]): string {
  const names = tasks.map(({ serviceName, slot }) => `${serviceName}.${slot}`);
  const more = names.length - NAMES_SHOWN_MAX;
  return `${names.slice(0, NAMES_SHOWN_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function nameOf({ id, description }: Node): string {
  return description?.hostname ?? id;
}
