/** The window of append messages that a follower has not answered yet, by count and by bytes. */
import { assert } from '@swarmd/base';

interface Inflight {
  /** Of the last entry in the message. */
  readonly index: number;
  readonly bytes: number;
}

export interface InflightLimits {
  readonly messages: number;
  /** Soft: the message that crosses it is still sent. */
  readonly bytes: number;
}

export class Inflights {
  readonly #limits: InflightLimits;
  #queue: Inflight[] = [];
  #bytes = 0;

  constructor(limits: InflightLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#queue.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  full(): boolean {
    return this.fullOf() !== undefined;
  }

  /** Which limit lets nothing more through; undefined while there is room. */
  fullOf(): keyof InflightLimits | undefined {
    if (this.#bytes >= this.#limits.bytes) return 'bytes';
    return this.#queue.length >= this.#limits.messages ? 'messages' : undefined;
  }

  /** Indexes must not fall from call to call. */
  add(index: number, bytes: number): void {
    assert(!this.full(), 'no message is sent into a full window');
    this.#queue.push({ index, bytes });
    this.#bytes += bytes;
  }

  /** Everything up to `index` was answered. */
  release(index: number): void {
    let released = 0;
    for (const inflight of this.#queue) {
      if (inflight.index > index) break;
      this.#bytes -= inflight.bytes;
      released++;
    }
    if (released > 0) this.#queue.splice(0, released);
  }

  clear(): void {
    this.#queue = [];
    this.#bytes = 0;
  }
}
