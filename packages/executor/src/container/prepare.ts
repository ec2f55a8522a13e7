/** From a request to a created container whose process waits to be started. */
import { mkdirSync } from 'node:fs';
import { chmod, chown, mkdir, stat } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';

import { SwarmError, type Clock } from '@swarmd/base';
import type { ContainerSpec } from '@swarmd/model';

import { makeInRoot } from '../files/in-root.ts';
import { textNow, writeNow } from '../files/memory-file.ts';
import type { Mounter } from '../files/mounter.ts';
import type { LocalImage } from '../image/store.ts';
import { capabilitySet, givableCapabilities } from '../oci/capabilities.ts';
import type { Cgroups } from '../oci/cgroup.ts';
import { createContainer, type MonitoredProcess } from '../oci/monitor.ts';
import { checkProgram, type Runtime } from '../oci/runtime.ts';
import type { SeccompCache } from '../oci/seccomp-cache.ts';
import { customSeccomp } from '../oci/custom-seccomp.ts';
import { seccompProfile, type SeccompProfile } from '../oci/seccomp.ts';
import { ociSpec, STDIN_ANNOTATION, type OciMount, type SpecInput } from '../oci/spec.ts';
import type { ContainerRequest } from '../types.ts';
import { deviceEdits } from './devices.ts';
import { limitFurther } from './limits.ts';
import { fileMounts, inOrder, networkFileMounts, rootPropagation, specMounts } from './mounts.ts';
import { isOfNetwork, setNetworkSysctls } from './network-sysctls.ts';
import type { ContainerPaths } from './paths.ts';
import { environment, INIT_PATH, processArguments, rlimits } from './process.ts';
import { makeRoot, type LayerStore } from './rootfs.ts';
import type { UserFiles } from './user-files.ts';
import { resolveUser } from './user.ts';
import { idMapping, type IdMapping } from '../userns/id-mapping.ts';
import type { VolumeStore } from '../volume/volume-store.ts';

export interface PrepareContext extends LayerStore {
  readonly runtime: Runtime;
  readonly cgroups: Cgroups;
  readonly seccomp: SeccompCache;
  readonly volumes: VolumeStore;
  readonly mounter: Mounter;
  readonly conmonPath: string;
  readonly initPath: string;
  readonly clock: Clock;
  readonly userns: UsernsOptions;
  readonly userFiles: UserFiles;
}

export interface UsernsOptions {
  /** Whose ids of /etc/subuid and /etc/subgid remapped containers get. */
  readonly user: string;
  /** Containers whose service does not say are remapped. */
  readonly byDefault: boolean;
  /** Of subuid and subgid; undefined: /etc. */
  readonly folder?: string;
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
  const givable = givableCapabilities(textNow('/proc/self/status'));
  const add = spec.privileged ? ['ALL'] : spec.capabilityAdd;
  const capabilities = capabilitySet(add, spec.capabilityDrop, givable);
  const profile = wantedSeccomp(spec, capabilities);
  const seccompBpf = profile === undefined ? '' : await seccomp.find(profile, runtime);
  mkdirSync(paths.persist, { recursive: true, mode: 0o700 });
  await mkdir(paths.logDir, { recursive: true, mode: 0o700 });
  const edits = await deviceEdits(spec.devices);
  const argv = processArguments(spec, image.config);
  const mapping = await mappingFor(spec, context);
  if (mapping !== undefined) await letThrough(paths, mapping);
  await makeRoot(paths, context, { layers: image.layers, mapping });
  const config = ociSpec({
    ...fromSpec(spec),
    sysctls: await sysctlsFor(request, mapping, signal),
    ...(await processOf(wanted, { env: edits.env, mapping, userFiles: context.userFiles })),
    argv,
    hostname: request.hostname,
    rootfs: paths.merged,
    mounts: [...(await allMounts(wanted, { ...context, mapping })), ...edits.mounts],
    mapping,
    devices: edits.devices,
    capabilities,
    seccomp: profile,
    seccompBpf,
    networkNamespace: request.networkNamespace,
    cgroupPath: cgroups.pathOf(id),
    limits: request.limits,
    ...cgroups.abilities,
  });
  writeNow(join(paths.bundle, 'config.json'), JSON.stringify(config));
  signal.throwIfAborted();
  const { tty, stdin } = spec;
  const created = await createContainer(
    { id, paths, tty, stdin, isLogged: wanted.isLogged, runtime, conmonPath, clock },
    signal,
  );
  await limitFurther(id, request.limits, cgroups);
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
  context: {
    readonly env: readonly string[];
    readonly mapping: IdMapping | undefined;
    readonly userFiles: UserFiles;
  },
): Promise<Pick<SpecInput, 'env' | 'cwd' | 'user'>> {
  const { spec, hostname } = request;
  const { env: more, mapping, userFiles } = context;
  const cwd = spec.dir || image.config.workingDir || '/';
  const texts = await userFiles.of(image.config, paths.merged);
  const folder = await makeInRoot(paths.merged, cwd);
  const user = resolveUser(spec.user || image.config.user, texts, spec.groups);
  if (mapping !== undefined && (await stat(folder)).uid === 0)
    await chown(folder, mapping.uid.first, mapping.gid.first);
  const { uid, gid, additionalGids, home } = user;
  const env = [...environment(spec, image.config, { hostname, home }), ...more];
  return { env, cwd, user: { uid, gid, additionalGids } };
}

/** @throws SwarmError `failed-precondition` when the node has no ids for it, `invalid-argument`. */
async function mappingFor(
  { userns, privileged }: ContainerSpec,
  { userns: options }: PrepareContext,
): Promise<IdMapping | undefined> {
  const isWanted = userns === 'remap' || (userns === '' && options.byDefault && !privileged);
  if (!isWanted) return undefined;
  if (privileged) {
    throw new SwarmError(
      'invalid-argument',
      'a privileged container is root of the machine, which --userns remap takes away: choose one',
    );
  }
  return idMapping(options.user, options.folder);
}

/** Sets those that the runtime cannot. @returns the others. */
async function sysctlsFor(
  { spec, networkNamespace }: ContainerRequest,
  mapping: IdMapping | undefined,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  if (mapping === undefined) return spec.sysctls;
  const named = Map.groupBy(Object.entries(spec.sysctls), ([name]) => isOfNetwork(name));
  await setNetworkSysctls(networkNamespace, Object.fromEntries(named.get(true) ?? []), signal);
  return Object.fromEntries(named.get(false) ?? []);
}

/** The runtime looks for the root, and for what is bound, as the container's root. */
async function letThrough(paths: ContainerPaths, { gid }: IdMapping): Promise<void> {
  for (const folder of paths.through) {
    await chown(folder, 0, gid.first);
    await chmod(folder, 0o710);
  }
}

const SHM_DEFAULT_BYTES = 64 * 1024 * 1024;

/** @throws SwarmError `invalid-argument` when a profile of the spec's own is none. */
function wantedSeccomp(
  spec: ContainerSpec,
  capabilities: readonly string[],
): SeccompProfile | undefined {
  if (spec.seccomp === 'unconfined' || (spec.privileged && spec.seccomp === '')) return undefined;
  const architecture = process.arch;
  return spec.seccomp === ''
    ? seccompProfile(capabilities, architecture)
    : customSeccomp(spec.seccomp, { capabilities, architecture, kernel: release() });
}

async function allMounts(
  wanted: Wanted,
  context: PrepareContext & { readonly mapping: IdMapping | undefined },
): Promise<readonly OciMount[]> {
  const { mapping } = context;
  const { request, image, paths } = wanted;
  const { spec, files } = request;
  const mounts = inOrder([
    ...networkFileMounts(paths, { request, mapping }),
    ...(await specMounts(
      paths,
      { id: request.id, mounts: spec.mounts, imageVolumes: image.config.volumes, mapping },
      context.volumes,
    )),
    ...(await fileMounts(paths, { files, mapping }, context.mounter)),
  ]);
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
