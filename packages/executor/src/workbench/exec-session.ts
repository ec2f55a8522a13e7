/**
 * A program of people's in a running container: `crun exec` as our child, its standard streams over
 * pipes. With a terminal, `script` from util-linux holds it, because Node cannot open one; a terminal's
 * size is set from outside, through the program's own standard input (`stty -F`).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { errorMessage, sleep, SwarmError, type Clock, type Logger } from '@swarmd/base';
import { run } from '@swarmd/base/system';

import type { ContainerPaths } from '../container/paths.ts';
import { signalNamed } from '../container/process.ts';
import { resolveUser } from '../container/user.ts';
import { readInRoot } from '../files/in-root.ts';
import { EXEC_OUTPUT_GRACE_MS, EXEC_PID_LOOK_MS, EXEC_PID_WAIT_MS } from '../limits.ts';
import { givableCapabilities } from '../oci/capabilities.ts';
import { identify, signalProcess, type ProcessIdentity } from '../oci/proc.ts';
import type { Runtime } from '../oci/runtime.ts';
import type { SessionEvent, SessionInput, SessionStart } from '../types.ts';
import { ProgramOutput } from './streams.ts';

type ExecStart = Extract<SessionStart, { kind: 'exec' }>;

export interface ExecSessionContext {
  readonly id: string;
  /** Distinguishes this session from others on the same container. */
  readonly serial: number;
  readonly paths: ContainerPaths;
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The shell's codes for what cannot be run, as crun's own are 1 for everything. */
const CANNOT_RUN = 126;

export async function* execSession(
  context: ExecSessionContext,
  request: { readonly start: ExecStart; readonly input: AsyncIterable<SessionInput> },
  signal: AbortSignal,
): AsyncGenerator<SessionEvent> {
  const { paths, serial } = context;
  const { start, input } = request;
  if (start.argv.length === 0) throw new SwarmError('invalid-argument', 'exec needs a program');
  const base = join(paths.bundle, `session-${serial}`);
  const files = { spec: `${base}.json`, pid: `${base}.pid` };
  await writeFile(files.spec, JSON.stringify(await processSpec(paths, start)), { mode: 0o600 });
  if (start.detached === true) {
    yield { kind: 'started', tty: false };
    yield { kind: 'exit', code: await startDetached(context, start, files) };
    return;
  }
  const left = new AbortController();
  const either = AbortSignal.any([signal, left.signal]);
  const program = new ExecProgram(context, start, files);
  try {
    yield { kind: 'started', tty: start.tty };
    void program.feed(input, either).catch((error: unknown) => {
      if (!either.aborted)
        context.logger.debug({ error: errorMessage(error) }, 'input of an exec session ended');
    });
    for await (const { stream, data } of program.output.read(program.cut, either)) {
      yield { kind: 'output', stream, data };
    }
    yield { kind: 'exit', code: await program.exit };
  } finally {
    left.abort();
    await program.end();
    await rm(files.spec, { force: true });
    await rm(files.pid, { force: true });
  }
}

/**
 * The program goes on with the container, whoever of us ends. Nobody reads what it prints: a pipe of ours
 * would break under it, so that only the runtime itself may complain, to a file.
 * @throws SwarmError `failed-precondition` in the runtime's words when it does not start.
 */
async function startDetached(
  { runtime, id }: ExecSessionContext,
  { argv: [program = ''] }: ExecStart,
  files: { readonly spec: string; readonly pid: string },
): Promise<number> {
  const log = `${files.spec}.log`;
  const where = ['--process', files.spec, '--pid-file', files.pid, id];
  const args = [...runtime.arguments, '--log', log, 'exec', '--detach', ...where];
  try {
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
    const child = spawn(runtime.path, args, { stdio: 'ignore', env, cwd: '/' });
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code === 0) return code;
    const said = await readFile(log, 'utf8').catch(() => '');
    throw new SwarmError('failed-precondition', `${program} cannot be run: ${said.trim()}`);
  } finally {
    for (const file of [files.spec, files.pid, log]) await rm(file, { force: true });
  }
}

/** The container's own process description with what the request says. */
async function processSpec(paths: ContainerPaths, start: ExecStart): Promise<object> {
  const { process } = JSON.parse(await readFile(join(paths.bundle, 'config.json'), 'utf8')) as {
    process: { env: string[]; cwd: string; user: object; capabilities: object };
  };
  const env = start.tty
    ? [...process.env, 'TERM=xterm', ...start.env]
    : [...process.env, ...start.env];
  const byName = new Map(env.map((line) => [line.split('=', 1)[0], line]));
  const all = givableCapabilities(await readFile('/proc/self/status', 'latin1'));
  const { rows: height, columns: width } = start;
  return {
    ...process,
    terminal: start.tty,
    args: start.argv,
    env: [...byName.values()],
    ...(start.dir === '' ? {} : { cwd: start.dir }),
    ...(start.user === '' ? {} : { user: await userOf(paths, start.user) }),
    ...(start.tty && height > 0 && width > 0 ? { consoleSize: { height, width } } : {}),
    ...(start.privileged
      ? { capabilities: { bounding: all, effective: all, permitted: all } }
      : {}),
  };
}

async function userOf(paths: ContainerPaths, wanted: string): Promise<object> {
  const { uid, gid, additionalGids } = resolveUser(wanted, {
    passwd: await readInRoot(paths.merged, '/etc/passwd'),
    group: await readInRoot(paths.merged, '/etc/group'),
  });
  return { uid, gid, additionalGids };
}

class ExecProgram {
  readonly #context: ExecSessionContext;
  readonly #pidFile: string;
  readonly #tty: boolean;
  readonly #child: ChildProcess;
  readonly output: ProgramOutput;
  readonly exit: Promise<number>;
  /** Resolves a little after its end: what it printed is then in the pipes. */
  readonly cut: Promise<void>;
  #isOver = false;

  constructor(
    context: ExecSessionContext,
    start: ExecStart,
    files: { readonly spec: string; readonly pid: string },
  ) {
    const { runtime, clock, id } = context;
    this.#context = context;
    this.#pidFile = files.pid;
    this.#tty = start.tty;
    const where = ['--process', files.spec, '--pid-file', files.pid, id];
    const argv = [runtime.path, ...runtime.arguments, 'exec', ...where];
    const usesPipe = start.stdin || start.tty;
    const [command = '', ...args] = start.tty ? onTerminal(argv) : argv;
    this.#child = spawn(command, args, {
      stdio: [usesPipe ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', SHELL: '/bin/sh' },
      cwd: '/',
    });
    const { stdout, stderr } = this.#child;
    this.output = new ProgramOutput({ stdout, stderr });
    // A program that ends without reading its input makes the pipe fail; its exit code says why.
    this.#child.stdin?.on('error', () => undefined);
    const cut = Promise.withResolvers<void>();
    this.cut = cut.promise;
    this.exit = new Promise((resolve) => {
      const over = (code: number): void => {
        this.#isOver = true;
        clock.after(EXEC_OUTPUT_GRACE_MS, cut.resolve);
        resolve(code);
      };
      this.#child.once('error', () => over(CANNOT_RUN));
      this.#child.once('exit', (code) => over(code ?? CANNOT_RUN + 11));
    });
  }

  /** Passes on what comes until `signal` aborts; a full pipe holds the caller back. */
  async feed(input: AsyncIterable<SessionInput>, signal: AbortSignal): Promise<void> {
    const { stdin } = this.#child;
    for await (const message of input) {
      if (signal.aborted || this.#isOver) return;
      switch (message.kind) {
        case 'stdin':
          if (stdin?.writable === true && !stdin.write(message.data)) {
            await once(stdin, 'drain', { signal });
          }
          break;
        case 'stdin-end':
          stdin?.end();
          break;
        case 'resize':
          if (this.#tty) await this.#resize(message, signal);
          break;
        case 'leave':
          // A program of a session goes with it: who started it ends the call.
          break;
        case 'signal':
          await this.#signal(signalNamed(message.name), signal);
          break;
        default:
          message satisfies never;
      }
    }
    // Who sends no more has closed his end.
    if (!this.#tty) stdin?.end();
  }

  /** What is left of it goes: a terminal's program is told so first. */
  async end(): Promise<void> {
    if (this.#isOver) return;
    // It may run already while the runtime has not written its pid yet.
    const target = await this.#await(new AbortController().signal);
    if (target !== undefined) {
      if (this.#tty) signalProcess(target, 'SIGHUP');
      signalProcess(target, 'SIGKILL');
    }
    this.#child.kill('SIGKILL');
  }

  async #resize(size: { rows: number; columns: number }, signal: AbortSignal): Promise<void> {
    const target = await this.#await(signal);
    if (target === undefined) return;
    const words = ['rows', String(size.rows), 'cols', String(size.columns)];
    await run('stty', ['-F', `/proc/${target.pid}/fd/0`, ...words], { okCodes: [0, 1] });
  }

  async #signal(name: NodeJS.Signals, signal: AbortSignal): Promise<void> {
    const target = await this.#await(signal);
    if (target !== undefined) signalProcess(target, name);
  }

  /** The program's process; it takes some milliseconds to be there. */
  async #await(signal: AbortSignal): Promise<ProcessIdentity | undefined> {
    for (let left = EXEC_PID_WAIT_MS; left > 0 && !this.#isOver; left -= EXEC_PID_LOOK_MS) {
      const found = await this.#find();
      if (found !== undefined) return found;
      await sleep(this.#context.clock, EXEC_PID_LOOK_MS, signal);
    }
    return undefined;
  }

  async #find(): Promise<ProcessIdentity | undefined> {
    const pid = Number(await readFile(this.#pidFile, 'latin1').catch(() => ''));
    return pid > 0 ? identify(pid) : undefined;
  }
}

/** As script(1) runs it: exit code of the command, no typescript, no echo before the runtime takes over. */
function onTerminal(argv: readonly string[]): readonly string[] {
  const line = `exec ${argv.map(quoted).join(' ')}`;
  return ['/usr/bin/script', '-q', '-e', '-f', '-E', 'never', '-c', line, '/dev/null'];
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
