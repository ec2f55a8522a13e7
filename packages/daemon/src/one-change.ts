/** What changes this machine's place in a cluster happens one at a time: whoever comes second is refused. */
import { SwarmError } from '@swarmd/base';

export class OneChange {
  /** The change under way, e.g. "joining"; empty without one. */
  #name = '';
  #settled: Promise<unknown> = Promise.resolve();

  get name(): string {
    return this.#name;
  }

  /** @throws SwarmError `failed-precondition` while another one is under way; whatever `fn` throws. */
  async run<T>(name: string, fn: () => Promise<T>): Promise<T> {
    if (this.#name !== '') {
      throw new SwarmError('failed-precondition', `this machine is ${this.#name}; try again then`);
    }
    this.#name = name;
    const work = fn().finally(() => (this.#name = ''));
    // Its failure is told to whoever asked for it.
    this.#settled = work.catch(() => undefined);
    return work;
  }

  /** When the change under way, if there is one, has ended one way or the other. */
  async settled(): Promise<void> {
    await this.#settled;
  }
}
