/** Lines to the journal of this machine, with the fields that Docker's driver gives them. */
import { microTimeText, type Clock } from '@swarmd/base';

import { DATAGRAM_MAX_BYTES, ID_SHORT_CHARS } from '../../limits.ts';
import { DatagramSender } from './datagrams.ts';
import type { ShipJob, ShipLine, Sink } from './protocol.ts';

const SOCKET = '/run/systemd/journal/socket';
const ERROR = 3;
const INFO = 6;

export class JournaldSink implements Sink {
  readonly #fields: Buffer;
  readonly #clock: Clock;
  readonly #socket: string;
  #sender: DatagramSender | undefined;

  constructor(job: ShipJob, clock: Clock, socket = SOCKET) {
    const { tag = '', ...more } = job.attributes;
    const fields: Record<string, string> = {
      CONTAINER_ID: job.id.slice(0, ID_SHORT_CHARS),
      CONTAINER_ID_FULL: job.id,
      CONTAINER_NAME: job.name,
      CONTAINER_TAG: tag,
      IMAGE_NAME: job.image,
      SYSLOG_IDENTIFIER: tag,
      ...Object.fromEntries(Object.entries(more).map(([name, value]) => [fieldName(name), value])),
    };
    this.#fields = Buffer.concat(
      Object.entries(fields).map(([name, value]) => field(name, Buffer.from(value))),
    );
    this.#clock = clock;
    this.#socket = socket;
  }

  async write(lines: readonly ShipLine[], signal: AbortSignal): Promise<number> {
    if (this.#sender?.isGone === true) this.#sender = undefined;
    this.#sender ??= new DatagramSender(this.#socket, this.#clock);
    const datagrams = lines.map(({ isError, timestamp, text }) =>
      Buffer.concat([
        field('PRIORITY', Buffer.from(String(isError ? ERROR : INFO))),
        field('SYSLOG_TIMESTAMP', Buffer.from(microTimeText(timestamp))),
        this.#fields,
        field('MESSAGE', text.subarray(0, DATAGRAM_MAX_BYTES)),
      ]),
    );
    await this.#sender.send(datagrams, signal);
    return lines.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sender?.[Symbol.asyncDispose]();
  }
}

/** systemd's native protocol: with the length, because values may have newlines. */
function field(name: string, value: Buffer): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(value.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, value, NEWLINE]);
}

const NEWLINE = Buffer.from('\n');

/** Upper-case letters, digits and "_", not "_" first: those are the journal's own. */
function fieldName(name: string): string {
  return name
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, '_')
    .replace(/^[_0-9]+/, '');
}
