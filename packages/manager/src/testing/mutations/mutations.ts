/**
 * Known ways to do things too late, too soon or never, and to remember what is no longer so. What must notice is the
 * simulation's watch over time, or the properties of what the planner keeps between plans.
 */
import type { Mutation } from '@swarmd/base/testing';

import type { ScenarioName } from './time-scenarios.ts';

/** `scenario`: where something falls due that it keeps from happening. */
export interface TimeMutation extends Mutation {
  readonly scenario: ScenarioName;
}

/** Paths begin at `packages/`. */
export const TIME: readonly TimeMutation[] = [
  {
    name: 'an update that cannot get on is not given up',
    scenario: 'update',
    file: 'planner/src/service/progress-deadline.ts',
    find: 'if (dueAt <= draft.now) return describe(waiting, progressDeadlineMs);',
    replace: 'if (dueAt <= draft.now) continue;',
  },
  {
    name: 'each attempt of an update has all its time again',
    scenario: 'attempts',
    file: 'planner/src/service/progress-deadline.ts',
    find: 'const dueAt = first.meta.createdAt',
    replace: 'const dueAt = waiting.meta.createdAt',
  },
  {
    name: 'nobody looks again when the progress deadline has come',
    scenario: 'update',
    file: 'planner/src/service/progress-deadline.ts',
    find: 'draft.waitUntil(dueAt, {',
    replace: 'Object.freeze({',
  },
  {
    name: 'a move counts no more once its new task runs',
    scenario: 'moves',
    file: 'planner/src/service/rebalance.ts',
    find: 'if (isWell && !tasks.some((task) => isStopping(draft, task))) settled',
    replace: 'if (isWell) settled',
  },
  {
    name: 'a move counts no more once its new task is there',
    scenario: 'moves',
    file: 'planner/src/service/rebalance.ts',
    find: 'if (underWay.length >= limit ||',
    replace: 'if (underWay.length > limit ||',
  },
  {
    name: 'a run that is due is not decided on',
    scenario: 'run',
    file: 'planner/src/service/scheduled-job.ts',
    find: 'if (due === undefined) return',
    replace: 'if (due === undefined || due > decidedUntil) return',
  },
  {
    name: 'nobody looks again when a run is due',
    scenario: 'run',
    file: 'planner/src/service/scheduled-job.ts',
    find: "draft.waitUntil(nextAt, { code: 'schedule', message });",
    replace: 'void message;',
  },
  {
    name: 'what a plan waits for is forgotten',
    scenario: 'run',
    file: 'manager/src/loops/service-loop.ts',
    find: 'return { requeueAfterMs: Math.min(requeueAfterMs, SERVICE_LOOP_REQUEUE_MAX_MS) };',
    replace: 'return SERVICE_LOOP_REQUEUE_MAX_MS > 0 ? undefined : { requeueAfterMs };',
  },
  {
    name: 'a new leader does not look at the services that are there',
    scenario: 'newLeader',
    file: 'manager/src/loops/service-loop.ts',
    find: "for (const service of view.list('service')) this.#loop.enqueue(service.id);",
    replace: '',
  },
  {
    name: 'more replicas are never added',
    scenario: 'scaleUp',
    file: 'planner/src/service/autoscale.ts',
    find: 'if (now < dueAt) {',
    replace: 'if (now < dueAt || isUp) {',
  },
  {
    name: 'replicas are never taken away',
    scenario: 'scaleDown',
    file: 'planner/src/service/autoscale.ts',
    find: 'if (now < dueAt) {',
    replace: 'if (now < dueAt || !isUp) {',
  },
  {
    name: 'what tasks use is looked at once',
    scenario: 'scaleUp',
    file: 'manager/src/loops/autoscale-loop.ts',
    find: 'return { requeueAfterMs: AUTOSCALE_PERIOD_MS };',
    replace: 'return AUTOSCALE_PERIOD_MS > 0 ? undefined : { requeueAfterMs: 0 };',
  },
  {
    name: 'a new leader does not look at what tasks use',
    scenario: 'newLeader',
    file: 'manager/src/loops/autoscale-loop.ts',
    find: 'if (service.spec.autoscale !== undefined) this.#loop.enqueue(service.id);',
    replace: '',
  },
];

export const MEMORY: readonly Mutation[] = [
  {
    name: 'that a task is not wanted any more is not noticed',
    file: 'planner/src/place/held-index.ts',
    find: '&&\n    isWanted(a) === isWanted(b)',
    replace: '',
  },
  {
    name: 'a node that changed is not asked again',
    file: 'planner/src/place/held-index.ts',
    find: '    else this.#seenNodes.set(id, node);\n    this.news.note(id);',
    replace: '    else this.#seenNodes.set(id, node);',
  },
  {
    name: 'tasks that come and go are no news of their node',
    file: 'planner/src/place/held-index.ts',
    find: 'this.news.note(nodeId);',
    replace: '',
  },
  {
    name: 'where nobody could make room, nobody ever can',
    file: 'planner/src/place/standing.ts',
    find: '    this.hopeless.delete(id);\n',
    replace: '',
  },
  {
    name: 'what a node once lacked, it lacks for ever',
    file: 'planner/src/place/standing.ts',
    find: '    this.#verdicts.delete(id);\n',
    replace: '',
  },
];

/** No mistake: must not be caught. */
export const CONTROL: Mutation = {
  name: 'nothing',
  file: 'planner/src/service/progress-deadline.ts',
  find: 'const [first] = attempts;',
  replace: 'const first = attempts[0];',
};
