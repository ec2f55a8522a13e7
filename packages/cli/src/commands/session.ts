/** swarmctl task exec and attach: the user's terminal and a program on some node. */
import type { SessionRequest } from '@swarmd/api';
import { SwarmError } from '@swarmd/base';
import type { Command } from 'commander';

import type { Console } from '../console.ts';
import type { Context } from '../context.ts';
import { ExitWith } from '../exit-codes.ts';
import { collect, parseEnv } from '../flags.ts';
import { LeaveKeys } from '../leave-keys.ts';
import { findTask } from './find-task.ts';

/** What was typed last is on its way; a node that does not answer keeps nobody. */
const LEAVE_WAIT_MS = 2_000;

interface ExecFlags {
  interactive: boolean;
  tty: boolean;
  user?: string;
  workdir?: string;
  env?: string[];
  privileged: boolean;
  detach: boolean;
}

export function addSessionCommands(group: Command, context: Context): void {
  group
    .command('exec')
    .description('run a program in the container of a task, wherever it runs')
    .argument('<task>', 'service.slot, id or id prefix')
    .argument('<command...>', 'program and arguments')
    .option('-i, --interactive', 'pass on standard input', false)
    .option('-t, --tty', 'on a terminal', false)
    .option('-u, --user <name|uid[:group|gid]>', 'as another user')
    .option('-w, --workdir <dir>', 'in another folder')
    .option('-e, --env <NAME=value>', 'one more environment variable', collect(parseEnv))
    .option('--privileged', 'with every capability', false)
    .option('-d, --detach', 'let it run by itself: no input, no output', false)
    .passThroughOptions()
    .action(async (reference: string, argv: string[], flags: ExecFlags) =>
      exec(context, { reference, argv, flags }),
    );

  group
    .command('attach')
    .description('watch what a task prints, and type into it; ctrl-p ctrl-q leaves it')
    .argument('<task>', 'service.slot, id or id prefix')
    .option('--no-stdin', 'only watch')
    .option('--sig-proxy', 'pass on the signals of this command instead of leaving', false)
    .action(async (reference: string, flags: { stdin: boolean; sigProxy: boolean }) =>
      attach(context, reference, flags),
    );

  for (const [name, what] of [
    ['pause', 'stop all processes of tasks in their tracks'],
    ['unpause', 'let paused tasks go on'],
  ] as const) {
    group
      .command(name)
      .description(what)
      .argument('<task...>', 'service.slot, id or id prefix')
      .action(async (references: string[]) => {
        const { engine } = await context.cluster();
        for (const reference of references) {
          const task = await findTask(context, reference);
          await engine[name]({ taskId: task.id }, context.call);
          context.terminal.out(`${reference}\n`);
        }
      });
  }
  group
    .command('signal')
    .description('send a signal to the first process of tasks')
    .argument('<signal>', 'e.g. HUP')
    .argument('<task...>', 'service.slot, id or id prefix')
    .action(async (name: string, references: string[]) => {
      const { engine } = await context.cluster();
      for (const reference of references) {
        const task = await findTask(context, reference);
        await engine.signal({ taskId: task.id, name }, context.call);
        context.terminal.out(`${reference}\n`);
      }
    });
}

async function exec(
  context: Context,
  request: { reference: string; argv: string[]; flags: ExecFlags },
): Promise<void> {
  const { reference, flags } = request;
  // commander leaves the mark between our flags and the program's words in.
  const argv = request.argv[0] === '--' ? request.argv.slice(1) : request.argv;
  const { console } = context.terminal;
  if (flags.detach && (flags.tty || flags.interactive)) {
    throw new SwarmError(
      'invalid-argument',
      'a program that runs by itself has neither input nor terminal: leave --interactive and --tty away',
    );
  }
  if (flags.tty && flags.interactive && !console.isTerminal) {
    throw new SwarmError(
      'invalid-argument',
      'the input of this command is not a terminal: leave --tty away',
    );
  }
  const task = await findTask(context, reference);
  const start: SessionRequest = {
    kind: 'exec',
    taskId: task.id,
    argv,
    tty: flags.tty,
    stdin: flags.interactive,
    env: flags.env ?? [],
    user: flags.user ?? '',
    dir: flags.workdir ?? '',
    privileged: flags.privileged,
    detached: flags.detach,
    ...console.size(),
  };
  await session(context, start, { isTty: flags.tty, reads: flags.interactive, canDetach: false });
}

async function attach(
  context: Context,
  reference: string,
  flags: { stdin: boolean; sigProxy: boolean },
): Promise<void> {
  const task = await findTask(context, reference);
  const { tty: isTty, stdin } = task.spec.container;
  const reads = flags.stdin && (isTty || stdin);
  const start: SessionRequest = { kind: 'attach', taskId: task.id, stdin: reads };
  await session(context, start, {
    isTty,
    reads,
    canDetach: true,
    ...(flags.sigProxy ? { passesSignals: true } : {}),
  });
}

interface SessionOptions {
  readonly isTty: boolean;
  readonly reads: boolean;
  /** ctrl-p ctrl-q ends the session, not the program. */
  readonly canDetach: boolean;
  readonly passesSignals?: boolean;
}

/** @throws ExitWith the program's exit code when that is not 0. */
async function session(
  context: Context,
  start: SessionRequest,
  options: SessionOptions,
): Promise<void> {
  const { engine } = await context.cluster();
  const { console, onSignal } = context.terminal;
  const detached = new AbortController();
  const over = AbortSignal.any([context.call.signal, detached.signal]);
  let isLeaving = false;
  using events = new DisposableStack();
  // A key that nobody presses any more would keep this process.
  if (options.reads) events.defer(() => console.closeInput());
  const input = new SessionInput(console, options, () => {
    isLeaving = true;
    const timer = context.clock.after(LEAVE_WAIT_MS, () => detached.abort());
    events.defer(() => timer.cancel());
  });
  if (options.isTty) events.use(console.onResize(() => input.resized()));
  if (options.passesSignals === true) events.use(onSignal((name) => input.signalled(name)));
  if (options.isTty && options.reads && console.isTerminal) events.use(console.raw());
  try {
    const messages = input.messages(start, over);
    for await (const event of engine.session(messages, { signal: over })) {
      if (event.kind === 'output') await console.write(event.stream, event.data);
      if (event.kind === 'exit' && event.code !== 0) throw new ExitWith(event.code);
    }
  } catch (error) {
    if (!isLeaving) throw error;
  }
}

/** What the user does, as messages: the next key is only read when the last one was taken. */
class SessionInput {
  readonly #console: Console;
  readonly #options: SessionOptions;
  readonly #onDetach: () => void;
  readonly #pending: SessionRequest[] = [];
  readonly #leaveKeys = new LeaveKeys();
  #wake: () => void = () => undefined;
  #hasLeft = false;

  constructor(console: Console, options: SessionOptions, onDetach: () => void) {
    this.#console = console;
    this.#options = options;
    this.#onDetach = onDetach;
  }

  resized(): void {
    // Only the newest size matters.
    const index = this.#pending.findIndex((message) => message.kind === 'resize');
    if (index >= 0) this.#pending.splice(index, 1);
    this.#pending.push({ kind: 'resize', ...this.#console.size() });
    this.#wake();
  }

  signalled(name: string): void {
    this.#pending.push({ kind: 'signal', name });
    this.#wake();
  }

  async *messages(start: SessionRequest, signal: AbortSignal): AsyncGenerator<SessionRequest> {
    yield start;
    if (start.kind === 'attach' && this.#options.isTty && this.#console.isTerminal) this.resized();
    const iterator = this.#console.input()[Symbol.asyncIterator]();
    let reading = this.#options.reads ? iterator.next() : undefined;
    const stop = (): void => this.#wake();
    signal.addEventListener('abort', stop);
    try {
      while (!signal.aborted && !this.#hasLeft) {
        const message = this.#pending.shift();
        if (message !== undefined) {
          yield message;
          continue;
        }
        const woken = new Promise<'woken'>((resolve) => (this.#wake = () => resolve('woken')));
        const read = await Promise.race([woken, ...(reading === undefined ? [] : [reading])]);
        if (read === 'woken') continue;
        reading = read.done === true ? undefined : iterator.next();
        if (read.done === true) yield { kind: 'stdin-end' };
        else yield* this.#keys(read.value);
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** The last ones are passed on before the session is left. */
  *#keys(data: Uint8Array): Generator<SessionRequest> {
    if (!this.#options.canDetach || !this.#options.isTty) {
      yield { kind: 'stdin', data };
      return;
    }
    const { keys, leaves } = this.#leaveKeys.take(data);
    if (keys.length > 0) yield { kind: 'stdin', data: keys };
    if (!leaves) return;
    this.#hasLeft = true;
    this.#onDetach();
    yield { kind: 'leave' };
  }
}
