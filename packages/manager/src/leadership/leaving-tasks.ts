/** Tasks that wait to be let go of, by this replica: rebuilt from it at any time. */
import type { Task, TaskId } from '@swarmd/model';
import { isLeaving } from '@swarmd/planner';
import type { Commit, Store } from '@swarmd/store';

export class LeavingTasks implements Disposable {
  readonly #tasks = new Map<TaskId, Task>();
  readonly #subscription: Disposable;

  /** `onChange`: a task came, went, or was written; or what they wait for may have changed. */
  constructor(store: Store, onChange: () => void) {
    for (const task of store.view.list('task')) this.#note(task.id, task);
    if (this.size > 0) onChange();
    this.#subscription = store.subscribe((commit) => {
      if (this.#follow(commit)) onChange();
    });
  }

  get size(): number {
    return this.#tasks.size;
  }

  list(): Task[] {
    return [...this.#tasks.values()];
  }

  /** Versions that nodes must have applied, each once. */
  versions(): number[] {
    return [...new Set(this.list().map((task) => task.meta.version))];
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }

  #follow(commit: Commit): boolean {
    let changed = false;
    for (const { table, before, after } of commit.changes) {
      if (table === 'task') {
        const id = (after ?? before)?.id;
        if (id !== undefined && this.#note(id, after)) changed = true;
      } else if (table === 'node' && this.size > 0) {
        changed = true;
      }
    }
    return changed;
  }

  #note(id: TaskId, task: Task | undefined): boolean {
    if (task === undefined || !isLeaving(task)) return this.#tasks.delete(id);
    this.#tasks.set(id, task);
    return true;
  }
}
