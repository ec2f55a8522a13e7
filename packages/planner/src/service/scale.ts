/** As many slots as the service wants: which are added, which go. */
import { rank, wantedReplicas, type Service, type Task } from '@swarmd/model';

import type { Draft } from '../draft.ts';
import { byAge, isOver, isWanted } from '../task-view.ts';
import { areWanted, exist } from '../words.ts';
import { sourceOfNewSlots } from './canary.ts';
import { addTask } from './new-task.ts';

interface Slot {
  readonly number: number;
  readonly tasks: readonly Task[];
}

export function scale(draft: Draft, service: Service): void {
  const present = presentSlots(draft);
  const { mode } = service.spec;
  if (mode.kind !== 'replicated') return;
  const wanted = wantedReplicas(service);
  const missing = wanted - present.length;
  if (missing > 0) scaleUp(draft, service, { present, missing, wanted });
  if (missing < 0) scaleDown(draft, { present, surplus: -missing, wanted });
}

/**
 * Slots that count: something of them is wanted, or the last task came to rest there (it ended and
 * its restart policy asks for no other).
 */
function presentSlots(draft: Draft): Slot[] {
  const present: Slot[] = [];
  for (const [number, tasks] of draft.slots()) {
    const staying = tasks.filter((task) => task.desiredState !== 'remove');
    if (staying.length > 0) present.push({ number, tasks: staying });
  }
  return present;
}

/** Lowest free slots first. */
function scaleUp(
  draft: Draft,
  service: Service,
  change: { present: readonly Slot[]; missing: number; wanted: number },
): void {
  const used = new Set(change.present.map((slot) => slot.number));
  const slots = draft.slots();
  const count = Math.min(change.missing, draft.tasksMax);
  if (count < change.missing) draft.askAgainAt(draft.now);
  const why = `${areWanted(change.wanted, 'replica')}, ${exist(change.present.length)}`;
  const because = draft.reason('scale-up', why);
  const from = sourceOfNewSlots(draft, service);
  let number = 1;
  for (let made = 0; made < count; made += 1) {
    while (used.has(number)) number += 1;
    used.add(number);
    // Somebody may still be on the way out of this slot.
    const leaving = slots.get(number)?.some((task) => !isOver(task)) ?? false;
    addTask(draft, service, {
      slot: number,
      because,
      ...(from === undefined ? {} : { from }),
      ...(leaving ? { startNotBefore: draft.now } : {}),
    });
  }
}

/**
 * Slots that run nothing go first, then the nth copies on the nodes with the most copies, then the
 * highest numbers.
 */
function scaleDown(
  draft: Draft,
  change: { present: readonly Slot[]; surplus: number; wanted: number },
): void {
  const why = `${areWanted(change.wanted, 'replica')}, ${exist(change.present.length)}`;
  const going = byWorth(change.present).slice(-change.surplus);
  for (const slot of going) {
    for (const task of slot.tasks) {
      draft.change(task, { desiredState: 'remove' }, draft.reason('scale-down', why));
    }
  }
}

/** Most worth keeping first. */
function byWorth(slots: readonly Slot[]): Slot[] {
  const worth = slots.map((slot) => ({ slot, ...standing(slot) }));
  worth.sort((a, b) => b.progress - a.progress || a.slot.number - b.slot.number);
  const copies = new Map<string, number>();
  const ranked = worth.map((one) => {
    const nth = one.nodeId === undefined ? 0 : (copies.get(one.nodeId) ?? 0);
    if (one.nodeId !== undefined) copies.set(one.nodeId, nth + 1);
    return { ...one, nth };
  });
  return ranked
    .toSorted(
      (a, b) =>
        Number(b.nodeId !== undefined) - Number(a.nodeId !== undefined) ||
        a.nth - b.nth ||
        b.progress - a.progress ||
        a.slot.number - b.slot.number,
    )
    .map((one) => one.slot);
}

/** How far the slot's best task has come, and where it is; nowhere when nothing of it is wanted. */
function standing(slot: Slot): { progress: number; nodeId: string | undefined } {
  const alive = slot.tasks.filter((task) => isWanted(task) && !isOver(task)).toSorted(byAge);
  const best = alive.toSorted((a, b) => rank(b.status.state) - rank(a.status.state))[0];
  return { progress: best === undefined ? -1 : rank(best.status.state), nodeId: best?.nodeId };
}
