/**
 * Named volumes of this machine. `volumes/NAME/volume.json` says what it is, `_data` beside it holds
 * what the driver `local` keeps; with options it is what mount(8) makes of them, for as long as a
 * container uses it. Volumes of plugins are the plugins'; we only remember that they exist.
 *
 * A volume comes and goes by one rename: what dies in the middle leaves a folder whose name begins with a
 * dot, which `recover` removes. A volume whose file cannot be read is left exactly as it is, and every use of it says so: taken
 * for another kind of volume, it would hide what is on its file server.
 */
import { lookup } from 'node:dns/promises';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { errorMessage, SwarmError, type Clock, type Logger } from '@swarmd/base';
import { run } from '@swarmd/base/system';
import { z } from 'zod';

import { KeyedLock } from '../container/keyed-lock.ts';
import { copyUp } from '../container/copy-up.ts';
import { isMounted, unmountUnseen } from '../files/unmount.ts';
import { errnoOf, readIfExists, writeAtomically } from '../files/atomic-file.ts';
import type { IdMapping } from '../userns/id-mapping.ts';
import type { VolumeInfo, VolumeRequest } from '../types.ts';
import { VOLUME_ANSWER_TIMEOUT_MS } from '../limits.ts';
import { VolumePlugin } from './plugin.ts';

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;
const FILE = 'volume.json';
const LOCAL = 'local';
const LOCAL_OPTIONS = ['type', 'device', 'o'];

/** What earlier versions did not write has its default; without a driver nobody knows where its content is. */
const volumeFile = z.object({
  driver: z.string(),
  options: z.record(z.string(), z.string()).default({}),
  labels: z.record(z.string(), z.string()).default({}),
  createdAt: z.number().default(0),
});
type VolumeFile = z.infer<typeof volumeFile>;

/** What is listed of a volume that nothing is known of. */
const DAMAGED: VolumeFile = { driver: 'damaged', options: {}, labels: {}, createdAt: 0 };

export interface VolumeStoreOptions {
  readonly stateDir: string;
  /** Folder of plugins' sockets. */
  readonly pluginsDir: string;
  readonly clock: Clock;
  readonly logger: Logger;
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
   * The folder of the volume for a container, made if need be. One of the driver local without options
   * gets what the image has at `content` if it is new, or empty and in nobody else's hands.
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
        if (await isMounted(data)) await checkAnswers(name, data);
        else {
          await mkdir(data, { recursive: true });
          await mountLocal(name, options, data);
        }
      } else if (await this.#isFresh(name, use.user)) {
        await copyUp(use.content, data, use.mapping);
      }
      return data;
    });
  }

  /** Whether it may be replaced: who has it mounted would go on with what was there. */
  async #isFresh(name: string, user: string): Promise<boolean> {
    const data = join(this.#root, name, '_data');
    if (!(await exists(data))) return true;
    return !this.#options.used(user).has(name) && (await readdir(data)).length === 0;
  }

  /** Takes away what an earlier life left half made, and mounts that no container uses any more. */
  async recover(): Promise<void> {
    const used = this.#options.used();
    for (const name of await this.#names()) {
      // One volume must not keep the others, nor all containers, from being taken over.
      await this.#recover(name, used.has(name)).catch((error: unknown) => {
        const { logger } = this.#options;
        logger.error({ volume: name, error: errorMessage(error) }, 'a volume cannot be used');
      });
    }
  }

  async #recover(name: string, isUsed: boolean): Promise<void> {
    const folder = join(this.#root, name);
    const data = join(folder, '_data');
    const volume = name.startsWith('.') ? undefined : await this.#read(name);
    if (volume === undefined) {
      await unmountUnseen(data);
      await rm(folder, { recursive: true, force: true });
      return;
    }
    await rm(`${data}.tmp`, { recursive: true, force: true });
    const isOurMount = volume.driver === LOCAL && Object.keys(volume.options).length > 0;
    if (isOurMount && !isUsed) await unmountUnseen(data);
  }

  /**
   * To be called when the processes of the container `user` are gone.
   * @throws what kept the first one that could not be; the others are.
   */
  async release(names: readonly string[], user: string): Promise<void> {
    const releases = [...new Set(names)].map((name) =>
      this.#locks.run(name, () => this.#release(name, user)),
    );
    const failed = (await Promise.allSettled(releases)).find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
  }

  async #release(name: string, user: string): Promise<void> {
    const volume = await this.#read(name);
    if (volume === undefined) return;
    if (volume.driver !== LOCAL) await this.#plugin(volume.driver).unmount(name, user);
    else if (!this.#options.used(user).has(name))
      await unmountUnseen(join(this.#root, name, '_data'));
  }

  async list(): Promise<readonly VolumeInfo[]> {
    const names = await this.#names();
    const found = await Promise.all(
      names
        .filter((name) => !name.startsWith('.'))
        .toSorted((a, b) => (a < b ? -1 : 1))
        .map(async (name) => {
          const volume = await this.#read(name).catch(() => DAMAGED);
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
      await unmountUnseen(join(this.#root, name, '_data'));
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

  /**
   * Undefined when there is none; one without a file is of a time when there were none.
   * @throws SwarmError `data-loss` saying what to do with a file that cannot be read.
   */
  async #read(name: string): Promise<VolumeFile | undefined> {
    const path = this.#path(name);
    const bytes = await readIfExists(path);
    if (bytes !== undefined) {
      const parsed = volumeFile.safeParse(json(bytes));
      if (parsed.success) return parsed.data;
      throw new SwarmError(
        'data-loss',
        `volume ${name} cannot be used: ${path} is damaged, or of another version. Write what the volume was made with into it, ` +
          `{"driver":"local","options":{},"labels":{}}, or remove its folder if you know that nothing in it is needed`,
      );
    }
    if (!(await exists(join(this.#root, name, '_data')))) return undefined;
    return { driver: LOCAL, options: {}, labels: {}, createdAt: 0 };
  }

  #plugin(driver: string): VolumePlugin {
    const { pluginsDir, clock } = this.#options;
    return new VolumePlugin(driver, { folder: pluginsDir, clock });
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
  try {
    const byKernel = type.startsWith('nfs') ? await nfsOptions(o) : undefined;
    const said = byKernel ?? o;
    const args = [
      // As Docker, whose users write "device=:/path": mount.nfs would not take that.
      ...(byKernel === undefined ? [] : ['--internal-only']),
      ...(type === '' ? [] : ['-t', type]),
      ...(said === '' ? [] : ['-o', said]),
    ];
    await run('mount', [...args, '--', device || type, target], { timeoutMs: 60_000 });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SwarmError('failed-precondition', `volume ${name} cannot be mounted: ${why}`, {
      cause,
    });
  }
}

/** With the server's address, which the kernel wants as a number; undefined where none is said. */
async function nfsOptions(o: string): Promise<string | undefined> {
  const host = /(?:^|,)addr=([^,]+)/.exec(o)?.[1];
  if (host === undefined) return undefined;
  const { address } = await lookup(host);
  return o.replace(`addr=${host}`, `addr=${address}`);
}

/**
 * Who merely looks at a mount whose server is away waits for it, and there are few threads to wait with: a process does.
 * @throws SwarmError `unavailable`.
 */
async function checkAnswers(name: string, data: string): Promise<void> {
  try {
    await run('stat', ['--file-system', '--', data], { timeoutMs: VOLUME_ANSWER_TIMEOUT_MS });
  } catch (cause) {
    throw new SwarmError(
      'unavailable',
      `volume ${name} is mounted, but does not answer: is its server there? ${errorMessage(cause)}`,
      { cause },
    );
  }
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
