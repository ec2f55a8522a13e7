/** Chunks of logs as bytes to show, made by the hundred thousand lines a second. */
import type { TaskLogChunk } from '@swarmd/api';
import { microTimeText } from '@swarmd/base';
import type { LogStream } from '@swarmd/model';

const NEWLINE = 0x0a;
/** "2026-11-21T13:21:19.123456Z ": nodes tell microseconds. */
const TIMESTAMP_BYTES = 28;

export class LogPrinter {
  readonly #flags: {
    readonly timestamps: boolean;
    readonly details: boolean;
    readonly raw: boolean;
  };

  constructor(flags: { timestamps: boolean; details: boolean; raw: boolean }) {
    this.#flags = flags;
  }

  /** In the order of the lines; what goes to one stream without a change is one piece. */
  *print(
    { data, lengths, timestamps, streams, attributes }: TaskLogChunk,
    who: string,
  ): Generator<{ readonly stream: LogStream; readonly data: Uint8Array }> {
    const { timestamps: isTimed, details, raw } = this.#flags;
    const prefix = Buffer.from(raw ? '' : `${who}    | `);
    const suffix = Buffer.from(details ? `${formatDetails(attributes)} ` : '');
    const extra = prefix.length + suffix.length + (isTimed ? TIMESTAMP_BYTES : 0) + 1;
    const source = Buffer.from(data.buffer, data.byteOffset, data.length);
    const target = Buffer.allocUnsafe(source.length + extra * lengths.length);
    const pieces = { from: 0, stream: streams[0] ?? 'stdout' };
    let [at, read] = [0, 0];
    for (let index = 0; index < lengths.length; index += 1) {
      const stream = streams[index] ?? 'stdout';
      if (stream !== pieces.stream) {
        yield { stream: pieces.stream, data: target.subarray(pieces.from, at) };
        pieces.from = at;
        pieces.stream = stream;
      }
      at += prefix.copy(target, at);
      if (isTimed) at += target.write(`${microTimeText(timestamps[index] ?? 0)} `, at, 'latin1');
      at += suffix.copy(target, at);
      const end = read + (lengths[index] ?? 0);
      at += source.copy(target, at, read, end);
      read = end;
      target[at] = NEWLINE;
      at += 1;
    }
    if (at > pieces.from) yield { stream: pieces.stream, data: target.subarray(pieces.from, at) };
  }
}

/** "name=value,name=value", escaped as in a query, as Docker shows them. */
function formatDetails(attributes: Readonly<Record<string, string>>): string {
  return Object.entries(attributes)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join(',');
}
