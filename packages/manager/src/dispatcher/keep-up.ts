/**
 * What all assignments have in common, and what all plans do, follows the tasks when one is worked out. Most
 * that happens to tasks concerns neither, so that a hundred thousand of them would be due at once some time
 * later. This brings both up to date in between.
 */
import type { NextTurn } from '@swarmd/base';

import { FOLLOW_CHANGES } from '../limits.ts';

interface KeepUpOptions {
  readonly nextTurn: NextTurn;
  /** Costs as much as there is that is new. */
  readonly follow: () => void;
}

export class KeepUp {
  readonly #options: KeepUpOptions;
  #behind = 0;
  #isScheduled = false;

  constructor(options: KeepUpOptions) {
    this.#options = options;
  }

  /** So many objects were written. */
  note(changes: number): void {
    this.#behind += changes;
    if (this.#isScheduled || this.#behind < FOLLOW_CHANGES) return;
    this.#isScheduled = true;
    this.#options.nextTurn(() => {
      this.#isScheduled = false;
      this.#behind = 0;
      this.#options.follow();
    });
  }
}
