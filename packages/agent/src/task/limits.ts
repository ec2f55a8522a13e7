/** How the limits of a running container follow those of its task (ADR 0023). Part of `step.ts`. */
import { sameLimits, type ResourceLimits } from '@swarmd/model';

import { LIMITS_RETRY_MS } from '../limits.ts';
import type { KnownLimits, Step, TaskLife } from './life.ts';

/** A container of an earlier life of the agent: asked to have what is wanted, whatever it has. */
export const UNKNOWN: KnownLimits = { busy: false, adopted: true };

/** Of the container that is to be prepared. */
export function limitsAtBirth({ task, limits }: TaskLife): KnownLimits {
  return limits.adopted === true ? limits : { busy: false, applied: task.spec.limits };
}

export function limiting(life: TaskLife): Step {
  const { limits: wanted } = life.task.spec;
  const { applied, refused, busy } = life.limits;
  if (busy || sameLimits(wanted, applied) || sameLimits(wanted, refused))
    return { life, effects: [] };
  return {
    life: { ...life, limits: { ...life.limits, busy: true } },
    effects: [{ kind: 'limit', limits: wanted }],
  };
}

export function limited(life: TaskLife, applied: ResourceLimits): TaskLife {
  const isNews = life.limits.applied !== undefined || life.limits.refused !== undefined;
  const next = { ...life, limits: { busy: false, applied } };
  if (!isNews || life.phase !== 'running') return next;
  return { ...next, status: { ...life.status, message: 'limits changed', error: '' } };
}

/** It runs on with those that it has; they are tried again, for what it uses may shrink. */
export function limitFailed(
  life: TaskLife,
  { limits: refused, error }: { limits: ResourceLimits; error: string },
): Step {
  const next = { ...life, limits: { ...life.limits, busy: false, refused } };
  if (life.phase !== 'running') return { life: next, effects: [] };
  return {
    life: { ...next, status: { ...life.status, error } },
    effects: [{ kind: 'retry', afterMs: LIMITS_RETRY_MS }],
  };
}

export function triedAgain(life: TaskLife): TaskLife {
  return { ...life, limits: { ...life.limits, refused: undefined } };
}
