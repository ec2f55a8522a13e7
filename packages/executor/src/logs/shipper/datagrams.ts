/**
 * Datagrams to a socket of this machine (syslog's, the journal's). Node has no such sockets: a few lines of
 * perl, which every Debian has, send them, and say so.
 *
 * To it: frames of a length (4 bytes, big-endian) and a datagram; length 0 asks for an answer. From it: a
 * line for each such question, once everything before was taken by the kernel.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';

import { SwarmError, withDeadline, type Clock } from '@swarmd/base';

import { SHIP_SEND_TIMEOUT_MS, STDERR_MAX_CHARS } from '../../limits.ts';

const SEND = `use Socket; $| = 1; binmode STDIN;
socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die "$!";
connect($s, pack_sockaddr_un($ARGV[0])) or die "$ARGV[0]: $!";
while (read(STDIN, my $n, 4)) { my $l = unpack("N", $n);
if (!$l) { print "ok\\n"; next }
read(STDIN, my $d, $l) == $l or exit; defined(send($s, $d, 0)) or die "$ARGV[0]: $!" }`;

export class DatagramSender implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #clock: Clock;
  #complaint = '';
  #isGone = false;

  constructor(path: string, clock: Clock) {
    this.#clock = clock;
    this.#child = spawn('/usr/bin/perl', ['-e', SEND, path], { stdio: 'pipe' });
    this.#child.on('error', (error) => (this.#complaint = error.message));
    this.#child.once('close', () => (this.#isGone = true));
    // What goes wrong with its input is told by its end.
    this.#child.stdin.on('error', () => undefined);
    this.#child.stderr.on('data', (data: Buffer) => {
      this.#complaint = (this.#complaint + data.toString()).slice(0, STDERR_MAX_CHARS);
    });
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** @throws SwarmError `unavailable` when nobody takes them; some may have been taken. */
  async send(datagrams: readonly Buffer[], signal: AbortSignal): Promise<void> {
    const frames = datagrams.flatMap((datagram) => [lengthOf(datagram.length), datagram]);
    const what = 'sending datagrams';
    await withDeadline(
      { clock: this.#clock, timeoutMs: SHIP_SEND_TIMEOUT_MS, what, signal },
      async (signal) => {
        const over = new AbortController();
        const either = AbortSignal.any([signal, over.signal]);
        const ended = once(this.#child, 'close', { signal: either }).then(() => 'ended' as const);
        const answered = once(this.#child.stdout, 'data', { signal: either });
        if (!this.#isGone) this.#child.stdin.write(Buffer.concat([...frames, lengthOf(0)]));
        try {
          const first = this.#isGone ? 'ended' : await Promise.race([ended, answered]);
          if (first !== 'ended') return;
          throw new SwarmError('unavailable', this.#complaint.trim() || 'the sender ended');
        } finally {
          over.abort();
          await Promise.allSettled([ended, answered]);
        }
      },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isGone) return;
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await closed;
  }
}

function lengthOf(bytes: number): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes);
  return length;
}
