/** Puts the executor together and finds out what this machine offers. */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { errorMessage, Scope, type Clock, type Logger, type Random } from '@swarmd/base';
import { systemRandom } from '@swarmd/base/system';

import { ExitWatch } from './container/exit-watch.ts';
import type { LiveContainer } from './container/live.ts';
import { UserFiles } from './container/user-files.ts';
import { Mounter } from './files/mounter.ts';
import { hasOverlay } from './container/plain-root.ts';
import type { UsernsOptions } from './container/prepare.ts';
import type { StorageDriver } from './container/rootfs.ts';
import type { CleanUpPolicy } from './image/clean-up.ts';
import { Housekeeper } from './image/housekeeper.ts';
import { ImageService } from './image/image-service.ts';
import { LayerFetcher } from './image/layer-fetcher.ts';
import { ImageTransfer } from './image/image-transfer.ts';
import { Puller } from './image/puller.ts';
import { ImageStore } from './image/store.ts';
import { Cgroups } from './oci/cgroup.ts';
import { LogShippers, shipperEntry } from './logs/shipper/log-shippers.ts';
import { OciExecutor, type LogDefaults } from './oci-executor.ts';
import { bootId } from './oci/proc.ts';
import { checkProgram, Runtimes } from './oci/runtime.ts';
import { SeccompCache } from './oci/seccomp-cache.ts';
import type { Registries } from './registry/endpoint.ts';
import type { Executor } from './types.ts';
import { VolumeStore } from './volume/volume-store.ts';
import { Unpacker } from './unpack/unpacker.ts';

export interface ExecutorOptions {
  /** Survives a boot: images, roots, volumes, logs, records. Not itself on an overlayfs. */
  readonly stateDir: string;
  /** Best on a tmpfs: bundles, exit files, the runtime's state. */
  readonly runDir: string;
  /** Absolute within the cgroup hierarchies, e.g. "/swarmd"; one executor each. */
  readonly cgroupParent: string;
  /** Undefined: overlayfs if it works here, else plain copies. */
  readonly storageDriver?: StorageDriver | undefined;
  /** Of remapped containers; undefined: those of the user "swarmd", for services that ask for it. */
  readonly userns?: UsernsOptions | undefined;
  /** Which images go by themselves; undefined: none. */
  readonly imageCleanUp?: CleanUpPolicy | undefined;
  /** How registries are reached. */
  readonly registries: Registries;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random?: Random;
  readonly runtimePath?: string;
  /** Path of each further runtime, by the name that specs ask for it with. */
  readonly runtimes?: Readonly<Record<string, string>>;
  readonly conmonPath?: string;
  /** Folder of volume plugins' sockets. */
  readonly pluginsDir?: string;
  /** Static init program for containers that ask for one. */
  readonly initPath?: string;
  /** How containers that say nothing of it are logged; undefined: `local` with its own defaults. */
  readonly logDefaults?: LogDefaults | undefined;
  /** File of the unpacking process (`src/unpack/main.ts`), for when this code is bundled. */
  readonly unpackEntry?: string;
}

/** The build rewrites exactly this literal to the bundle's name (scripts/build.ts). */
const DEFAULT_UNPACK_ENTRY = './unpack/main.ts';
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/**
 * Call `restore` next. Disposing the executor leaves its containers running.
 * @throws SwarmError `failed-precondition` saying what this machine lacks.
 */
export async function createExecutor(
  options: ExecutorOptions,
): Promise<Executor & AsyncDisposable> {
  const { clock, logger } = options;
  const folders = { stateDir: resolve(options.stateDir), runDir: resolve(options.runDir) };
  const runtimeRoot = join(folders.runDir, 'runtime');
  const exitsDir = join(folders.runDir, 'exits');
  const conmonPath = options.conmonPath ?? '/usr/bin/conmon';
  const named = Object.keys(options.runtimes ?? {}).map((name) => `${runtimeRoot}-${name}`);
  const bundles = join(folders.runDir, 'b');
  for (const folder of [folders.runDir, runtimeRoot, exitsDir, bundles, ...named])
    await mkdir(folder, { recursive: true, mode: 0o700 });
  await checkProgram(conmonPath, 'install the Debian package conmon');
  const pluginsDir = options.pluginsDir ?? '/run/docker/plugins';
  const runtimes = await Runtimes.detect(
    { standard: options.runtimePath ?? '/usr/bin/crun', named: options.runtimes ?? {} },
    runtimeRoot,
  );
  const cgroups = await Cgroups.detect(options.cgroupParent);
  const scope = new Scope((name, error) => {
    logger.error(
      { work: name, error: errorMessage(error) },
      'background work of the executor failed',
    );
  });
  const mounter = scope.own(new Mounter(clock));
  await pinRuntimes(runtimes, { folder: join(folders.runDir, 'bin'), mounter, scope, logger });
  const boot = bootId();
  const containers = new Map<string, LiveContainer>();
  const { store, puller, images } = await openImages(options, {
    stateDir: folders.stateDir,
    bootId: boot,
    scope,
    containers,
  });
  return new OciExecutor({
    folders,
    bootId: boot,
    store,
    puller,
    images,
    containers,
    exits: new ExitWatch({ exitsDir, containers, cgroups, clock, logger }),
    scope,
    shippers: scope.own(new LogShippers({ entry: shipperEntry(), clock, logger })),
    logDefaults: options.logDefaults ?? { driver: 'local', options: {} },
    runtimes,
    cgroups,
    mounter,
    seccomp: new SeccompCache(folders.runDir),
    pluginsDir,
    volumes: new VolumeStore({
      stateDir: folders.stateDir,
      pluginsDir,
      clock,
      logger,
      used: (but) => usedVolumes(containers, but),
    }),
    layersDir: store.layersDir,
    storage: await storageDriver(options, folders.stateDir),
    opaqueIn: (layer) => store.opaqueIn(layer),
    conmonPath,
    userFiles: new UserFiles(),
    userns: options.userns ?? { user: 'swarmd', byDefault: false },
    initPath: options.initPath ?? '/usr/bin/tini-static',
    clock,
    logger,
  });
}

/** It only saves time. */
async function pinRuntimes(
  runtimes: Runtimes,
  machine: { folder: string; mounter: Mounter; scope: Scope; logger: Logger },
): Promise<void> {
  const { folder, mounter, scope, logger } = machine;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const runtime of runtimes.all.filter(({ isCrun }) => isCrun)) {
    try {
      scope.defer(await runtime.pin(folder, mounter));
    } catch (error) {
      const { path } = runtime;
      logger.warn({ path, error: errorMessage(error) }, 'the runtime is not mounted read-only');
    }
  }
}

async function storageDriver(options: ExecutorOptions, stateDir: string): Promise<StorageDriver> {
  if (options.storageDriver !== undefined) return options.storageDriver;
  if (await hasOverlay(stateDir)) return 'overlay';
  options.logger.warn(
    { stateDir },
    'overlayfs does not work here: every container gets a copy of its image (vfs), which takes time and disk',
  );
  return 'vfs';
}

/** What this machine has of images, and how it gets more. */
async function openImages(
  options: ExecutorOptions,
  machine: {
    readonly stateDir: string;
    readonly bootId: string;
    readonly scope: Scope;
    readonly containers: ReadonlyMap<string, LiveContainer>;
  },
): Promise<{ store: ImageStore; puller: Puller; images: ImageService }> {
  const { clock, logger, registries, random = systemRandom } = options;
  const { scope, containers } = machine;
  const store = await ImageStore.open({ ...machine, clock, logger });
  const unpackEntry =
    options.unpackEntry ?? fileURLToPath(new URL(DEFAULT_UNPACK_ENTRY, import.meta.url));
  const unpacker = scope.own(new Unpacker(unpackEntry, clock));
  const architecture = ARCHITECTURES[process.arch] ?? process.arch;
  const platform = { os: 'linux', architecture };
  const common = { clock, logger, store, unpacker, random };
  const layers = new LayerFetcher(common);
  const puller = new Puller({ ...common, layers, registries, platform });
  const used = () => usedImages(containers);
  const transfer = new ImageTransfer({ store, layers, registries, platform, clock });
  const images = new ImageService({ store, clock, puller, transfer, used });
  const policy = options.imageCleanUp;
  if (policy !== undefined) {
    const housekeeper = new Housekeeper({ store, images, policy, clock, logger });
    scope.spawn('cleaning up images', (signal) => housekeeper.run(signal));
  }
  return { store, puller, images };
}

function usedVolumes(containers: ReadonlyMap<string, LiveContainer>, but?: string): Set<string> {
  const others = [...containers.values()].filter(({ id }) => id !== but);
  return new Set(others.flatMap(({ record }) => record.volumes ?? []));
}

/** Also of containers that have ended: their logs and files are still looked at. */
function usedImages(containers: ReadonlyMap<string, LiveContainer>): {
  references: ReadonlySet<string>;
  layers: ReadonlySet<string>;
} {
  const records = [...containers.values()].map(({ record }) => record);
  return {
    references: new Set(records.flatMap(({ reference }) => reference ?? [])),
    layers: new Set(records.flatMap(({ layers }) => layers ?? [])),
  };
}
