/** Running a program in a running container: `crun exec` as our child, so nothing outlives us. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

import { abortReason, SwarmError, type Clock } from '@swarmd/base';

import type { ContainerPaths } from '../container/paths.ts';
import { removeNow, textNow, writeNow } from '../files/memory-file.ts';
import { EXEC_OUTPUT_GRACE_MS, EXEC_OUTPUT_MAX_CHARS } from '../limits.ts';
import type { ExecRequest, ExecResult } from '../types.ts';
import type { Cgroups } from './cgroup.ts';
import { familyOf, signalProcess } from './proc.ts';
import type { Runtime } from './runtime.ts';

export interface ExecContext {
  readonly id: string;
  /** Distinguishes this call from others on the same container. */
  readonly serial: number;
  readonly paths: ContainerPaths;
  readonly runtime: Runtime;
  readonly cgroups: Cgroups;
  readonly clock: Clock;
}

/** @throws SwarmError `failed-precondition` when the runtime cannot run it, `cancelled`. */
export async function execInContainer(
  context: ExecContext,
  request: ExecRequest,
  signal: AbortSignal,
): Promise<ExecResult> {
  const { id, serial, paths, runtime } = context;
  if (request.argv.length === 0) throw new SwarmError('invalid-argument', 'exec needs a program');
  const base = join(paths.bundle, `exec-${serial}`);
  const specFile = `${base}.json`;
  const pidFile = `${base}.pid`;
  const { process } = JSON.parse(textNow(join(paths.bundle, 'config.json'))) as {
    process: object;
  };
  writeNow(specFile, JSON.stringify({ ...process, terminal: false, args: request.argv }));
  const argv = [...runtime.arguments, 'exec', '--process', specFile, '--pid-file', pidFile, id];
  try {
    return await runBounded({ argv, pidFile, context, request }, signal);
  } finally {
    removeNow(specFile);
    removeNow(pidFile);
  }
}

interface Running {
  readonly argv: readonly string[];
  readonly pidFile: string;
  readonly context: ExecContext;
  readonly request: ExecRequest;
}

async function runBounded(running: Running, signal: AbortSignal): Promise<ExecResult> {
  const { argv, pidFile, context, request } = running;
  if (signal.aborted) throw abortReason(signal);
  const child = spawn(context.runtime.path, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const collect = (data: Buffer): void => {
    if (output.length < EXEC_OUTPUT_MAX_CHARS) output += data.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  let timedOut = false;
  // The program is no child of the runtime's process: both have to go, and what it has started.
  const kill = (): void => {
    killByFile(pidFile, context);
    child.kill('SIGKILL');
  };
  const timer = context.clock.after(request.timeoutMs, () => {
    timedOut = true;
    kill();
  });
  signal.addEventListener('abort', kill, { once: true });
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve(code ?? 137));
      child.once('exit', (code) => {
        context.clock.after(EXEC_OUTPUT_GRACE_MS, () => resolve(code ?? 137), { unref: true });
      });
    });
    if (signal.aborted) throw abortReason(signal);
    return { code, output: output.slice(0, EXEC_OUTPUT_MAX_CHARS), timedOut };
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', kill);
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

function killByFile(pidFile: string, { id, cgroups }: ExecContext): void {
  const pid = Number(textNow(pidFile));
  if (!(pid > 0)) return;
  for (const target of familyOf(pid, cgroups.processes(id))) {
    signalProcess(target, 'SIGKILL');
  }
}
