/** Puts the executor together and finds out what this machine offers. */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { errorMessage, Scope, type Clock, type Logger, type Random } from '@swarmd/base';
import { systemRandom } from '@swarmd/base/system';

import { ExitWatch } from './container/exit-watch.ts';
import type { LiveContainer } from './container/live.ts';
import { VolumeStore } from './container/volumes.ts';
import { Puller } from './image/puller.ts';
import { ImageStore } from './image/store.ts';
import { Cgroups } from './oci/cgroup.ts';
import { OciExecutor } from './oci-executor.ts';
import { bootId } from './oci/proc.ts';
import { checkProgram, Runtime } from './oci/runtime.ts';
import { SeccompCache } from './oci/seccomp-cache.ts';
import type { Executor } from './types.ts';
import { Unpacker } from './unpack/unpacker.ts';

export interface ExecutorOptions {
  /** Survives a boot: images, roots, volumes, logs, records. Not itself on an overlayfs. */
  readonly stateDir: string;
  /** Best on a tmpfs: bundles, exit files, the runtime's state. */
  readonly runDir: string;
  /** Absolute within the cgroup hierarchies, e.g. "/swarmd"; one executor each. */
  readonly cgroupParent: string;
  /** host[:port] of registries that speak plain HTTP. Loopback addresses always may. */
  readonly insecureRegistries: readonly string[];
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random?: Random;
  readonly runtimePath?: string;
  readonly conmonPath?: string;
  /** Static init program for containers that ask for one. */
  readonly initPath?: string;
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
  for (const folder of [folders.runDir, runtimeRoot, exitsDir, join(folders.runDir, 'b')]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  }
  await checkProgram(conmonPath, 'install the Debian package conmon');
  const runtime = await Runtime.detect(options.runtimePath ?? '/usr/bin/crun', runtimeRoot);
  const cgroups = await Cgroups.detect(options.cgroupParent);
  const scope = new Scope((name, error) => {
    logger.error(
      { work: name, error: errorMessage(error) },
      'background work of the executor failed',
    );
  });
  const boot = await bootId();
  const store = await ImageStore.open({ stateDir: folders.stateDir, bootId: boot, logger, scope });
  const unpackEntry =
    options.unpackEntry ?? fileURLToPath(new URL(DEFAULT_UNPACK_ENTRY, import.meta.url));
  const unpacker = scope.own(new Unpacker(unpackEntry, clock));
  const containers = new Map<string, LiveContainer>();
  return new OciExecutor({
    folders,
    bootId: boot,
    store,
    puller: new Puller({
      clock,
      logger,
      store,
      unpacker,
      insecureRegistries: options.insecureRegistries,
      random: options.random ?? systemRandom,
      platform: { os: 'linux', architecture: ARCHITECTURES[process.arch] ?? process.arch },
    }),
    containers,
    exits: new ExitWatch({ exitsDir, containers, cgroups, clock, logger }),
    scope,
    runtime,
    cgroups,
    seccomp: new SeccompCache(folders.runDir, runtime),
    volumes: new VolumeStore(folders.stateDir),
    layersDir: store.layersDir,
    conmonPath,
    initPath: options.initPath ?? '/usr/bin/tini-static',
    clock,
    logger,
  });
}
