/** The registry of reason codes: why a plan does what it does. Codes are stable, texts are not. */
import type { Reason } from '@swarmd/model';

import { BECAUSE_MAX } from './limits.ts';

export const REASONS = {
  'scale-up': 'the service wants more replicas than it has slots',
  'scale-down': 'the service has more slots than it wants replicas',
  'service-removed': 'the service of the task no longer exists',
  'task-ended': 'the task ended and its restart policy asks for another one',
  'restart-refused': 'the task ended and its restart policy does not ask for another one',
  'restart-exhausted': 'the task ended and its restart policy has no attempts left',
  'node-down': 'the node of the task is down',
  'node-drained': 'the node of the task is being drained',
  'node-removed': 'the node of the task no longer exists',
  'node-added': 'a node suits the service and has no task of it yet',
  'node-unsuitable': 'the node of the task no longer meets the constraints of the service',
  'node-overcommitted': 'the node of the task has less than its tasks reserve',
  preempted: 'a more important task of another service needs the place of the task',
  nominated: 'less important tasks of other services make room for the task',
  standby: 'the service wants more standbys than it has',
  'standby-promoted': 'a standby takes the slot of a task that ended or lost its node',
  'standby-dismissed': 'a standby is not wanted any more, or cannot be used',
  rebalanced: 'another node has more room for the task',
  'job-run': 'the job wants more completions than it has tasks',
  'job-again': 'the job runs again, and the task is of an earlier run',
  autoscaled: 'what the tasks of the service use asks for another number of replicas',
  'run-due': 'the schedule of the job says that it runs now',
  'run-asked': 'a user asked for a run of the job',
  'run-skipped': 'a time of the schedule has no run',
  'run-complete': 'every task of a run of the job completed',
  'run-failed': 'a task of a run of the job was given up',
  'run-ended': 'the run of the task is not kept any more, or another one took its place',
  'node-lost': 'the node of the task has been down for so long that nothing of it is expected back',
  superseded: 'another task has taken over the slot',
  update: 'the task was made from an older spec',
  'update-started': 'a rolling update begins',
  'update-step': 'a rolling update has come to a canary step, or waits at one',
  'update-continued': 'somebody said that the update may go on',
  'update-completed': 'every task runs the new spec and has outlived the monitoring time',
  'update-paused': 'too many tasks of the new spec failed, and the update is told to pause',
  'update-failed': 'too many tasks of the new spec failed, and the update is told to roll back',
  'update-ready': 'the successor of the task is ready to take over',
  'update-room': 'the successor of the task needs its place',
  'start-due': 'nothing is left to wait for before the task may start',
  'stop-timeout': 'the predecessor of the task took too long to stop',
  'release-timeout': 'nodes that balance to the task did not confirm in time that they stopped',
  placed: 'a node was chosen for the task',
  'no-suitable-node': 'no node passes every filter',
  'no-address': 'a network of the task has no free address',
  'no-network': 'a network of the task does not exist',
  'ports-changed': 'the published ports of the service changed',
  'limits-changed': 'the limits of the service changed, and its tasks take them over as they run',
  'placement-changed':
    'what the service keeps away or how important it is changed, and its tasks take it over as they run',
  'history-limit': 'the slot keeps no more ended tasks than this',
  'task-gone': 'the task was to be forgotten once stopped, and it has stopped',
} as const;

export type ReasonCode = keyof typeof REASONS;

/** What a reason may tell besides its sentence. */
export type ReasonData = Pick<Reason, 'until' | 'placement'>;

export function reason(
  code: ReasonCode,
  message: string,
  more: { at: number } & ReasonData,
): Reason {
  return { code, message, ...more };
}

/** Why a task has no node: while it has none they come again and again, as nodes come and go. */
export const WAITING_REASONS: ReadonlySet<string> = new Set<ReasonCode>([
  'no-suitable-node',
  'no-address',
  'no-network',
  'nominated',
]);

/**
 * The newest reasons of an object with one more; what is so already is not said twice. Of why it waits
 * for a node, each kind is kept once, in its newest words, with how often it was so and since when:
 * a node that comes and goes would else let all tasks that wait grow, and the log with them.
 */
export function remember(because: readonly Reason[], why: Reason): readonly Reason[] {
  const last = because.at(-1);
  if (last?.code === why.code && last.message === why.message) return because;
  const again = WAITING_REASONS.has(why.code) ? because.slice(waitsFrom(because)) : [];
  const before = again.find(({ code }) => code === why.code);
  if (before === undefined) return [...because, why].slice(-BECAUSE_MAX);
  const { times = 1, since = before.at } = before;
  return [...because.filter((one) => one !== before), { ...why, times: times + 1, since }];
}

/** Where the reasons for which it waits now begin. */
function waitsFrom(because: readonly Reason[]): number {
  return because.findLastIndex(({ code }) => !WAITING_REASONS.has(code)) + 1;
}
