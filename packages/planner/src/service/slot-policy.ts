/** What a slot stands for in each mode: a number among replicas, or a node. */
import { isGlobal, type Service, type Task } from '@swarmd/model';

import type { Draft } from '../draft.ts';
import { isOpenTo } from '../place/suitable-nodes.ts';
import { endedByItself } from '../task-view.ts';
import { judgeRestart } from './restart-policy.ts';

export interface SlotPolicy {
  /** May a task be started in the slot as things are now? */
  mayStart(slot: number): boolean;
  /** The newest task of a slot of which nothing is wanted: was it not to be restarted? */
  rests(newest: Task, slot: readonly Task[]): boolean;
}

/** A replica is wanted somewhere, whatever becomes of nodes. */
const ANYWHERE: SlotPolicy = { mayStart: () => true, rests: () => true };

export function slotPolicy(draft: Draft, service: Service): SlotPolicy {
  if (!isGlobal(service.spec.mode)) return ANYWHERE;
  const isOpen = isOpenTo(service.spec.task);
  return {
    mayStart(slot) {
      const node = draft.nodes.numbered(slot);
      return node !== undefined && isOpen(node);
    },
    // A task that had to leave its node was stopped: it comes back with the node.
    rests: (newest, slot) => endedByItself(newest) && judgeRestart(newest, slot).kind !== 'restart',
  };
}
