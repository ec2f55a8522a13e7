/**
 * Running a program to its end without a shell. Output is bounded, and every run has a deadline and
 * may have a signal, so that a hung program cannot hang its caller.
 */
import { spawn } from 'node:child_process';

import { SwarmError } from '../errors.ts';

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

/** @throws SwarmError `internal` with the command line and what it said, when it fails. */
export function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const line = `${command} ${args.join(' ')}`.slice(0, 400);
    const child = spawn(command, args, {
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      env: options.env,
      cwd: options.cwd,
      signal: options.signal,
      timeout: options.timeoutMs ?? RUN_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout?.on('data', (data: Buffer) => {
      if (stdout.length < OUTPUT_MAX_CHARS) stdout += data.toString();
    });
    child.stderr?.on('data', (data: Buffer) => {
      if (stderr.length < OUTPUT_MAX_CHARS) stderr += data.toString();
    });
    // A program that exits without reading its input makes the pipe fail; its exit code says why.
    child.stdin?.on('error', () => undefined);
    child.on('error', (cause) =>
      reject(new SwarmError('internal', `${line}: ${cause.message}`, { cause })),
    );
    child.on('close', (code, signal) => {
      if (code !== null && (options.okCodes ?? [0]).includes(code)) {
        resolve({ code, stdout, stderr });
        return;
      }
      const how = code === null ? `killed by ${signal ?? 'a signal'}` : `exit code ${code}`;
      reject(
        new SwarmError('internal', `${line}: ${how}: ${(stderr || stdout).trim().slice(0, 2000)}`),
      );
    });
    if (options.input !== undefined) child.stdin?.end(options.input);
  });
}
