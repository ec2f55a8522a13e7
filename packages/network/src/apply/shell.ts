/**
 * A shell that lives while it is used, and runs what it is given: to start a program costs the daemon
 * 3 ms of its only thread, as the tables of all its memory are copied for each; for a process as small as
 * a shell it costs next to nothing. Some commands run beside each other, each with an end of its own;
 * the others wait for their turn.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';

import { Slots, SwarmError, type Timer } from '@swarmd/base';
import { systemClock } from '@swarmd/base/system';

import {
  COMMAND_TIMEOUT_MS,
  COMMANDS_AT_ONCE,
  ERROR_TEXT_BYTES,
  SHELL_IDLE_MS,
} from '../limits.ts';

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Ends with us, however we end; what it runs then comes to its own end. */
const ARGV = ['setpriv', '--pdeathsig', 'KILL', 'sh', '-s'] as const;
/** Stands for the ends of lines in what a command said. */
const RECORD = '\u001e';

export class Shell {
  readonly #waiting = new Map<number, Waiting>();
  #process: ChildProcessWithoutNullStreams | undefined;
  #idle: Timer | undefined;
  #count = 0;
  readonly #timeoutMs: number;
  /** Callers wait for them: as many as there are of them. */
  readonly #turns: Slots;

  constructor({ timeoutMs = COMMAND_TIMEOUT_MS, atOnce = COMMANDS_AT_ONCE } = {}) {
    this.#timeoutMs = timeoutMs;
    this.#turns = new Slots(atOnce);
  }

  /**
   * @param script in the language of sh(1); runs in a shell of its own that stops at the first failure.
   * Its time counts from when its turn has come: of five hundred that come at once most have not begun
   * when the first are done.
   * @throws SwarmError `internal` with what it said, `deadline-exceeded` when it takes too long, and
   * `unavailable` when nobody knows how far it came.
   */
  run(script: string): Promise<void> {
    return this.#turns.run(undefined, () => this.#runNow(script));
  }

  #runNow(script: string): Promise<void> {
    this.#idle?.cancel();
    const helper = (this.#process ??= this.#start());
    this.#count += 1;
    const id = this.#count;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.set(id, { resolve, reject });
    const timer = systemClock.after(this.#timeoutMs, () => {
      const message = `not done after ${this.#timeoutMs} ms`;
      reject(new SwarmError('deadline-exceeded', message));
      this.#giveUp(helper, 'another command of it hung');
    });
    helper.stdin.write(jobOf(id, script));
    return promise.finally(() => {
      timer.cancel();
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) this.#rest();
    });
  }

  /** Lets the shell forget what it has run, and end when it is not needed any more. */
  #rest(): void {
    const helper = this.#process;
    helper?.stdin.write('wait\n');
    const end = (): void => {
      if (helper === undefined || this.#process !== helper) return;
      this.#process = undefined;
      helper.stdin.end();
    };
    this.#idle = systemClock.after(SHELL_IDLE_MS, end, { unref: true });
  }

  #start(): ChildProcessWithoutNullStreams {
    const [program, ...args] = ARGV;
    // A group of its own: what hangs in it is ended with it, and does nothing any more once it is given up.
    const helper = spawn(program, args, { detached: true });
    let said = '';
    helper.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = `${said}${text}`.slice(-ERROR_TEXT_BYTES);
    });
    helper.once('error', ({ message }) => this.#giveUp(helper, message));
    helper.once('close', () => this.#giveUp(helper, said));
    // Its end says why.
    helper.stdin.on('error', () => undefined);
    createInterface({ input: helper.stdout }).on('line', (line) => this.#hear(line));
    // Whoever waits has a timer; nobody else is to be kept from ending.
    helper.unref();
    for (const pipe of [helper.stdin, helper.stdout, helper.stderr]) {
      if (pipe instanceof Socket) pipe.unref();
    }
    return helper;
  }

  #giveUp(helper: ChildProcessWithoutNullStreams, why: string): void {
    if (this.#process !== helper) return;
    this.#process = undefined;
    killGroup(helper.pid);
    for (const { reject } of this.#waiting.values()) {
      reject(new SwarmError('unavailable', `the shell that was to run this has ended: ${why}`));
    }
  }

  #hear(line: string): void {
    const [id = '', code = '', ...said] = line.split(' ');
    const waiting = this.#waiting.get(Number(id));
    if (code === '0') waiting?.resolve();
    else {
      const text = said.join(' ').replaceAll(RECORD, '\n').trim();
      waiting?.reject(new SwarmError('internal', `exit code ${code}: ${text}`));
    }
  }
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // It has ended by itself.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * One compound command: a shell that is cut off in the middle of it has not understood it, and runs
 * none of it. What it says comes in one write.
 */
function jobOf(id: number, script: string): string {
  return `{ said=$( { set -e
${script}
} 2>&1 >/dev/null )
code=$?
[ $code = 0 ] || said=$(printf %s "$said" | head -c ${ERROR_TEXT_BYTES} | tr '\\n' '\\036')
printf '%s %s %s\\n' ${id} $code "$said"
} &
`;
}
