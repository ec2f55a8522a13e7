/** The promises about when something happens by itself, as questions about a service at a moment. */
import {
  isGlobal,
  isTerminal,
  type Node,
  type Service,
  type Task,
  type UpdateConfig,
} from '@swarmd/model';

import { AUTOSCALE_FIRST_MS, AUTOSCALE_PERIOD_MS } from '../../limits.ts';
import { isOver, isWanted, presentSlots } from './rules.ts';

/** Managers' clocks differ by up to 0.3 s, batches and the log take their time, plans are debounced. */
const ACT_MS = 5_000;
const SCALE_MS = AUTOSCALE_FIRST_MS + 3 * AUTOSCALE_PERIOD_MS + ACT_MS;

/** A moment, and since when one leader has been able to commit. */
export interface Moment {
  readonly now: number;
  readonly ledSince: number;
}

/** An update that cannot get on and was not given up in time. `nodeNumbered`: that of a global service's slot. */
export function overdueUpdate(
  service: Service,
  tasks: readonly Task[],
  moment: Moment & { nodeNumbered: (slot: number) => Node | undefined },
): string | undefined {
  const config = configUnderWay(service);
  if (config === undefined || config.progressDeadlineMs === 0) return undefined;
  for (const slot of presentSlots(tasks)) {
    const attempts = tasks.filter(
      (task) =>
        task.slot === slot &&
        task.desiredState !== 'remove' &&
        task.specVersion === service.specVersion,
    );
    if (attempts.some(hasShownSomething)) continue;
    if (!attempts.some((task) => isWanted(task) && !isOver(task))) continue;
    const node = isGlobal(service.spec.mode) ? moment.nodeNumbered(slot) : undefined;
    const since = Math.max(
      Math.min(...attempts.map(({ meta }) => meta.createdAt)) + config.progressDeadlineMs,
      // Without a node that takes tasks a global service is updated elsewhere.
      isGlobal(service.spec.mode) ? openSince(node) : 0,
      moment.ledSince,
    );
    if (moment.now <= since + ACT_MS) continue;
    return `service ${service.spec.name} is ${service.updateStatus?.state}, and slot ${slot} has made no progress for ${moment.now - since} ms more than the ${config.progressDeadlineMs} ms that it may`;
  }
  return undefined;
}

function configUnderWay({ spec, updateStatus }: Service): UpdateConfig | undefined {
  if (updateStatus?.state === 'updating') return spec.update;
  return updateStatus?.state === 'rollback-started' ? spec.rollback : undefined;
}

/** It ran, or ended by itself: the update can tell what the new spec is worth. */
function hasShownSomething({ startedAt, status }: Task): boolean {
  return startedAt !== undefined || (isTerminal(status.state) && status.state !== 'shutdown');
}

function openSince(node: Node | undefined): number {
  const isOpen = node?.status.state === 'ready' && node.spec.availability === 'active';
  return isOpen ? node.meta.updatedAt : Infinity;
}

/** A time of a schedule that has come and was neither acted on nor skipped. */
export function overdueRun({ spec, jobStatus }: Service, moment: Moment): string | undefined {
  const nextAt = jobStatus?.schedule?.nextAt;
  if (nextAt === undefined || spec.schedule?.suspended === true) return undefined;
  const since = Math.max(nextAt, moment.ledSince);
  if (moment.now <= since + ACT_MS) return undefined;
  return `job ${spec.name} was due ${moment.now - since} ms ago, and nothing was decided`;
}

/** A step of autoscaling that has been wanted for its window, and may be made, and was not. */
export function overdueScaling({ spec, autoscale }: Service, moment: Moment): string | undefined {
  const policy = spec.autoscale;
  const pressure = autoscale?.pressure;
  if (policy === undefined || autoscale === undefined || pressure === undefined) return undefined;
  const isUp = pressure.replicas > autoscale.replicas;
  const windowMs = isUp ? policy.upWindowMs : policy.downWindowMs;
  const since = Math.max(
    pressure.since + windowMs,
    autoscale.changedAt + policy.intervalMs,
    moment.ledSince,
  );
  if (moment.now <= since + SCALE_MS) return undefined;
  return `service ${spec.name} has ${autoscale.replicas} replicas ${moment.now - since} ms after it should have got ${pressure.replicas}`;
}
