/** From a request to a created container whose process waits to be started. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { SwarmError, type Clock } from '@swarmd/base';

import { makeInRoot, readInRoot } from '../files/in-root.ts';
import type { LocalImage } from '../image/store.ts';
import { capabilitySet } from '../oci/capabilities.ts';
import type { Cgroups } from '../oci/cgroup.ts';
import { createContainer, type MonitoredProcess } from '../oci/monitor.ts';
import { checkProgram, type Runtime } from '../oci/runtime.ts';
import type { SeccompCache } from '../oci/seccomp-cache.ts';
import { seccompProfile } from '../oci/seccomp.ts';
import { ociSpec, type OciMount } from '../oci/spec.ts';
import type { ContainerRequest } from '../types.ts';
import { fileMounts, networkFileMounts, specMounts } from './mounts.ts';
import type { ContainerPaths } from './paths.ts';
import { environment, INIT_PATH, processArguments } from './process.ts';
import { mountRoot } from './rootfs.ts';
import { resolveUser } from './user.ts';
import type { VolumeStore } from './volumes.ts';

export interface PrepareContext {
  readonly runtime: Runtime;
  readonly cgroups: Cgroups;
  readonly seccomp: SeccompCache;
  readonly volumes: VolumeStore;
  readonly layersDir: string;
  readonly conmonPath: string;
  readonly initPath: string;
  readonly clock: Clock;
}

/**
 * Leaves what it made to `tearDown` when it fails.
 * @throws SwarmError naming what of the request cannot be had.
 */
export async function createFromRequest(
  wanted: {
    readonly request: ContainerRequest;
    readonly image: LocalImage;
    readonly paths: ContainerPaths;
  },
  context: PrepareContext,
  signal: AbortSignal,
): Promise<MonitoredProcess> {
  const { request, image, paths } = wanted;
  const { spec } = request;
  const { runtime, cgroups, seccomp, clock, conmonPath } = context;
  const argv = processArguments(spec, image.config);
  const capabilities = capabilitySet(spec.capabilityAdd, spec.capabilityDrop);
  for (const folder of [paths.persist, paths.logDir])
    await mkdir(folder, { recursive: true, mode: 0o700 });
  await mountRoot(paths, { layersDir: context.layersDir, layers: image.layers });
  const user = resolveUser(spec.user || image.config.user, {
    passwd: await readInRoot(paths.merged, '/etc/passwd'),
    group: await readInRoot(paths.merged, '/etc/group'),
  });
  const cwd = spec.dir || image.config.workingDir || '/';
  await makeInRoot(paths.merged, cwd);
  const profile = seccompProfile(capabilities, process.arch);
  const seccompBpf = await seccomp.find(profile);
  const config = ociSpec({
    argv,
    env: environment(spec, image.config, { hostname: request.hostname, home: user.home }),
    cwd,
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    tty: spec.tty,
    hostname: request.hostname,
    rootfs: paths.merged,
    readOnly: spec.readOnly,
    mounts: await allMounts(wanted, context),
    capabilities,
    seccomp: profile,
    seccompBpf,
    networkNamespace: request.networkNamespace,
    cgroupPath: cgroups.pathOf(request.id),
    limits: request.limits,
    canLimitSwap: cgroups.canLimitSwap,
    sysctls: spec.sysctls,
    annotations: {},
  });
  await writeFile(join(paths.bundle, 'config.json'), JSON.stringify(config), { mode: 0o600 });
  signal.throwIfAborted();
  const created = await createContainer(
    { id: request.id, paths, tty: spec.tty, runtime, conmonPath, clock },
    signal,
  );
  if (seccompBpf === '') await seccomp.learn(profile, request.id);
  return created;
}

async function allMounts(
  wanted: {
    readonly request: ContainerRequest;
    readonly image: LocalImage;
    readonly paths: ContainerPaths;
  },
  context: PrepareContext,
): Promise<readonly OciMount[]> {
  const { request, image, paths } = wanted;
  const { spec, files } = request;
  const mounts = [
    ...(await networkFileMounts(paths, request)),
    ...(await specMounts(
      paths,
      { mounts: spec.mounts, imageVolumes: image.config.volumes },
      context.volumes,
    )),
    ...(await fileMounts(paths, files)),
  ];
  if (!spec.init) return mounts;
  await checkProgram(context.initPath, 'install the Debian package tini, or do without init');
  const options = ['bind', 'ro', 'nosuid', 'nodev', 'rprivate'];
  return [...mounts, { destination: INIT_PATH, type: 'bind', source: context.initPath, options }];
}

/** @throws SwarmError `failed-precondition`. */
export function requireImage(image: LocalImage | undefined, name: string): LocalImage {
  if (image !== undefined) return image;
  throw new SwarmError('failed-precondition', `image ${name} is not on this node; pull it first`);
}
