/**
 * Lifetimes. A Scope owns background work and resources; disposing it aborts its signal, waits for
 * the work and disposes the resources in reverse order of their adoption.
 */
import { SwarmError } from './errors.ts';

export class Scope implements AsyncDisposable {
  readonly #controller = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #resources = new AsyncDisposableStack();
  readonly #onFailure: (name: string, error: unknown) => void;
  #disposed: Promise<void> | undefined;

  /** `onFailure` hears of every spawned function that rejects while the scope is alive. */
  constructor(onFailure: (name: string, error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  /** Aborts when the scope is being disposed. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Runs `fn` in the background; its failure goes to the scope's owner, never unnoticed. */
  spawn(name: string, fn: (signal: AbortSignal) => Promise<void>): void {
    if (this.signal.aborted) return;
    // The wrapper turns a synchronous throw into a rejection too.
    const work = (async () => fn(this.signal))()
      .catch((error: unknown) => {
        if (!this.signal.aborted) this.#onFailure(name, error);
      })
      .finally(() => this.#running.delete(work));
    this.#running.add(work);
  }

  /** Takes ownership: the resource is disposed with the scope. Returns it. */
  own<T extends AsyncDisposable | Disposable>(resource: T): T {
    return this.#resources.use(resource);
  }

  /** Runs `fn` when the scope is disposed. */
  defer(fn: () => void | Promise<void>): void {
    this.#resources.defer(fn);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    this.#controller.abort(new SwarmError('cancelled', 'the owner of this work was stopped'));
    await Promise.all(this.#running);
    await this.#resources.disposeAsync();
  }
}

/** Runs `fn`; when it fails, disposes `owned` before passing the failure on. */
export async function disposeOnFailure<T>(
  owned: AsyncDisposable | undefined,
  fn: () => Promise<T>,
): Promise<T> {
  try {
    return await fn();
  } catch (error) {
    await owned?.[Symbol.asyncDispose]();
    throw error;
  }
}
