/** From a request to a created container whose process waits to be started. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { SwarmError, type Clock } from '@swarmd/base';
import type { ContainerSpec } from '@swarmd/model';

import { makeInRoot, readInRoot } from '../files/in-root.ts';
import type { LocalImage } from '../image/store.ts';
import { capabilitySet, givableCapabilities } from '../oci/capabilities.ts';
import type { Cgroups } from '../oci/cgroup.ts';
import { createContainer, type MonitoredProcess } from '../oci/monitor.ts';
import { checkProgram, type Runtime } from '../oci/runtime.ts';
import type { SeccompCache } from '../oci/seccomp-cache.ts';
import { customSeccomp, seccompProfile, type SeccompProfile } from '../oci/seccomp.ts';
import { ociSpec, STDIN_ANNOTATION, type OciMount, type SpecInput } from '../oci/spec.ts';
import type { ContainerRequest } from '../types.ts';
import { deviceEdits } from './devices.ts';
import { fileMounts, networkFileMounts, rootPropagation, specMounts } from './mounts.ts';
import type { ContainerPaths } from './paths.ts';
import { environment, INIT_PATH, processArguments, rlimits } from './process.ts';
import { makeRoot, type LayerStore } from './rootfs.ts';
import { resolveUser } from './user.ts';
import type { VolumeStore } from '../volume/volume-store.ts';

export interface PrepareContext extends LayerStore {
  readonly runtime: Runtime;
  readonly cgroups: Cgroups;
  readonly seccomp: SeccompCache;
  readonly volumes: VolumeStore;
  readonly conmonPath: string;
  readonly initPath: string;
  readonly clock: Clock;
}

/**
 * Leaves what it made to `tearDown` when it fails.
 * @throws SwarmError naming what of the request cannot be had.
 */
export async function createFromRequest(
  wanted: Wanted,
  context: PrepareContext,
  signal: AbortSignal,
): Promise<MonitoredProcess> {
  const { request, image, paths } = wanted;
  const { spec, id } = request;
  const { runtime, cgroups, seccomp, clock, conmonPath } = context;
  const givable = givableCapabilities(await readFile('/proc/self/status', 'latin1'));
  const add = spec.privileged ? ['ALL'] : spec.capabilityAdd;
  const capabilities = capabilitySet(add, spec.capabilityDrop, givable);
  const profile = wantedSeccomp(spec, capabilities);
  const seccompBpf = profile === undefined ? '' : await seccomp.find(profile, runtime);
  for (const folder of [paths.persist, paths.logDir])
    await mkdir(folder, { recursive: true, mode: 0o700 });
  const edits = await deviceEdits(spec.devices);
  const argv = processArguments(spec, image.config);
  await makeRoot(paths, context, image.layers);
  const config = ociSpec({
    ...fromSpec(spec),
    ...(await processOf(wanted, edits.env)),
    argv,
    hostname: request.hostname,
    rootfs: paths.merged,
    mounts: [...(await allMounts(wanted, context)), ...edits.mounts],
    devices: edits.devices,
    capabilities,
    seccomp: profile,
    seccompBpf,
    networkNamespace: request.networkNamespace,
    cgroupPath: cgroups.pathOf(id),
    limits: request.limits,
    ...cgroups.abilities,
  });
  await writeFile(join(paths.bundle, 'config.json'), JSON.stringify(config), { mode: 0o600 });
  signal.throwIfAborted();
  const { tty, stdin } = spec;
  const created = await createContainer(
    { id, paths, tty, stdin, isLogged: wanted.isLogged, runtime, conmonPath, clock },
    signal,
  );
  if (profile !== undefined && seccompBpf === '') await seccomp.learn(profile, id, runtime);
  return created;
}

interface Wanted {
  readonly request: ContainerRequest;
  readonly image: LocalImage;
  readonly paths: ContainerPaths;
  readonly isLogged: boolean;
}

/** What the spec alone decides. */
function fromSpec(spec: ContainerSpec) {
  return {
    tty: spec.tty,
    readOnly: spec.readOnly,
    sysctls: spec.sysctls,
    annotations: spec.stdin ? { [STDIN_ANNOTATION]: 'true' } : {},
    privileged: spec.privileged,
    noNewPrivileges: spec.noNewPrivileges,
    rlimits: rlimits(spec.ulimits),
    shmBytes: spec.shmSizeBytes || SHM_DEFAULT_BYTES,
    oomScoreAdj: spec.oomScoreAdj,
    rootPropagation: rootPropagation(spec.mounts),
  } as const;
}

/** Who runs it, where and with which environment, by the files of the mounted image. */
async function processOf(
  { request, image, paths }: Wanted,
  more: readonly string[],
): Promise<Pick<SpecInput, 'env' | 'cwd' | 'user'>> {
  const { spec, hostname } = request;
  const accounts = {
    passwd: await readInRoot(paths.merged, '/etc/passwd'),
    group: await readInRoot(paths.merged, '/etc/group'),
  };
  const user = resolveUser(spec.user || image.config.user, accounts, spec.groups);
  const cwd = spec.dir || image.config.workingDir || '/';
  await makeInRoot(paths.merged, cwd);
  const { uid, gid, additionalGids, home } = user;
  const env = [...environment(spec, image.config, { hostname, home }), ...more];
  return { env, cwd, user: { uid, gid, additionalGids } };
}

const SHM_DEFAULT_BYTES = 64 * 1024 * 1024;

/** @throws SwarmError `invalid-argument` when a profile of the spec's own is none. */
function wantedSeccomp(
  spec: ContainerSpec,
  capabilities: readonly string[],
): SeccompProfile | undefined {
  if (spec.seccomp === 'unconfined' || (spec.privileged && spec.seccomp === '')) return undefined;
  return spec.seccomp === ''
    ? seccompProfile(capabilities, process.arch)
    : customSeccomp(spec.seccomp);
}

async function allMounts(wanted: Wanted, context: PrepareContext): Promise<readonly OciMount[]> {
  const { request, image, paths } = wanted;
  const { spec, files } = request;
  const mounts = [
    ...(await networkFileMounts(paths, request)),
    ...(await specMounts(
      paths,
      { id: request.id, mounts: spec.mounts, imageVolumes: image.config.volumes },
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
