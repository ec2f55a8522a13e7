/** Which tasks were written lately, so that what is derived from tasks follows without walking all. */
import type { TaskId } from '@swarmd/model';

import { JOURNAL_WRITES_MAX } from './limits.ts';

export class TaskJournal {
  #ids: TaskId[] = [];
  /** Writes before the first one that is kept. */
  #dropped = 0;

  note(id: TaskId): void {
    if (this.#ids.length >= JOURNAL_WRITES_MAX) {
      const half = JOURNAL_WRITES_MAX / 2;
      this.#ids = this.#ids.slice(half);
      this.#dropped += half;
    }
    this.#ids.push(id);
  }

  /** `ids`: every task written since `mark`, some more than once; undefined when that is too long ago. */
  since(mark: number | undefined): { mark: number; ids: readonly TaskId[] | undefined } {
    const now = this.#dropped + this.#ids.length;
    if (mark === undefined || mark < this.#dropped) return { mark: now, ids: undefined };
    return { mark: now, ids: mark === now ? [] : this.#ids.slice(mark - this.#dropped) };
  }
}
