/** How the limits of a running container follow those of its task (ADR 0023). Part of `step.ts`. */
import { sameLimits, type ResourceLimits, type TaskStatus } from '@swarmd/model';

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
  if (sameLimits(wanted, applied)) return { life: acknowledged(life), effects: [] };
  if (busy || sameLimits(wanted, refused)) return { life, effects: [] };
  return {
    life: { ...life, limits: { ...life.limits, busy: true } },
    effects: [{ kind: 'limit', limits: wanted }],
  };
}

/** Says that the container has what the task says now: managers wait for that. */
function acknowledged(life: TaskLife): TaskLife {
  const { limitsChanged } = life.task;
  if (limitsChanged === undefined || life.status.limitsApplied === limitsChanged) return life;
  return { ...life, status: { ...life.status, limitsApplied: limitsChanged } };
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
    life: { ...next, status: { ...life.status, error, ...refusedOf(life, refused) } },
    effects: [{ kind: 'retry', afterMs: LIMITS_RETRY_MS }],
  };
}

/** Which change of the limits it was; nothing when the task says something else by now. */
function refusedOf(
  { task: { spec, limitsChanged } }: TaskLife,
  refused: ResourceLimits,
): Pick<TaskStatus, 'limitsRefused'> {
  const isPresent = limitsChanged !== undefined && sameLimits(spec.limits, refused);
  return isPresent ? { limitsRefused: limitsChanged } : {};
}

export function triedAgain(life: TaskLife): TaskLife {
  return { ...life, limits: { ...life.limits, refused: undefined } };
}
