/** Lines of a task's log as columns: cheap to make, pass on and show by the hundred thousand. Pure. */

export type LogStream = 'stdout' | 'stderr';

export interface LogLine {
  readonly stream: LogStream;
  /** Milliseconds since the epoch, with a fraction. */
  readonly timestamp: number;
  /** Without the newline at its end. */
  readonly data: Uint8Array;
}

export interface LogColumns {
  /** The lines' texts back to back, without newlines. */
  readonly data: Uint8Array;
  /** Bytes of each line. */
  readonly lengths: readonly number[];
  /** Of each line: milliseconds since the epoch, with a fraction. */
  readonly timestamps: readonly number[];
  /** Of each line. Empty: all of them went to standard output. */
  readonly streams: readonly LogStream[];
}

/** Lines that follow each other in one container's log. */
export interface LogChunk extends LogColumns {
  /** A request with it goes on behind this chunk. Only its maker can read it. */
  readonly cursor: string;
  /** Empty, or what is to be said before these lines, such as that some are missing. */
  readonly notice: string;
}

export function* logLines({
  data,
  lengths,
  timestamps,
  streams,
}: LogColumns): Generator<LogLine, void, undefined> {
  let start = 0;
  for (const [index, length] of lengths.entries()) {
    yield {
      stream: streams[index] ?? 'stdout',
      timestamp: timestamps[index] ?? 0,
      data: data.subarray(start, start + length),
    };
    start += length;
  }
}

export function logColumns(lines: readonly LogLine[]): LogColumns {
  const lengths = lines.map((line) => line.data.length);
  const data = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  for (const line of lines) {
    data.set(line.data, at);
    at += line.data.length;
  }
  const isPlain = lines.every(({ stream }) => stream === 'stdout');
  return {
    data,
    lengths,
    timestamps: lines.map(({ timestamp }) => timestamp),
    streams: isPlain ? [] : lines.map(({ stream }) => stream),
  };
}
