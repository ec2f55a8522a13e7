/**
 * Decides the life of a task on its node: the only place where its state moves. First `observe`
 * notes what happened, then `pursue` compares what exists with what is wanted. States and their
 * order are SwarmKit's.
 *
 * Invariants: rank(next.status) >= rank(status); effects of one kind are never under way twice.
 */
import { constants } from 'node:os';

import { assert, unreachable } from '@swarmd/base';
import {
  isTerminal,
  rank,
  type HealthcheckSpec,
  type TaskState,
  type TaskStatus,
} from '@swarmd/model';

import {
  CLEANUP_RETRY_MS,
  PREPARE_ATTEMPTS_MAX,
  PREPARE_RETRY_FIRST_MS,
  PREPARE_RETRY_MAX_MS,
} from '../limits.ts';
import type { ContainerExit, ContainerPhase } from '../ports.ts';
import type { Effect, Observation, Phase, Step, TaskLife } from './life.ts';
import { limited, limitFailed, limiting, limitsAtBirth, triedAgain, UNKNOWN } from './limits.ts';

/** @param now milliseconds since the epoch, the timestamp of a status that changes. */
export function step(life: TaskLife, observation: Observation, now: number): Step {
  const observed = observe(life, observation, now);
  const pursued = pursue(observed.life, now);
  assert(
    rank(pursued.life.status.state) >= rank(life.status.state),
    `task ${life.task.id} went back from ${life.status.state} to ${pursued.life.status.state}`,
  );
  return { life: pursued.life, effects: [...observed.effects, ...pursued.effects] };
}

function observe(life: TaskLife, observation: Observation, now: number): Step {
  switch (observation.kind) {
    case 'wanted':
      return only({ ...life, task: observation.task, wish: observation.task.desiredState });
    case 'unassigned':
      return only({ ...life, wish: 'gone' });
    case 'limited':
      return only(limited(life, observation.limits));
    case 'limit-failed':
      return limitFailed(life, observation);
    case 'found':
      return found(withCheck(life, observation), observation.container, now);
    case 'pulling':
      if (life.phase !== 'preparing') return only(life);
      return only({ ...life, status: { ...life.status, message: observation.message } });
    case 'prepared':
      if (life.phase === 'cancelling') return removing(life);
      return only(
        reach({ ...withCheck(life, observation), phase: 'ready', attempts: 0 }, 'ready', {
          timestamp: now,
        }),
      );
    case 'prepare-failed':
      return prepareFailed(life, observation, now);
    case 'started':
      return started(life, observation.pid, now);
    case 'start-failed':
      return removing(reach(life, 'failed', { timestamp: now, error: observation.error }));
    case 'healthy':
      if (life.phase !== 'running') return only(life);
      return only(reach(life, 'running', { timestamp: now }));
    case 'unhealthy':
      if (life.phase !== 'running') return only(life);
      return stopping({ ...life, stopReason: observation.error });
    case 'exited':
      return exited(life, observation.exit, now);
    case 'stop-failed':
      return {
        life: { ...life, status: { ...life.status, error: observation.error } },
        effects: [RETRY_CLEANUP],
      };
    case 'remove-failed':
      return { life, effects: [RETRY_CLEANUP] };
    case 'removed':
      return only({ ...life, phase: 'clean' });
    case 'retry-due':
      return retry(life);
    default:
      return unreachable(observation);
  }
}

/** What follows from the difference between what exists and what is wanted. */
function pursue(life: TaskLife, now: number): Step {
  const wanted = life.wish === 'ready' || life.wish === 'running' || life.wish === 'complete';
  switch (life.phase) {
    case 'idle':
      if (isTerminal(life.status.state)) return pursue({ ...life, phase: 'ended' }, now);
      if (!wanted) return removing(life);
      return {
        life: reach({ ...life, phase: 'preparing', limits: limitsAtBirth(life) }, 'preparing', {
          timestamp: now,
          error: life.attempts > 0 ? life.status.error : '',
        }),
        effects: [{ kind: 'prepare', limits: life.task.spec.limits }],
      };
    case 'preparing':
      if (wanted) return only(life);
      return { life: { ...life, phase: 'cancelling' }, effects: [{ kind: 'cancel' }] };
    case 'waiting':
      return wanted ? only(life) : removing(life);
    case 'ready':
      if (!wanted) return removing(life);
      if (life.wish === 'ready') return only(life);
      return {
        life: reach({ ...life, phase: 'starting' }, 'starting', { timestamp: now }),
        effects: [{ kind: 'start' }],
      };
    case 'running':
      return wanted ? limiting(life) : stopping(life);
    case 'ended':
      return life.wish === 'remove' || life.wish === 'gone' ? removing(life) : only(life);
    case 'clean':
      return clean(life, now);
    case 'cancelling':
    case 'starting':
    case 'stopping':
    case 'removing':
      return only(life); // An answer is on its way.
    default:
      return unreachable(life.phase);
  }
}

function found(life: TaskLife, container: ContainerPhase | 'absent', now: number): Step {
  if (isTerminal(life.status.state)) {
    // Killed between the exit and the clean-up: whatever is there is not wanted to run.
    return container === 'running' ? removing(life) : { life: end(life), effects: [DETACH] };
  }
  if (container === 'running') {
    const adopted = reach({ ...life, phase: 'running' }, 'starting', { timestamp: now });
    return {
      // With a check it is healthy again when a check says so; it stays RUNNING if it was.
      life:
        life.healthcheck !== undefined ? adopted : reach(adopted, 'running', { timestamp: now }),
      effects: [{ kind: 'reattach' }, { kind: 'watch' }, ...healthEffects(life)],
    };
  }
  if (container === 'exited') {
    const ended: TaskLife = { ...life, phase: 'running', limits: limitsAtBirth(life) };
    return { life: ended, effects: [{ kind: 'watch' }] };
  }
  // Prepared again: idempotent, so a container that is there keeps its limits for now.
  if (rank(life.status.state) < rank('starting'))
    return only(container === 'created' ? { ...life, limits: UNKNOWN } : life);
  if (container === 'created') return only({ ...life, phase: 'ready' });
  const error = 'the container is gone: the machine was restarted, or someone removed it';
  return removing(reach(life, 'failed', { timestamp: now, error }));
}

function prepareFailed(
  life: TaskLife,
  failure: { error: string; temporary: boolean },
  now: number,
): Step {
  if (life.phase === 'cancelling') return removing(life);
  const attempts = life.attempts + 1;
  if (failure.temporary && attempts < PREPARE_ATTEMPTS_MAX) {
    const afterMs = Math.min(PREPARE_RETRY_MAX_MS, PREPARE_RETRY_FIRST_MS * 2 ** (attempts - 1));
    const status = { ...life.status, timestamp: now, error: failure.error };
    return {
      life: { ...life, phase: 'waiting', attempts, status },
      effects: [{ kind: 'retry', afterMs }],
    };
  }
  // A container that had been started before (found created after a crash) has failed instead.
  const state = rank(life.status.state) < rank('starting') ? 'rejected' : 'failed';
  return removing(reach(life, state, { timestamp: now, error: failure.error }));
}

function started(life: TaskLife, pid: number, now: number): Step {
  const containerId = String(life.task.id);
  const running: TaskLife = {
    ...life,
    phase: 'running',
    status: { ...life.status, pid, containerId },
  };
  if (life.healthcheck === undefined) {
    return { life: reach(running, 'running', { timestamp: now }), effects: [WATCH] };
  }
  const status = { ...running.status, message: 'started, not known to be healthy yet' };
  return { life: { ...running, status }, effects: [WATCH, ...healthEffects(life)] };
}

function exited(life: TaskLife, exit: ContainerExit, now: number): Step {
  if (life.phase === 'removing' || life.phase === 'clean') return only(life);
  const state = exitState(life, exit);
  const error = state === 'failed' ? life.stopReason || exitError(life, exit) : '';
  const ended = reach(life, state, { timestamp: now, error, exitCode: exit.code });
  return { life: end(ended), effects: [DETACH] };
}

function exitState(life: TaskLife, exit: ContainerExit): 'shutdown' | 'complete' | 'failed' {
  if (life.stopReason !== '') return 'failed';
  if (life.phase === 'stopping') return 'shutdown';
  return exit.code === 0 && exit.error === '' ? 'complete' : 'failed';
}

function exitError(life: TaskLife, exit: ContainerExit): string {
  if (exit.oomKilled) {
    const limit = life.task.spec.limits.memoryBytes;
    const which = limit === 0 ? '' : ` (limit ${Math.round(limit / 1024 / 1024)} MiB)`;
    return `out of memory${which}: exit code ${exit.code}`;
  }
  return exit.error || `exit code ${exit.code}${signalOf(exit.code)}`;
}

/** Shells and engines say 128 + n for signal n. */
function signalOf(code: number): string {
  const found = Object.entries(constants.signals).find(([, number]) => number === code - 128);
  return found === undefined ? '' : ` (${found[0]})`;
}

function retry(life: TaskLife): Step {
  if (life.phase === 'waiting') return only({ ...life, phase: 'idle' });
  if (life.phase === 'running') return only(triedAgain(life));
  if (life.phase === 'stopping') return stopping(life);
  if (life.phase === 'removing') return removing(life);
  return only(life);
}

function clean(life: TaskLife, now: number): Step {
  if (life.wish === 'gone') return { life, effects: [{ kind: 'forget' }] };
  if (isTerminal(life.status.state)) return only(life);
  return only(reach(life, 'shutdown', { timestamp: now }));
}

const DETACH: Effect = { kind: 'detach' };
const RETRY_CLEANUP: Effect = { kind: 'retry', afterMs: CLEANUP_RETRY_MS };
const WATCH: Effect = { kind: 'watch' };

function only(life: TaskLife): Step {
  return { life, effects: [] };
}

function end(life: TaskLife): TaskLife {
  return { ...life, phase: 'ended' };
}

function stopping(life: TaskLife): Step {
  const graceMs = life.task.spec.container.stopGracePeriodMs;
  return { life: { ...life, phase: 'stopping' }, effects: [{ kind: 'stop', graceMs }] };
}

function removing(life: TaskLife): Step {
  return { life: { ...life, phase: 'removing' }, effects: [{ kind: 'remove' }] };
}

function withCheck(life: TaskLife, { healthcheck }: { healthcheck?: HealthcheckSpec }): TaskLife {
  return healthcheck === undefined ? life : { ...life, healthcheck };
}

function healthEffects({ healthcheck, status }: TaskLife): readonly Effect[] {
  if (healthcheck === undefined) return [];
  const wasHealthy = status.state === 'running';
  return [{ kind: 'check-health', check: healthcheck, wasHealthy }];
}

/** What a state says to people; a state without an entry says its own name. */
const MESSAGES: Partial<Record<TaskState, string>> = {
  ready: 'prepared',
  running: 'started',
  complete: 'finished',
};

/** Moves the status to `state`, unless it was further already in an earlier life of the agent. */
function reach(
  life: TaskLife,
  state: TaskState,
  details: Partial<TaskStatus> & { readonly timestamp: number },
): TaskLife {
  if (rank(state) < rank(life.status.state)) return life;
  const message = MESSAGES[state] ?? state;
  const timestamp = state === life.status.state ? life.status.timestamp : details.timestamp;
  return {
    ...life,
    status: { ...life.status, message, error: '', ...details, state, timestamp },
  };
}

/** For runners: phases in which the container exists, so that it may have logs. */
export function hasContainer(phase: Phase): boolean {
  return (
    phase === 'ready' ||
    phase === 'starting' ||
    phase === 'running' ||
    phase === 'stopping' ||
    phase === 'ended'
  );
}
