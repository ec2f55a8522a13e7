/** A real swarmd process in folders of its own, and a client of its socket. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { connect, createLocalClient, type Call, type Local } from '@swarmd/api';

import { until } from '@swarmd/base/testing';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const CALL_TIMEOUT_MS = 30_000;

export class Swarmd implements AsyncDisposable {
  readonly folder: string;
  output = '';
  #process: ChildProcess | undefined;
  /** A test may start a second one beside the first. */
  readonly #all: ChildProcess[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<Swarmd> {
    return new Swarmd(await mkdtemp(join(tmpdir(), 'swarmd-')));
  }

  get stateDir(): string {
    return join(this.folder, 'state');
  }

  get socket(): string {
    return join(this.folder, 'run', 'swarmd.sock');
  }

  /** Starts it and waits until it answers. */
  async start(...flags: string[]): Promise<void> {
    this.spawn(...flags);
    await until('swarmd answers', async () => {
      if (this.#process?.exitCode !== null) throw new Error(`swarmd has ended: ${this.output}`);
      const info = await this.call((local, call) => local.info({}, call)).catch(() => undefined);
      return info?.state === 'pending' ? undefined : info; // Pending: it is still looking at its folder.
    });
  }

  spawn(...flags: string[]): void {
    const folders = ['--state-dir', this.stateDir, '--run-dir', join(this.folder, 'run')];
    const child = spawn(process.execPath, [MAIN, ...folders, ...flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (data: Buffer) => (this.output += data.toString()));
    }
    this.#process = child;
    this.#all.push(child);
  }

  async call<T>(fn: (local: Local, call: Call) => Promise<T>): Promise<T> {
    using channel = connect({ socketPath: this.socket });
    const signal = AbortSignal.timeout(CALL_TIMEOUT_MS);
    return await fn(createLocalClient(channel), { signal, timeoutMs: CALL_TIMEOUT_MS });
  }

  /** @returns the exit code. */
  async ended(): Promise<number | null> {
    const child = this.#process;
    if (child?.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return child?.exitCode ?? null;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.#process?.kill(signal);
    return this.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#all) child.kill('SIGKILL');
    await this.ended();
    await rm(this.folder, { recursive: true, force: true });
  }
}
