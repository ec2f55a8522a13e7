/** Watches what services promise beyond their tasks: rollouts, places, standbys, moves, scaling, runs. */
import type { Clock } from '@swarmd/base';
import { isGlobal, type NodeId, type Service, type ServiceId, type Task } from '@swarmd/model';
import type { ChangedObject, Commit, ReadView } from '@swarmd/store';

import { badPlace, badVictim, needlessVictim } from './rules-placement.ts';
import { badMove, badRuns, badScaling, badStandby, surplusStandby } from './rules-policies.ts';
import { badStep, badTurn, beyondStep } from './rules-rollout.ts';
import { presentSlots } from './rules.ts';

/** Clocks of managers differ by that much at most. */
const LEADERS_SKEW_MS = 700;

export type Wish = 'approve' | 'roll-back';

export interface PolicyJudgeOptions {
  readonly clock: Clock;
  readonly view: ReadView;
  readonly broken: (rule: string, message: string) => void;
}

export class PolicyJudge {
  readonly #options: PolicyJudgeOptions;
  /** What users asked for and was not seen to happen; some of it never will. */
  readonly #wishes = new Map<string, number>();

  constructor(options: PolicyJudgeOptions) {
    this.#options = options;
  }

  userWill(wish: Wish, id: ServiceId): void {
    const key = `${wish} ${id}`;
    this.#wishes.set(key, (this.#wishes.get(key) ?? 0) + 1);
  }

  /** `unsteady`: nodes that changed in the same commit. */
  onCommit(commit: Commit, unsteady: ReadonlySet<string>): void {
    const placed = new Set<Task>();
    const told = new Set<Task>();
    for (const { table, before, after } of commit.changes) {
      if (table !== 'task' || after?.nodeId === undefined) continue;
      if (before?.nodeId === undefined) placed.add(after);
      if (before?.preemptedBy !== after.preemptedBy) told.add(after);
    }
    for (const change of commit.changes) {
      if (change.table === 'service') this.#onService(change.before, change.after);
      if (change.table === 'task') this.#onTask(change, { unsteady, told });
    }
    for (const task of placed) this.#onPlaced(task, { placed, unsteady });
  }

  #onService(before: Service | undefined, after: Service | undefined): void {
    if (after === undefined) return;
    const { view, clock } = this.#options;
    const around = { now: clock.now(), skewMs: LEADERS_SKEW_MS };
    this.#say('schedule', badRuns(before, after));
    if (before === undefined) return;
    const total = presentSlots([...view.tasksByService(after.id)]).size;
    const take = (wish: Wish) => (): boolean => this.#take(wish, after.id);
    this.#say('rollout', badTurn(before, after, take('roll-back')));
    const takeApproval = take('approve');
    if (after.spec.mode.kind === 'replicated') {
      this.#say('canary', badStep(before, after, { ...around, total, takeApproval }));
    }
    this.#say('autoscale', badScaling(before, after, around));
  }

  /** `told`: tasks that were told in the same commit to leave for others. */
  #onTask(
    { before, after }: ChangedObject<'task'>,
    { unsteady, told }: { unsteady: ReadonlySet<string>; told: ReadonlySet<Task> },
  ): void {
    if (after === undefined) return;
    const { view } = this.#options;
    this.#say('standby', badStandby(after));
    if (before === undefined) this.#onMade(after, unsteady);
    if (after.preemptedBy !== undefined && after.preemptedBy !== before?.preemptedBy) {
      const winner = view.get('task', after.preemptedBy);
      if (winner !== undefined) this.#say('preemption', badVictim(after, winner));
    }
    const chosen = after.nominated;
    if (chosen !== undefined && chosen !== before?.nominated && !unsteady.has(chosen.nodeId)) {
      const node = view.get('node', chosen.nodeId);
      if (node !== undefined) this.#say('preemption', needlessVictim(view, after, { node, told }));
    }
  }

  #onMade(task: Task, unsteady: ReadonlySet<string>): void {
    const { view } = this.#options;
    const service = view.get('service', task.serviceId);
    if (service === undefined) return;
    const code = task.because[0]?.code;
    if (code !== 'update' && code !== 'rebalanced' && code !== 'standby') return;
    const tasks = [...view.tasksByService(service.id)];
    if (code === 'update') this.#say('canary', beyondStep(service, this.#movable(service, tasks)));
    else if (code === 'standby') this.#say('standby', surplusStandby(service, tasks));
    else {
      const isHeardOf = ({ nodeId }: Task): boolean => {
        if (nodeId === undefined || unsteady.has(nodeId)) return false;
        return (view.get('node', nodeId)?.status.state ?? 'down') !== 'down';
      };
      const around = { moved: task, skewMs: LEADERS_SKEW_MS, isHeardOf };
      this.#say('budget', badMove(service, tasks, around));
    }
  }

  /** Updates of global services go on without nodes that take no tasks, and so do their steps. */
  #movable({ spec }: Service, tasks: readonly Task[]): readonly Task[] {
    if (!isGlobal(spec.mode)) return tasks;
    const open = new Set<number>();
    for (const node of this.#options.view.list('node')) {
      const takesTasks = node.status.state === 'ready' && node.spec.availability === 'active';
      if (takesTasks) open.add(node.index);
    }
    return tasks.filter(({ slot }) => open.has(slot));
  }

  #onPlaced(
    task: Task,
    around: { placed: ReadonlySet<Task>; unsteady: ReadonlySet<string> },
  ): void {
    const { view } = this.#options;
    const node = view.get('node', task.nodeId as NodeId);
    if (node === undefined || around.unsteady.has(node.id)) return;
    this.#say('placement', badPlace(view, task, { node, fresh: around.placed }));
  }

  #take(wish: Wish, id: ServiceId): boolean {
    const key = `${wish} ${id}`;
    const count = this.#wishes.get(key) ?? 0;
    if (count > 0) this.#wishes.set(key, count - 1);
    return count > 0;
  }

  #say(rule: string, message: string | undefined): void {
    if (message !== undefined) this.#options.broken(rule, message);
  }
}
