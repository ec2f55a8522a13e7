/**
 * Running a program to its end without a shell. Output is bounded, and every run has a deadline and
 * may have a signal, so that a hung program cannot hang its caller.
 */
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

import { SwarmError } from '../errors.ts';
import { abortReason } from '../wait.ts';

export interface RunOptions {
  /** Written to standard input, which is then closed. */
  readonly input?: string | Uint8Array;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly signal?: AbortSignal;
  /** Milliseconds until the program is killed; 30,000 unless said otherwise. */
  readonly timeoutMs?: number;
  /** Exit codes that are not failures; only 0 unless said otherwise. */
  readonly okCodes?: readonly number[];
}

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const RUN_TIMEOUT_MS = 30_000;
/** More output than any of our commands prints; the rest is dropped. */
const OUTPUT_MAX_CHARS = 4 * 1024 * 1024;
/** A killed program is waited for so long; one that hangs in the kernel may never end. */
const KILL_GRACE_MS = 1_000;

/**
 * @throws SwarmError `internal` with the command line and what it said when it fails,
 * `deadline-exceeded` when it was killed for taking too long; the signal's reason.
 */
export function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const { input, env, cwd, signal, timeoutMs = RUN_TIMEOUT_MS, okCodes = [0] } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) throw abortReason(signal);
    const line = `${command} ${args.join(' ')}`.slice(0, 400);
    const stdin = input === undefined ? 'ignore' : 'pipe';
    const child = spawn(command, args, { stdio: [stdin, 'pipe', 'pipe'], env, cwd });
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    const watch = killOnTime({ child, signal, timeoutMs, line }, reject);
    // A program that exits without reading its input makes the pipe fail; its exit code says why.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
    child.on('error', (cause) => {
      watch[Symbol.dispose]();
      reject(new SwarmError('internal', `${line}: ${cause.message}`, { cause }));
    });
    child.on('close', (code, killedBy) => {
      watch[Symbol.dispose]();
      if (code !== null && okCodes.includes(code)) {
        resolve({ code, stdout: stdout(), stderr: stderr() });
        return;
      }
      const how = code === null ? `killed by ${killedBy ?? 'a signal'}` : `exit code ${code}`;
      const said = (stderr() || stdout()).trim().slice(0, 2000);
      reject(new SwarmError('internal', `${line}: ${how}: ${said}`));
    });
  });
}

/** Gathers what a stream says, up to the bound; the rest is read and dropped. */
function collect(stream: Readable | null): () => string {
  let text = '';
  stream?.setEncoding('utf8').on('data', (data: string) => {
    if (text.length < OUTPUT_MAX_CHARS) text += data.slice(0, OUTPUT_MAX_CHARS - text.length);
  });
  return () => text;
}

/** Kills the program when its time is up or the signal aborts, and tells why once it is dead. */
function killOnTime(
  watched: {
    child: ReturnType<typeof spawn>;
    signal: AbortSignal | undefined;
    timeoutMs: number;
    line: string;
  },
  onKilled: (why: Error) => void,
): Disposable {
  const { child, signal, timeoutMs, line } = watched;
  const kill = (why: Error): void => {
    stopWatching();
    const tell = (): void => {
      clearTimeout(grace);
      onKilled(why);
      // Its own children may hold the pipes for as long as they live.
      child.stdout?.destroy();
      child.stderr?.destroy();
    };
    const grace = setTimeout(tell, KILL_GRACE_MS);
    child.once('exit', tell);
    child.kill('SIGKILL');
  };
  const onAbort = (): void => kill(signal === undefined ? new Error(line) : abortReason(signal));
  const timer = setTimeout(() => {
    const message = `${line}: not done after ${timeoutMs} ms, killed`;
    kill(new SwarmError('deadline-exceeded', message));
  }, timeoutMs);
  signal?.addEventListener('abort', onAbort, { once: true });
  const stopWatching = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  };
  return { [Symbol.dispose]: stopWatching };
}
