/**
 * The OCI runtime as a command. Containers are created through the monitor (`monitor.ts`); what is
 * here is starting and deleting them.
 */
import { closeSync, constants, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { SwarmError } from '@swarmd/base';
import { run } from '@swarmd/base/system';

import { errnoOf, isNotFound } from '../files/atomic-file.ts';
import { removeNow, unlinkNow } from '../files/memory-file.ts';
import { hasOpen } from './proc.ts';

const FIFO = 'exec.fifo';

export class Runtime {
  readonly path: string;
  /** Global arguments of every call. */
  readonly arguments: readonly string[];
  readonly version: string;
  readonly #root: string;

  private constructor(path: string, root: string, version: string) {
    this.path = path;
    this.#root = root;
    this.arguments = [`--root=${root}`];
    this.version = version;
  }

  /** @throws SwarmError `failed-precondition` when the program is not there. */
  static async detect(path: string, root: string): Promise<Runtime> {
    await checkProgram(path, 'install its Debian package, e.g. crun');
    const { stdout } = await run(path, ['--version']);
    return new Runtime(path, root, stdout.split('\n').slice(0, 2).join(' ').trim());
  }

  get isCrun(): boolean {
    return basename(this.path).startsWith('crun');
  }

  /**
   * Lets a created container go. crun's own `start` writes one byte into a fifo that the container's
   * process waits at; doing that here takes 0.1 ms instead of 5. The fifo is removed after the write,
   * so that a crash in between leaves a container that runs and says so (`isWaiting`).
   */
  async start(id: string): Promise<void> {
    if (this.isCrun && this.#startByFifo(id)) return;
    await run(this.path, [...this.arguments, 'start', id]);
  }

  /** Whether a created container still waits for `start`. Opening the fifo to look would let it go. */
  isWaiting(pid: number): boolean {
    return hasOpen(pid, FIFO);
  }

  /** Kills what is left of the container and removes the runtime's state and cgroup. */
  async delete(id: string): Promise<void> {
    if (!this.list().includes(id)) return;
    await run(this.path, [...this.arguments, 'delete', '--force', id]);
  }

  /** Removes the runtime's state of a container without processes; its cgroup is not touched. */
  forget(id: string): void {
    removeNow(join(this.#root, id));
  }

  /** Ids the runtime has state of. */
  list(): readonly string[] {
    try {
      return readdirSync(this.#root);
    } catch (error) {
      if (isNotFound(error)) return [];
      throw error;
    }
  }

  /** The seccomp program crun compiled for the container, base64; empty when it keeps none. */
  seccompBpf(id: string): string {
    try {
      return readFileSync(join(this.#root, id, 'seccomp.bpf')).toString('base64');
    } catch (error) {
      if (isNotFound(error)) return '';
      throw error;
    }
  }

  #startByFifo(id: string): boolean {
    try {
      const fifo = openSync(this.#fifo(id), constants.O_WRONLY | constants.O_NONBLOCK);
      try {
        writeSync(fifo, '0');
      } finally {
        closeSync(fifo);
      }
    } catch (error) {
      if (isNotFound(error) || errnoOf(error) === 'ENXIO') return false;
      // An earlier life died between opening it and writing, which has let it go just now as well.
      if (errnoOf(error) !== 'EPIPE') throw error;
    }
    unlinkNow(this.#fifo(id));
    return true;
  }

  #fifo(id: string): string {
    return join(this.#root, id, FIFO);
  }
}

/** The runtimes of this machine: a default one, and others by the name that specs may ask for. */
export class Runtimes {
  readonly default: Runtime;
  readonly #named: ReadonlyMap<string, Runtime>;

  private constructor(standard: Runtime, named: ReadonlyMap<string, Runtime>) {
    this.default = standard;
    this.#named = named;
  }

  /** @param root folder for their state; each has its own. */
  static async detect(
    paths: { readonly standard: string; readonly named: Readonly<Record<string, string>> },
    root: string,
  ): Promise<Runtimes> {
    const named = new Map<string, Runtime>();
    for (const [name, path] of Object.entries(paths.named)) {
      named.set(name, await Runtime.detect(path, `${root}-${name}`));
    }
    return new Runtimes(await Runtime.detect(paths.standard, root), named);
  }

  /** Of those that a container can ask for. */
  get names(): Iterable<string> {
    return this.#named.keys();
  }

  /** @throws SwarmError `failed-precondition` saying which there are. */
  of(name = ''): Runtime {
    const found = name === '' ? this.default : this.#named.get(name);
    if (found !== undefined) return found;
    const known = [...this.#named.keys()].join(', ') || 'none besides the default';
    throw new SwarmError(
      'failed-precondition',
      `this node has no runtime "${name}" (configured: ${known}); add it to "runtimes" in its swarmd.json`,
    );
  }

  /** The one that has state of the container, for containers whose record is lost. */
  holding(id: string): Runtime {
    const named = [...this.#named.values()];
    return named.find((runtime) => runtime.list().includes(id)) ?? this.default;
  }

  list(): readonly string[] {
    return [this.default, ...this.#named.values()].flatMap((runtime) => runtime.list());
  }
}

/** @throws SwarmError `failed-precondition` with `advice` when `path` cannot be run. */
export async function checkProgram(path: string, advice: string): Promise<void> {
  try {
    await access(path, constants.X_OK);
  } catch (cause) {
    throw new SwarmError('failed-precondition', `${path} cannot be run: ${advice}`, { cause });
  }
}
