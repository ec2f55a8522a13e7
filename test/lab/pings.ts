/** Pings from a task to an address, ten a second, until they are stopped: which of them were lost. */
import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';

import type { Host } from '@swarmd/lab';
import type { Task } from '@swarmd/model';

import { hostOf, pidOf, sh, until } from './support.ts';

const PER_SECOND = 10;

export class Pings implements AsyncDisposable {
  readonly #host: Host;
  readonly #file: string;

  private constructor(host: Host) {
    this.#host = host;
    this.#file = `${host.dir}/pings-${randomUUID()}`;
  }

  /** @returns after the first answer. */
  static async start(from: Task, address: string): Promise<Pings> {
    const host = await hostOf(from);
    const pings = new Pings(host);
    const file = pings.#file;
    const ping = `ping -i ${1 / PER_SECOND} ${address}`;
    await sh(
      host,
      `: >${file}; nsenter --target ${pidOf(from)} --net ${ping} >${file} 2>&1 & echo $! >${file}.pid`,
    );
    await until(`the first answer of ${address}`, () => pings.#answered().length > 0 || undefined);
    return pings;
  }

  /** @returns how many were answered, and the numbers of those before the last answer that were not. */
  async stop(): Promise<{ answered: number; lost: readonly number[] }> {
    const last = this.#answered().at(-1) ?? 0;
    // What was lost at the very end is told by answers after it.
    await until('answers to what was sent until now', () => {
      return (this.#answered().at(-1) ?? 0) > last + PER_SECOND || undefined;
    });
    await this.#end();
    const answered = new Set(this.#answered());
    const lost = [];
    for (let seq = 1; seq < Math.max(...answered); seq += 1) if (!answered.has(seq)) lost.push(seq);
    return { answered: answered.size, lost };
  }

  /** Numbers of the answers, as they came. */
  #answered(): number[] {
    const text = readFileSync(this.#file, 'utf8');
    return [...text.matchAll(/icmp_seq=(\d+) ttl=/g)].map(([, seq]) => Number(seq));
  }

  async #end(): Promise<void> {
    const file = this.#file;
    await sh(
      this.#host,
      `pid=$(cat ${file}.pid); kill -INT $pid && while [ -d /proc/$pid ]; do sleep 0.1; done; true`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
    for (const file of [this.#file, `${this.#file}.pid`]) rmSync(file, { force: true });
  }
}
