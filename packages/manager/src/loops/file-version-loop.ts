/**
 * Removes former versions of secrets and configs that nothing refers to any more. There is one key:
 * who refers to what is read from all services and tasks, and only while there are former versions.
 */
import { ControlLoop } from '@swarmd/base';
import { unusedVersions } from '@swarmd/planner';
import { writeChanges, type ChangedObject, type Commit } from '@swarmd/store';

import { FILE_VERSION_LOOP_DEBOUNCE_MS } from '../limits.ts';
import type { LoopOptions } from './service-loop.ts';

const KEY = 'former versions';

export class FileVersionLoop implements AsyncDisposable {
  readonly #options: LoopOptions;
  readonly #loop: ControlLoop;
  readonly #subscription: Disposable;
  /** Former versions that there are: a cache, filled from the store at start. */
  readonly #former = new Set<string>();

  constructor(options: LoopOptions) {
    this.#options = options;
    const { clock, random, logger, store } = options;
    this.#loop = new ControlLoop(
      {
        name: 'file-version',
        clock,
        random,
        logger,
        concurrency: 1,
        debounceMs: FILE_VERSION_LOOP_DEBOUNCE_MS,
      },
      (_key, signal) => this.#remove(signal),
    );
    for (const table of ['secret', 'config'] as const) {
      for (const { id, replacedAt } of store.view.list(table)) {
        if (replacedAt !== undefined) this.#former.add(id);
      }
    }
    this.#subscription = store.subscribe((commit) => this.#onCommit(commit));
    this.#enqueue();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    await this.#loop[Symbol.asyncDispose]();
  }

  #onCommit(commit: Commit): void {
    let mayFree = false;
    for (const change of commit.changes) {
      if (change.table === 'secret' || change.table === 'config') this.#note(change);
      // Tasks refer to what they use until they have ended, services until their history is full.
      mayFree ||= change.table === 'service' || change.table === 'task';
    }
    if (mayFree) this.#enqueue();
  }

  #note({ before, after }: ChangedObject<'secret' | 'config'>): void {
    const id = (after ?? before)?.id ?? '';
    if (after?.replacedAt === undefined) this.#former.delete(id);
    else this.#former.add(id);
    this.#enqueue();
  }

  #enqueue(): void {
    if (this.#former.size > 0) this.#loop.enqueue(KEY);
  }

  async #remove(signal: AbortSignal): Promise<undefined> {
    const { store } = this.#options;
    if (unusedVersions(store.view).length === 0) return;
    await store.update((tx) => writeChanges(tx, unusedVersions(tx)), signal);
  }
}
