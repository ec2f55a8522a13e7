/**
 * Named volumes of this machine. `volumes/NAME/volume.json` says what it is, `_data` beside it holds
 * what the driver `local` keeps; with options it is what mount(8) makes of them, for as long as a
 * container uses it. Volumes of plugins are the plugins'; we only remember that they exist.
 *
 * A volume comes and goes by one rename: what dies in the middle leaves a folder whose name begins with a
 * dot, which `recover` removes.
 */
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { SwarmError, type Clock } from '@swarmd/base';
import { run } from '@swarmd/base/system';
import { z } from 'zod';

import { KeyedLock } from '../container/keyed-lock.ts';
import { copyUp } from '../container/copy-up.ts';
import { unmount } from '../files/unmount.ts';
import { errnoOf, readIfExists, writeAtomically } from '../files/atomic-file.ts';
import type { IdMapping } from '../userns/id-mapping.ts';
import type { VolumeInfo, VolumeRequest } from '../types.ts';
import { VolumePlugin } from './plugin.ts';

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;
const FILE = 'volume.json';
const LOCAL = 'local';
const LOCAL_OPTIONS = ['type', 'device', 'o'];

const volumeFile = z.object({
  driver: z.string(),
  options: z.record(z.string(), z.string()),
  labels: z.record(z.string(), z.string()),
  createdAt: z.number(),
});
type VolumeFile = z.infer<typeof volumeFile>;

export interface VolumeStoreOptions {
  readonly stateDir: string;
  /** Folder of plugins' sockets. */
  readonly pluginsDir: string;
  readonly clock: Clock;
  /** Names of volumes that containers of this machine use now; not counting the container `but`. */
  readonly used: (but?: string) => ReadonlySet<string>;
}

export class VolumeStore {
  readonly #root: string;
  readonly #options: VolumeStoreOptions;
  readonly #locks = new KeyedLock();

  constructor(options: VolumeStoreOptions) {
    this.#root = join(options.stateDir, 'volumes');
    this.#options = options;
  }

  /**
   * Makes the volume unless it is there.
   * @throws SwarmError `invalid-argument`; `already-exists` for another one of that name; `unavailable`.
   */
  create(request: VolumeRequest): Promise<VolumeInfo> {
    checkRequest(request);
    return this.#locks.run(request.name, async () => {
      const known = await this.#read(request.name);
      if (known === undefined) return this.#create(request);
      const driver = request.driver || LOCAL;
      if (known.driver !== driver) {
        throw new SwarmError(
          'already-exists',
          `volume ${request.name} is there already, of driver "${known.driver}" instead of "${driver}"`,
        );
      }
      return this.#info(request.name, known);
    });
  }

  /**
   * The folder of the volume for a container, made if need be. A new one of the driver local without
   * options gets what the image has at `content`.
   */
  async acquire(
    request: VolumeRequest,
    use: { user: string; content: string; mapping?: IdMapping | undefined },
  ): Promise<string> {
    const { name, options } = await this.create(request);
    return this.#locks.run(name, async () => {
      const volume = await this.#read(name);
      if (volume !== undefined && volume.driver !== LOCAL) {
        return this.#plugin(volume.driver).mount(name, use.user);
      }
      const data = join(this.#root, name, '_data');
      if (Object.keys(options).length > 0) {
        await mkdir(data, { recursive: true });
        if (!(await isMounted(data))) await mountLocal(name, options, data);
      } else if (!(await exists(data))) await copyUp(use.content, data, use.mapping);
      return data;
    });
  }

  /** Takes away what an earlier life left half made, and mounts that no container uses any more. */
  async recover(): Promise<void> {
    const used = this.#options.used();
    for (const name of await this.#names()) {
      const folder = join(this.#root, name);
      const data = join(folder, '_data');
      const volume = name.startsWith('.') ? undefined : await this.#read(name);
      if (volume === undefined) {
        await unmount(data);
        await rm(folder, { recursive: true, force: true });
        continue;
      }
      await rm(`${data}.tmp`, { recursive: true, force: true });
      const isOurMount = volume.driver === LOCAL && Object.keys(volume.options).length > 0;
      if (isOurMount && !used.has(name)) await unmount(data);
    }
  }

  /** To be called when the processes of the container `user` are gone. */
  async release(names: readonly string[], user: string): Promise<void> {
    for (const name of new Set(names)) {
      await this.#locks.run(name, async () => {
        const volume = await this.#read(name);
        if (volume === undefined) return;
        if (volume.driver !== LOCAL) await this.#plugin(volume.driver).unmount(name, user);
        else if (!this.#options.used(user).has(name))
          await unmount(join(this.#root, name, '_data'));
      });
    }
  }

  async list(): Promise<readonly VolumeInfo[]> {
    const names = await this.#names();
    const found = await Promise.all(
      names
        .filter((name) => !name.startsWith('.'))
        .toSorted((a, b) => (a < b ? -1 : 1))
        .map(async (name) => {
          const volume = await this.#read(name);
          return volume === undefined ? [] : [this.#info(name, volume)];
        }),
    );
    return found.flat();
  }

  /** @throws SwarmError `not-found`; `failed-precondition` while a container uses it. */
  remove(name: string): Promise<void> {
    return this.#locks.run(name, async () => {
      const volume = await this.#read(name);
      if (volume === undefined) throw new SwarmError('not-found', `there is no volume ${name}`);
      if (this.#options.used().has(name)) {
        throw new SwarmError('failed-precondition', `volume ${name} is in use by a container`);
      }
      if (volume.driver !== LOCAL) await this.#plugin(volume.driver).remove(name);
      // What is mounted there is not ours to delete.
      await unmount(join(this.#root, name, '_data'));
      const gone = join(this.#root, `.gone-${name}`);
      await rm(gone, { recursive: true, force: true });
      await rename(join(this.#root, name), gone);
      await rm(gone, { recursive: true, force: true });
    });
  }

  async #names(): Promise<readonly string[]> {
    return readdir(this.#root).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return [];
      throw error;
    });
  }

  async #create(request: VolumeRequest): Promise<VolumeInfo> {
    const { name, options, labels } = request;
    const driver = request.driver || LOCAL;
    if (driver !== LOCAL) await this.#plugin(driver).create(name, options);
    const createdAt = this.#options.clock.now();
    const volume = { driver, options: { ...options }, labels: { ...labels }, createdAt };
    const folder = join(this.#root, name);
    const beside = join(this.#root, `.new-${name}`);
    await rm(beside, { recursive: true, force: true });
    await mkdir(beside, { recursive: true, mode: 0o700 });
    // A volume that loses its options in a power loss would hide what is on the file server.
    await writeAtomically(join(beside, FILE), JSON.stringify(volume), { sync: true });
    await rm(folder, { recursive: true, force: true });
    await rename(beside, folder);
    return this.#info(name, volume);
  }

  #info(name: string, volume: VolumeFile): VolumeInfo {
    const mountpoint = volume.driver === LOCAL ? join(this.#root, name, '_data') : '';
    return { name, ...volume, mountpoint, used: this.#options.used().has(name) };
  }

  /** Undefined when there is none; one without a file is of a time when there were none. */
  async #read(name: string): Promise<VolumeFile | undefined> {
    const bytes = await readIfExists(this.#path(name));
    if (bytes !== undefined) {
      const parsed = volumeFile.safeParse(json(bytes));
      if (parsed.success) return parsed.data;
    }
    if (!(await exists(join(this.#root, name, '_data')))) return undefined;
    return { driver: LOCAL, options: {}, labels: {}, createdAt: 0 };
  }

  #plugin(driver: string): VolumePlugin {
    return new VolumePlugin(driver, this.#options.pluginsDir);
  }

  #path(name: string): string {
    return join(this.#root, name, FILE);
  }
}

function checkRequest({ name, driver, options }: VolumeRequest): void {
  if (!NAME.test(name)) {
    throw new SwarmError(
      'invalid-argument',
      `"${name}" is not a volume's name: letters, digits, "_", "." or "-"; a folder of the node is a mount of kind bind`,
    );
  }
  if (!/^[\w.-]*$/.test(driver)) {
    throw new SwarmError('invalid-argument', `"${driver}" is not the name of a volume driver`);
  }
  const unknown = Object.keys(options).find((key) => !LOCAL_OPTIONS.includes(key));
  if ((driver === '' || driver === LOCAL) && unknown !== undefined) {
    throw new SwarmError(
      'invalid-argument',
      `the volume driver local has no option "${unknown}", only ${LOCAL_OPTIONS.join(', ')}`,
    );
  }
}

/** As `mount -t TYPE -o O DEVICE`; "o=addr=HOST,..." is how Docker's users name an NFS server. */
async function mountLocal(
  name: string,
  options: Readonly<Record<string, string>>,
  target: string,
): Promise<void> {
  const { type = '', device = '', o = '' } = options;
  const args = [...(type === '' ? [] : ['-t', type]), ...(o === '' ? [] : ['-o', o])];
  try {
    await run('mount', [...args, '--', device || type, target], { timeoutMs: 60_000 });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SwarmError('failed-precondition', `volume ${name} cannot be mounted: ${why}`, {
      cause,
    });
  }
}

async function isMounted(path: string): Promise<boolean> {
  return (await stat(path)).dev !== (await stat(join(path, '..'))).dev;
}

function json(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}
