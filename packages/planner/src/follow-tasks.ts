import { pictureOf } from './assign/picture.ts';
import { followHeld } from './place/held-index.ts';
import type { AssignView } from './types.ts';

/**
 * Spares the next plan and the next assignment what has happened so far; costs as much as that. `view` must
 * be outside of any transaction.
 */
export function followTasks(view: AssignView): void {
  pictureOf(view);
  followHeld(view);
}
