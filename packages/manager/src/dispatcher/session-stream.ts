/**
 * What an agent is told, one message after the other, until either side ends the session. Written out instead of
 * as a generator: with thousands of agents, of which most wait for their next heartbeat, what each wait is made of
 * lives long enough to be taken for old by the garbage collector.
 */
import type { ManagerMessage } from '@swarmd/api';

import type { Session } from './session.ts';

type Next = IteratorResult<ManagerMessage, undefined>;

/** A session that runs. Disposing it ends it. */
export interface Begun extends Disposable {
  readonly session: Session;
}

export class SessionStream implements AsyncIterableIterator<ManagerMessage, undefined> {
  readonly #begin: () => Promise<Begun>;
  #begun: Begun | undefined;
  #isOver = false;

  /** `begin`: when the first message is asked for. */
  constructor(begin: () => Promise<Begun>) {
    this.#begin = begin;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** For one reader, who waits for each before it asks for the next. Rejects with why the session has ended. */
  next(): Promise<Next> {
    if (this.#begun !== undefined) return this.#begun.session.next(this.#over);
    return this.#isOver ? Promise.resolve({ done: true, value: undefined }) : this.#first();
  }

  return(): Promise<Next> {
    this.#over();
    return Promise.resolve({ done: true, value: undefined });
  }

  async #first(): Promise<Next> {
    const begun = await this.#begin().catch((error: unknown) => {
      this.#isOver = true;
      throw error;
    });
    if (this.#isOver) {
      begun[Symbol.dispose]();
      return { done: true, value: undefined };
    }
    this.#begun = begun;
    return begun.session.next(this.#over);
  }

  readonly #over = (): void => {
    const begun = this.#begun;
    this.#isOver = true;
    this.#begun = undefined;
    begun?.[Symbol.dispose]();
  };
}
