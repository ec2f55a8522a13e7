/**
 * conmon: the small process that outlives us, holds a container's output and reports how it ended.
 * It daemonizes itself; we keep one pipe from it, whose end tells that it is gone.
 *
 * Protocol: one JSON line on the sync pipe, {"data": pid} or {"data": -1, "message": why}; later a
 * file EXIT_DIR/ID with the exit code.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';

import { abortReason, SwarmError, withDeadline, type Clock } from '@swarmd/base';

import type { ContainerPaths } from '../container/paths.ts';
import { textNow } from '../files/memory-file.ts';
import { CREATE_TIMEOUT_MS } from '../limits.ts';
import type { Runtime } from './runtime.ts';

export interface MonitoredProcess {
  readonly pid: number;
  readonly monitorPid: number;
  /** Resolves when the monitor is gone. */
  readonly gone: Promise<void>;
}

export interface CreateOptions {
  readonly id: string;
  readonly paths: ContainerPaths;
  readonly tty: boolean;
  /** Standard input stays open, whoever attaches and leaves. */
  readonly stdin: boolean;
  /** False: its output is kept nowhere. */
  readonly isLogged: boolean;
  readonly runtime: Runtime;
  readonly conmonPath: string;
  readonly clock: Clock;
}

const SYNC_FD = 3;

/**
 * Creates the container of a bundle; its process then waits to be started.
 * @throws SwarmError `failed-precondition` with the runtime's own words when it cannot be created.
 */
export async function createContainer(
  options: CreateOptions,
  signal: AbortSignal,
): Promise<MonitoredProcess> {
  const { clock, id, paths } = options;
  const child = launch(options);
  const sync = child.stdio[SYNC_FD] as Readable;
  const gone = new Promise<void>((resolve) => sync.once('close', resolve));
  // The process that we began writes the monitor's pid and ends, on a busy machine after the container is there.
  const detached = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  sync.on('error', () => undefined);
  const what = `creating container ${id}`;
  try {
    const line = await withDeadline(
      { clock, timeoutMs: CREATE_TIMEOUT_MS, what, signal },
      async (signal) => {
        const line = await firstLine(child, sync, signal);
        await detached;
        return line;
      },
    );
    const pid = readAnswer(line, paths);
    const monitorPid = Number(textNow(join(paths.bundle, 'conmon.pid')));
    // The pipe alone must not keep our process alive.
    (sync as Readable & { unref?: () => void }).unref?.();
    return { pid, monitorPid, gone };
  } catch (error) {
    sync.destroy();
    child.kill('SIGKILL');
    throw error;
  }
}

function launch(options: CreateOptions): ChildProcess {
  const { id, paths, runtime } = options;
  const settings = {
    '--api-version': '1',
    '--cid': id,
    '--cuuid': id,
    '--name': id,
    '--runtime': runtime.path,
    '--bundle': paths.bundle,
    '--container-pidfile': join(paths.bundle, 'pidfile'),
    '--conmon-pidfile': join(paths.bundle, 'conmon.pid'),
    // Whoever gets the output in the end: what conmon waits for, the container would wait for.
    '--log-path': options.isLogged ? `k8s-file:${paths.log}` : 'none:',
    '--exit-dir': dirname(paths.exit),
    '--persist-dir': paths.persist,
    '--log-level': 'error',
  };
  const args = [
    ...Object.entries(settings).flat(),
    ...runtime.arguments.flatMap((argument) => ['--runtime-arg', argument]),
    '--full-attach',
    '--no-sync-log',
    ...(options.tty ? ['--terminal'] : []),
    ...(options.tty || options.stdin ? ['--stdin', '--leave-stdin-open'] : []),
  ];
  // Its complaints go to a file: a pipe would break when we die before it.
  const errors = openSync(errorFile(paths), 'a', 0o600);
  try {
    const child = spawn(options.conmonPath, args, {
      stdio: ['ignore', 'ignore', errors, 'pipe'],
      env: {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        _OCI_SYNCPIPE: String(SYNC_FD),
        // For the socket through which the runtime hands it the terminal.
        TMPDIR: paths.bundle,
      },
      detached: true,
      cwd: paths.bundle,
    });
    child.unref();
    return child;
  } finally {
    closeSync(errors);
  }
}

function firstLine(child: ChildProcess, sync: Readable, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    sync.on('data', (data: Buffer) => {
      text += data.toString();
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
    });
    sync.once('close', () => resolve(text));
    child.once('error', reject);
    signal.addEventListener('abort', () => reject(abortReason(signal)), { once: true });
  });
}

function readAnswer(line: string, paths: ContainerPaths): number {
  const answer =
    line === '' ? undefined : (JSON.parse(line) as { data?: number; message?: string });
  if (answer?.data !== undefined && answer.data > 0) return answer.data;
  const said = answer?.message?.trim() || textNow(errorFile(paths)).trim();
  throw new SwarmError(
    'failed-precondition',
    `the container cannot be created: ${said || 'the monitor ended'}`,
  );
}

function errorFile(paths: ContainerPaths): string {
  return join(paths.bundle, 'conmon.err');
}
