/**
 * mount(2) and umount2(2), which Node does not have. A run of mount(8) takes 3 ms of processor time, and forking
 * Node for it as much again; here a few lines of perl, which every Debian has, make one call after the other
 * in 0.1 ms each. They begin when something is asked of them, and end when nothing was for a while, or with us.
 *
 * A request is a line of percent-encoded words; so is the answer, which is empty or what the kernel had against it.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

import { SwarmError, withDeadline, type Clock, type Timer } from '@swarmd/base';

import { textNow } from './memory-file.ts';
import { MOUNT_TIMEOUT_MS, MOUNTER_IDLE_MS } from '../limits.ts';

export interface MountRequest {
  readonly type: string;
  readonly source: string;
  readonly target: string;
  /** Of mount(2); none unless said otherwise. */
  readonly flags?: number;
  readonly options: string;
  /** Folder that paths among the options are relative to. */
  readonly cwd?: string;
}

export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_REMOUNT = 32;
export const MS_BIND = 4096;

/** Numbers of mount(2) and umount2(2). */
const CALLS: Readonly<Record<string, readonly [number, number]>> = {
  x64: [165, 166],
  arm64: [40, 39],
};

/** MNT_DETACH; EINVAL: nothing is mounted there; ENOENT: there is no such place. */
const SERVE = `
  use strict; $| = 1; my ($mount, $umount) = @ARGV;
  while (my $line = <STDIN>) {
    chomp $line;
    my ($what, @w) = map { s/%(..)/chr hex $1/ger } split / /, $line, -1;
    my $ok = $what eq "umount"
      ? syscall($umount, $w[0], 2) == 0 || $! == 22 || $! == 2
      : chdir($w[5]) && syscall($mount, $w[0], $w[1], $w[2], $w[3] + 0, $w[4]) == 0;
    my $why = $ok ? "" : "$!"; chdir "/"; print "$why\\n";
  }`;

type Helper = ChildProcessByStdio<Writable, Readable, null>;

export class Mounter implements Disposable {
  readonly #clock: Clock;
  #helper: Helper | undefined;
  /** In the order in which they were asked. */
  #waiting: PromiseWithResolvers<string>[] = [];
  #idle: Timer | undefined;
  #isDisposed = false;
  #gone: Promise<void> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws SwarmError `failed-precondition` with the kernel's word; `unavailable`, `deadline-exceeded`. */
  async mount(request: MountRequest): Promise<void> {
    const { type, source, target, flags = 0, options, cwd = '/' } = request;
    const why = await this.#ask(['mount', source, target, type, String(flags), options, cwd]);
    if (why === '') return;
    throw new SwarmError(
      'failed-precondition',
      `${type} cannot be mounted at ${target} with the options ${options}: ${why} (dmesg may say more)`,
    );
  }

  /** If it is mounted; lazily, so that a reader of the mount cannot hold it up. */
  async unmount(target: string): Promise<void> {
    const why = await this.#ask(['umount', target]);
    if (why !== '') throw new SwarmError('internal', `${target} cannot be unmounted: ${why}`);
  }

  /** Everything that is mounted in the folder. */
  async unmountBelow(folder: string): Promise<void> {
    const mounted = textNow('/proc/self/mountinfo')
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '');
    for (const path of mounted) if (path.startsWith(`${folder}/`)) await this.unmount(path);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#idle?.cancel();
    this.#end();
  }

  async #ask(words: readonly string[]): Promise<string> {
    if (this.#isDisposed) throw new SwarmError('unavailable', 'the executor was stopped');
    this.#idle?.cancel();
    // One that was killed may be in the middle of a mount, which a later request must find done or not done.
    await this.#gone;
    const helper = (this.#helper ??= this.#start());
    const answer = Promise.withResolvers<string>();
    this.#waiting.push(answer);
    // It keeps our process alive only while it has something to answer.
    helper.ref();
    helper.stdin.write(`${words.map(encodeURIComponent).join(' ')}\n`);
    const what = `${words[0]} of ${words[words.length > 2 ? 2 : 1]}`;
    try {
      const options = { clock: this.#clock, timeoutMs: MOUNT_TIMEOUT_MS, what };
      return await withDeadline(options, () => answer.promise);
    } catch (error) {
      // Answers are told apart by their order alone.
      if (this.#helper === helper) this.#end();
      throw error;
    } finally {
      if (this.#waiting.length === 0) this.#rest();
    }
  }

  #start(): Helper {
    const calls = CALLS[process.arch];
    if (calls === undefined) {
      throw new SwarmError(
        'failed-precondition',
        `no containers on ${process.arch}, only on x64 and arm64`,
      );
    }
    const helper = spawn('/usr/bin/perl', ['-e', SERVE, ...calls.map(String)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { LC_ALL: 'C' },
      cwd: '/',
    });
    // Its end says so too.
    helper.stdin.on('error', () => undefined);
    createInterface(helper.stdout).on('line', (line) => {
      if (this.#helper === helper) this.#waiting.shift()?.resolve(line);
    });
    const lost = (why: string): void => {
      if (this.#helper !== helper) return;
      this.#end(why);
    };
    helper.on('error', (error) => lost(error.message));
    helper.on('exit', (code, signal) => lost(signal ?? `exit code ${code}`));
    return helper;
  }

  #end(why = 'it was stopped'): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const helper = this.#helper;
    this.#helper = undefined;
    helper?.ref();
    if (helper?.kill('SIGKILL') === true) {
      this.#gone = new Promise((resolve) => helper.once('exit', () => resolve()));
    }
    const error = new SwarmError('unavailable', `the program that mounts has ended: ${why}`);
    for (const { reject } of waiting) reject(error);
  }

  #rest(): void {
    this.#helper?.unref();
    // Two answers may come at once, and each be followed by a rest.
    this.#idle?.cancel();
    this.#idle = this.#clock.after(MOUNTER_IDLE_MS, () => this.#end(), { unref: true });
  }
}
