/** The promises about updates, rollbacks and canary steps, as questions about one write of a service. */
import type { Service, Task, UpdateState } from '@swarmd/model';

import { presentSlots } from './rules.ts';

/** Where an update may go as long as nobody writes a new spec. */
const NEXT: Readonly<Record<UpdateState, readonly UpdateState[]>> = {
  updating: ['paused', 'completed'],
  paused: [],
  completed: ['updating'],
  'rollback-started': ['rollback-paused', 'rollback-completed'],
  'rollback-paused': [],
  'rollback-completed': ['updating'],
};

/** `didAsk`: a user asked for a rollback. */
export function badTurn(
  before: Service,
  after: Service,
  didAsk: () => boolean,
): string | undefined {
  const from = before.updateStatus?.state;
  const to = after.updateStatus?.state;
  if (from === to && before.specVersion === after.specVersion) return undefined;
  const said = `service ${after.spec.name}: ${from} becomes ${to}`;
  if (before.specVersion !== after.specVersion) {
    // A user's new spec may do anything but look like a rollback that nobody asked for.
    if (to !== 'rollback-started' || didAsk()) return undefined;
    const isOwn = from === 'updating' && before.spec.update.failureAction === 'rollback';
    return isOwn ? undefined : said;
  }
  if (to === undefined) return said;
  if (from === undefined) return to === 'updating' ? undefined : said;
  return NEXT[from].includes(to) ? undefined : said;
}

/**
 * Steps that were passed without an approval or before their time. `now` may be another clock's, which
 * `skewMs` allows for. `total`: slots of the service. `takeApproval`: is there one that was not used?
 */
export function badStep(
  before: Service,
  after: Service,
  around: { now: number; skewMs: number; total: number; takeApproval: () => boolean },
): string | undefined {
  if (before.specVersion !== after.specVersion) return undefined;
  const steps = after.spec.update.canary;
  const from = before.updateStatus?.canary ?? { passed: 0 };
  const passed = after.updateStatus?.canary?.passed ?? 0;
  const { now, skewMs, total } = around;
  for (let at = from.passed; at < Math.min(passed, steps.length); at += 1) {
    const step = steps[at];
    if (step === undefined) continue;
    const isEmpty = steps.slice(0, at).some((one) => sizeOf(one, total) >= sizeOf(step, total));
    if (isEmpty) continue;
    const what = `service ${after.spec.name}: canary step ${at + 1} was passed`;
    if (step.healthMs === 0) {
      if (!around.takeApproval()) return `${what} and nobody approved it`;
    } else if ((from.waitsSince ?? Infinity) + step.healthMs > now + skewMs) {
      return `${what} before it was well for ${step.healthMs} ms`;
    }
  }
  return undefined;
}

/** A step lets no more slots have tasks of the new spec than it says. To be asked when one was made. */
export function beyondStep(service: Service, tasks: readonly Task[]): string | undefined {
  const { updateStatus, spec, specVersion } = service;
  if (updateStatus?.state !== 'updating') return undefined;
  const step = spec.update.canary[updateStatus.canary?.passed ?? 0];
  if (step === undefined) return undefined;
  const total = presentSlots(tasks).size;
  const renewed = tasks.filter(
    (task) =>
      task.specVersion === specVersion &&
      task.desiredState !== 'remove' &&
      task.because[0]?.code === 'update',
  );
  const slots = new Set(renewed.map((task) => task.slot));
  if (slots.size <= sizeOf(step, total)) return undefined;
  return `service ${spec.name}: slots ${[...slots].join(', ')} of ${total} have the new spec at canary step ${JSON.stringify(step)}`;
}

function sizeOf(
  { percent, tasks = 0 }: Service['spec']['update']['canary'][0],
  slots: number,
): number {
  return Math.min(slots, percent === undefined ? tasks : Math.ceil((slots * percent) / 100));
}
