/**
 * Attaching to a container's first process. Its output is followed in the log, so that a slow reader
 * never touches the monitor; its input goes to the monitor's socket, which is of a kind (SOCK_SEQPACKET)
 * that Node cannot open: a few lines of perl, which every Debian has, pass it on.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';

import { errorMessage, type Clock, type Logger } from '@swarmd/base';

import type { LiveContainer } from '../container/live.ts';
import { signalNamed } from '../container/process.ts';
import { readPieces } from '../logs/log-reader.ts';
import { signalProcess } from '../oci/proc.ts';
import type { SessionEvent, SessionInput, SessionStart } from '../types.ts';

export interface AttachContext {
  readonly container: LiveContainer;
  readonly tty: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The receiving half is shut first: the monitor would wait for a reader of what it sends there. */
const PASS_ON = `use Socket; socket(my $s, AF_UNIX, SOCK_SEQPACKET, 0) or die $!;
connect($s, pack_sockaddr_un($ARGV[0])) or die $!; shutdown($s, 0);
while (sysread(STDIN, my $b, 8192)) { defined(send($s, $b, 0)) or die $! }`;

export async function* attachSession(
  context: AttachContext,
  request: {
    readonly start: Extract<SessionStart, { kind: 'attach' }>;
    readonly input: AsyncIterable<SessionInput>;
  },
  signal: AbortSignal,
): AsyncGenerator<SessionEvent> {
  const { container, tty, clock, logger } = context;
  const { start, input } = request;
  const left = new AbortController();
  const either = AbortSignal.any([signal, left.signal]);
  const pieces = await readPieces(container.outputSource(clock), either);
  try {
    yield { kind: 'started', tty };
    const leave = (): void => left.abort();
    const feeding = { input, passesInput: start.stdin, leave };
    void feed(context, feeding, either).catch((error: unknown) => {
      if (!either.aborted) logger.debug({ error: errorMessage(error) }, 'input of an attach ended');
    });
    for await (const { stream, data } of pieces) yield { kind: 'output', stream, data };
    yield { kind: 'exit', code: (await container.wait(signal)).code };
  } catch (error) {
    if (signal.aborted || !left.signal.aborted) throw error;
  } finally {
    left.abort();
  }
}

async function feed(
  { container }: AttachContext,
  {
    input,
    passesInput,
    leave,
  }: { input: AsyncIterable<SessionInput>; passesInput: boolean; leave: () => void },
  signal: AbortSignal,
): Promise<void> {
  const { bundle } = container.paths;
  const bridge = passesInput
    ? spawn('/usr/bin/perl', ['-e', PASS_ON, join(bundle, 'attach')], {
        stdio: ['pipe', 'ignore', 'ignore'],
        signal,
      })
    : undefined;
  bridge?.on('error', () => undefined);
  bridge?.stdin?.on('error', () => undefined);
  const passedOn = bridge && once(bridge, 'close');
  passedOn?.catch(() => undefined);
  try {
    for await (const message of input) {
      if (signal.aborted) return;
      switch (message.kind) {
        case 'stdin':
          if (bridge?.stdin?.writable === true && !bridge.stdin.write(message.data)) {
            await once(bridge.stdin, 'drain', { signal });
          }
          break;
        case 'stdin-end':
          bridge?.stdin?.end();
          break;
        case 'leave':
          bridge?.stdin?.end();
          await passedOn;
          leave();
          return;
        case 'resize':
          await resize(bundle, message);
          break;
        case 'signal':
          if (container.record.process !== undefined)
            signalProcess(container.record.process, signalNamed(message.name));
          break;
        default:
          message satisfies never;
      }
    }
  } finally {
    bridge?.stdin?.end();
  }
}

/** conmon's control fifo: "1 ROWS COLUMNS". */
async function resize(bundle: string, size: { rows: number; columns: number }): Promise<void> {
  await using fifo = await open(join(bundle, 'ctl'), constants.O_WRONLY | constants.O_NONBLOCK);
  await fifo.write(`1 ${size.rows} ${size.columns}\n`);
}
