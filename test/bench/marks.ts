/**
 * The moment a task's own process runs: its first act is to create a file in a folder of its host,
 * which is watched from outside. Not what the API says, not what the CLI shows.
 */
import { mkdirSync, readdirSync, rmSync, watch, type FSWatcher } from 'node:fs';

import type { Lab } from '@swarmd/lab';

export interface Mark {
  readonly host: string;
  readonly file: string;
  /** performance.now() when it was seen. */
  readonly at: number;
}

/** Folder of the marks as tasks and hosts see it. */
export const MARKS_SOURCE = '/var/lib/swarmd/marks';

export class Marks implements Disposable {
  readonly #seen = new Map<string, Mark>();
  readonly #watchers: FSWatcher[] = [];
  readonly #folders: { host: string; dir: string }[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(lab: Lab) {
    for (const host of lab.nodes) {
      const dir = `${host.dir}/state/marks`;
      rmSync(dir, { recursive: true, force: true });
      mkdirSync(dir, { recursive: true });
      this.#folders.push({ host: host.name, dir });
      this.#watchers.push(
        watch(dir, (_event, file) => (file === null ? this.sweep() : this.#note(host.name, file))),
      );
    }
  }

  /** Waits for `count` marks that begin with `prefix` and satisfy `fits`; gives the time of the last. */
  wait(
    prefix: string,
    options: { count: number; timeoutMs: number; fits?: (mark: Mark) => boolean },
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      const matching = (): Mark[] => this.list(prefix).filter(options.fits ?? (() => true));
      const timer = setTimeout(() => {
        this.#waiting.delete(check);
        reject(
          new Error(
            `${prefix}: ${matching().length} of ${options.count} marks after ${options.timeoutMs} ms`,
          ),
        );
      }, options.timeoutMs);
      const check = (): void => {
        const found = matching();
        if (found.length < options.count) return;
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve(
          found.map((mark) => mark.at).toSorted((a, b) => a - b)[options.count - 1] ?? Number.NaN,
        );
      };
      this.#waiting.add(check);
      this.sweep();
    });
  }

  list(prefix: string): Mark[] {
    return [...this.#seen.values()].filter((mark) => mark.file.startsWith(`${prefix}.`));
  }

  /** Looks at all folders: an event may have been lost. */
  sweep(): void {
    for (const { host, dir } of this.#folders)
      for (const file of readdirSync(dir)) this.#note(host, file);
    for (const check of this.#waiting) check();
  }

  #note(host: string, file: string): void {
    const key = `${host}/${file}`;
    if (this.#seen.has(key)) return;
    this.#seen.set(key, { host, file, at: performance.now() });
    for (const check of this.#waiting) check();
  }

  [Symbol.dispose](): void {
    for (const watcher of this.#watchers) watcher.close();
  }
}
