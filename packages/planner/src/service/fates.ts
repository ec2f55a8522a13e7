/**
 * What becomes of tasks that ended or lost their node: they are told to stop for good, and their
 * slot gets a successor if it has no other task and the restart policy agrees. A task that must
 * leave its node is replaced at once and whatever the policy: it did not end, it moves.
 */
import { isJob, isTerminal, type Service, type Task } from '@swarmd/model';

import type { Draft } from '../draft.ts';
import type { Loss } from '../node-lookup.ts';
import type { ReasonCode } from '../reasons.ts';
import { byAge, isCurrent, isOver, isWanted, taskName } from '../task-view.ts';
import { addTask } from './new-task.ts';
import type { Enforcer } from './enforce.ts';
import { LOSS_TEXT } from './loss-text.ts';
import { judgeRestart } from './restart-policy.ts';
import { slotPolicy } from './slot-policy.ts';
import { promote, standbyFor, whyNoStandby } from './standby.ts';

/** Tasks nobody will ever hear of again: their node is gone, or down for a day. */
export function orphanTasks(draft: Draft): void {
  for (const task of draft.tasks()) {
    if (isOver(task) || !draft.nodes.isUnreachable(task)) continue;
    const lostAt = draft.nodes.lostAt(task);
    if (lostAt !== undefined && lostAt > draft.now) {
      const message = `the node of ${taskName(task)} is down; then the task counts as lost`;
      draft.waitUntil(lostAt, { code: 'node-lost', message, taskId: task.id });
      continue;
    }
    const code: ReasonCode = lostAt === undefined ? 'node-removed' : 'node-lost';
    draft.change(
      task,
      {
        status: {
          ...task.status,
          state: 'orphaned',
          timestamp: draft.now,
          message: 'orphaned',
          error: LOSS_TEXT[code],
        },
      },
      draft.reason(code, LOSS_TEXT[code]),
    );
  }
}

/** `halted`: an update is paused, so nothing of the new spec is started that failed before. */
export function replaceBroken(
  draft: Draft,
  service: Service,
  options: { halted: boolean; enforcer: Enforcer },
): void {
  const { halted, enforcer } = options;
  const policy = slotPolicy(draft, service);
  for (const [number, slot] of draft.slots()) {
    // Nothing could be started in its place: it is decided on when that changes.
    if (!policy.mayStart(number)) continue;
    const wanted = slot.filter(isWanted).toSorted(byAge);
    for (const task of wanted) awaitTurn(draft, task);
    const broken = wanted.filter((task) => fateOf(draft, enforcer, task) !== undefined);
    const last = broken.at(-1);
    if (last === undefined) continue;
    const healthy = wanted.filter((task) => !broken.includes(task));
    if (healthy.length > 0 && (halted || !isLostAttempt(draft, service, { last, healthy }))) {
      for (const task of broken) retire(draft, task, 'superseded');
      continue;
    }
    for (const task of broken.slice(0, -1)) retire(draft, task, 'superseded');
    const fate = fateOf(draft, enforcer, last);
    if (fate !== undefined) replace(draft, service, { task: last, slot, fate });
  }
}

/** Many nodes were lost at once: they are given up one after the other, as they may all come back. */
function awaitTurn(draft: Draft, task: Task): void {
  const turn = draft.nodes.replaceFrom(task);
  if (turn === undefined || turn <= draft.now) return;
  const message = `${taskName(task)} is on one of many nodes that were lost at once; it is replaced when its node's turn comes`;
  draft.waitUntil(turn, { code: 'mass-failure', message, taskId: task.id });
}

type Fate = { readonly kind: 'ended' } | { readonly kind: 'lost'; readonly loss: Loss };

function fateOf(draft: Draft, enforcer: Enforcer, task: Task): Fate | undefined {
  // Orphaned is how a lost node reads once it is known to be lost for good.
  if (task.status.state === 'orphaned') {
    const isGone = draft.nodes.of(task) === undefined;
    return { kind: 'lost', loss: isGone ? 'node-removed' : 'node-lost' };
  }
  if (task.status.state === 'complete' && task.desiredState === 'complete') return undefined;
  if (isTerminal(task.status.state)) return { kind: 'ended' };
  const isPreempted = task.preemptedBy !== undefined && isWanted(task);
  const loss =
    draft.nodes.lossOf(task) ?? enforcer.lossOf(task) ?? (isPreempted ? 'preempted' : undefined);
  return loss === undefined ? undefined : { kind: 'lost', loss };
}

/** The new task of a rolling update failed while the old one goes on: the update tries again. */
function isLostAttempt(
  draft: Draft,
  service: Service,
  tasks: { last: Task; healthy: readonly Task[] },
): boolean {
  return (
    isCurrent(tasks.last, service, draft.nodes) &&
    !tasks.healthy.some((task) => isCurrent(task, service, draft.nodes))
  );
}

function replace(
  draft: Draft,
  service: Service,
  broken: { task: Task; slot: readonly Task[]; fate: Fate },
): void {
  const { task, slot, fate } = broken;
  const others = slot.filter((other) => other.id !== task.id);
  if (fate.kind === 'lost') {
    retire(draft, task, fate.loss);
    const waitFor = draft.nodes.isUnreachable(task) ? others : slot;
    const waits = mustWait(draft, waitFor);
    const startAt = waits ? draft.now : undefined;
    succeed(draft, service, { task, code: fate.loss, startAt, mustWait: waits });
    return;
  }
  if (task.desiredState === 'ready' && (task.startNotBefore ?? 0) > draft.now) {
    // It failed while it was prepared: the restart delay still has to pass before the next one.
    const message = `${taskName(task)} could not be prepared; the restart delay passes first`;
    draft.waitUntil(task.startNotBefore ?? draft.now, {
      code: 'restart-delay',
      message,
      taskId: task.id,
    });
    return;
  }
  const verdict = judgeRestart(task, slot);
  if (verdict.kind !== 'restart') {
    const code = verdict.kind === 'refused' ? 'restart-refused' : 'restart-exhausted';
    draft.stop(task, code, `not restarted: ${verdict.message}`);
    return;
  }
  retire(draft, task, 'task-ended');
  const { delayMs } = task.spec.restart;
  const waits = mustWait(draft, others);
  const startAt = delayMs > 0 || waits ? draft.now + delayMs : undefined;
  succeed(draft, service, {
    task,
    code: 'task-ended',
    startAt,
    mustWait: waits,
    count: verdict.count,
  });
}

function mustWait(draft: Draft, others: readonly Task[]): boolean {
  return others.some((task) => !isOver(task) && !draft.nodes.isUnreachable(task));
}

function retire(draft: Draft, task: Task, code: ReasonCode): void {
  draft.stop(
    task,
    code,
    code === 'superseded' ? 'another task has its slot' : explain(draft, task, code),
  );
}

function explain(draft: Draft, task: Task, code: ReasonCode): string {
  if (code === 'preempted') return preemptionOf(draft, task);
  if (code in LOSS_TEXT) return LOSS_TEXT[code as keyof typeof LOSS_TEXT];
  const { state, error } = task.status;
  return error === '' ? `it ended: ${state}` : `it ended: ${state} (${error})`;
}

/** Who needs its place, where that is still there to be told. */
function preemptionOf(draft: Draft, { preemptedBy }: Task): string {
  const by = preemptedBy === undefined ? undefined : draft.view.get('task', preemptedBy);
  const who = by === undefined ? '' : `: ${taskName(by)}`;
  return `${LOSS_TEXT.preempted}${who}`;
}

function succeed(
  draft: Draft,
  service: Service,
  plan: {
    task: Task;
    code: ReasonCode;
    startAt: number | undefined;
    mustWait: boolean;
    count?: string | undefined;
  },
): void {
  const { task, code, startAt, mustWait, count } = plan;
  const standby = standbyFor(draft, service, task);
  if (standby !== undefined) {
    promote(draft, service, { standby, task, mustWait });
    return;
  }
  const why = [explain(draft, task, code), count, whyNoStandby(service, task)];
  const because = draft.reason(
    code,
    `replaces ${taskName(task)}: ${why.filter((words) => words !== undefined).join('; ')}`,
    startAt !== undefined && startAt > draft.now ? { until: startAt } : {},
  );
  addTask(draft, service, {
    slot: task.slot,
    because,
    ...(startAt === undefined ? {} : { startNotBefore: startAt }),
    // Only an update changes what runs: a restart of an outdated task repeats it. Jobs know no updates:
    // a run that fails for what has been mended must not go on failing.
    ...(isJob(service.spec.mode) || isCurrent(task, service, draft.nodes) ? {} : { from: task }),
  });
}
