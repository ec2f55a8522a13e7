/**
 * The OCI runtime as a command. Containers are created through the monitor (`monitor.ts`); what is
 * here is starting and deleting them.
 */
import {
  closeSync,
  constants,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { access } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { SwarmError } from '@swarmd/base';
import { run } from '@swarmd/base/system';

import { errnoOf, isNotFound } from '../files/atomic-file.ts';
import { removeNow, unlinkNow, writeNow } from '../files/memory-file.ts';
import { MS_BIND, MS_RDONLY, MS_REMOUNT, type Mounter } from '../files/mounter.ts';
import { hasOpen } from './proc.ts';

const FIFO = 'exec.fifo';

export class Runtime {
  readonly #installed: string;
  /** Where it is mounted read-only, and which file that is. */
  #pinned: { readonly path: string; readonly file: string } | undefined;
  /** Global arguments of every call. */
  readonly arguments: readonly string[];
  readonly version: string;
  readonly #root: string;

  private constructor(path: string, root: string, version: string) {
    this.#installed = path;
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

  /** Of what is to be run. */
  get path(): string {
    const pinned = this.#pinned;
    // An upgrade of its package counts at once.
    return pinned?.file === fileAt(this.#installed) ? pinned.path : this.#installed;
  }

  /**
   * crun copies itself into memory and begins anew at each start, lest a container write to it (CVE-2019-5736), unless
   * it lies where nobody can: from a read-only mount it starts in half the time (2.5 instead of 5 ms).
   * @param folder on memory, for the mount.
   * @returns what takes the mount away.
   */
  async pin(folder: string, mounter: Mounter): Promise<() => Promise<void>> {
    const path = join(folder, basename(this.#root));
    // Of an earlier life.
    await mounter.unmount(path);
    writeNow(path, '');
    const mount = { type: 'none', source: this.#installed, target: path, options: '' };
    await mounter.mount({ ...mount, flags: MS_BIND });
    await mounter.mount({ ...mount, flags: MS_BIND | MS_REMOUNT | MS_RDONLY });
    this.#pinned = { path, file: fileAt(this.#installed) };
    return async () => {
      this.#pinned = undefined;
      await mounter.unmount(path);
    };
  }

  /** Of the program. */
  get name(): string {
    return basename(this.#installed);
  }

  get isCrun(): boolean {
    return this.name.startsWith('crun');
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

/** Says which file it is: another one has another number, or was written at another time. */
function fileAt(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? '' : `${stats.dev}:${stats.ino}:${stats.mtimeMs}`;
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

  /** Of those that a container can ask for: the default, too, which has its program's name. */
  get names(): readonly string[] {
    return [...new Set([this.default.name, ...this.#named.keys()])];
  }

  /** @throws SwarmError `failed-precondition` saying which there are. */
  of(name = ''): Runtime {
    const isDefault = name === '' || name === this.default.name;
    const found = this.#named.get(name) ?? (isDefault ? this.default : undefined);
    if (found !== undefined) return found;
    throw new SwarmError(
      'failed-precondition',
      `this node has no runtime "${name}" (it has: ${this.names.join(', ')}); add it to "runtimes" in its swarmd.json`,
    );
  }

  /** The one that has state of the container, for containers whose record is lost. */
  holding(id: string): Runtime {
    const named = [...this.#named.values()];
    return named.find((runtime) => runtime.list().includes(id)) ?? this.default;
  }

  get all(): readonly Runtime[] {
    return [this.default, ...this.#named.values()];
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
