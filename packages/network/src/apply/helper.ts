/**
 * A program that lives while it is used, and does what it is given: to start one costs the daemon 3 ms of
 * its only thread, as the tables of all its memory are copied for each; for a process as small as a shell
 * it costs next to nothing. Some jobs are with it at a time, each with an answer of its own; the others
 * wait for their turn.
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
  HELPER_IDLE_MS,
} from '../limits.ts';

interface Waiting {
  readonly resolve: (said: string) => void;
  readonly reject: (error: Error) => void;
}

/** Stands for the ends of lines in what a job said. */
const RECORD = '\u001e';

export interface HelperOptions {
  /** Must end with us, however we end. */
  readonly argv: () => readonly [program: string, ...args: string[]];
  /** What to write for a job; the answer is a line of the id, 0 or another code, and what it said. */
  readonly frame: (id: number, job: string | Buffer) => string | Buffer;
  /** Written when nothing is to be done for the moment. */
  readonly rest?: string;
  readonly timeoutMs?: number;
  readonly atOnce?: number;
}

export class Helper<Job extends string | Buffer> {
  readonly #waiting = new Map<number, Waiting>();
  #process: ChildProcessWithoutNullStreams | undefined;
  #idle: Timer | undefined;
  #count = 0;
  readonly #timeoutMs: number;
  /** Callers wait for them: as many as there are of them. */
  readonly #turns: Slots;

  readonly #options: HelperOptions;

  constructor(options: HelperOptions) {
    const { timeoutMs = COMMAND_TIMEOUT_MS, atOnce = COMMANDS_AT_ONCE } = options;
    this.#options = options;
    this.#timeoutMs = timeoutMs;
    this.#turns = new Slots(atOnce);
  }

  /**
   * @param job stops at its first failure. Its time counts from when its turn has come: of five hundred that come at once most have not begun
   * when the first are done.
   * @returns what it said.
   * @throws SwarmError `internal` with what it said, `deadline-exceeded` when it takes too long, and
   * `unavailable` when nobody knows how far it came;
   * `failed-precondition`: the program is not there or no program, and nothing was done.
   */
  run(job: Job): Promise<string> {
    return this.#turns.run(undefined, () => this.#runNow(job));
  }

  #runNow(job: Job): Promise<string> {
    this.#idle?.cancel();
    const helper = (this.#process ??= this.#start());
    this.#count += 1;
    const id = this.#count;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#waiting.set(id, { resolve, reject });
    const timer = systemClock.after(this.#timeoutMs, () => {
      const message = `not done after ${this.#timeoutMs} ms`;
      reject(new SwarmError('deadline-exceeded', message));
      this.#giveUp(helper, 'another command of it hung');
    });
    helper.stdin.write(this.#options.frame(id, job));
    return promise.finally(() => {
      timer.cancel();
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) this.#rest();
    });
  }

  /** Ends it when it is not needed any more. */
  #rest(): void {
    const helper = this.#process;
    const { rest } = this.#options;
    if (rest !== undefined) helper?.stdin.write(rest);
    const end = (): void => {
      if (helper === undefined || this.#process !== helper) return;
      this.#process = undefined;
      helper.stdin.end();
    };
    this.#idle = systemClock.after(HELPER_IDLE_MS, end, { unref: true });
  }

  #start(): ChildProcessWithoutNullStreams {
    const [program, ...args] = this.#options.argv();
    // A group of its own: what hangs in it is ended with it, and does nothing any more once it is given up.
    const helper = spawn(program, args, { detached: true });
    let said = '';
    helper.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = `${said}${text}`.slice(-ERROR_TEXT_BYTES);
    });
    helper.once('error', ({ message, code }: NodeJS.ErrnoException) => {
      this.#giveUp(helper, `${message} (is the Debian package of ${program} installed?)`, {
        code: code === 'ENOENT' || code === 'EACCES' ? 'failed-precondition' : 'unavailable',
      });
    });
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

  #giveUp(
    helper: ChildProcessWithoutNullStreams,
    why: string,
    { code = 'unavailable' }: { code?: 'unavailable' | 'failed-precondition' } = {},
  ): void {
    if (this.#process !== helper) return;
    this.#process = undefined;
    killGroup(helper.pid);
    for (const { reject } of this.#waiting.values()) {
      reject(new SwarmError(code, `the program that was to do this has ended: ${why}`));
    }
  }

  #hear(line: string): void {
    const [id = '', code = '', ...said] = line.split(' ');
    const waiting = this.#waiting.get(Number(id));
    const text = said.join(' ').replaceAll(RECORD, '\n').trim();
    if (code === '0') waiting?.resolve(text);
    else waiting?.reject(new SwarmError('internal', `exit code ${code}: ${text}`));
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
