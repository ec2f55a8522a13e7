/** What is mounted into a container besides the kernel's file systems, and making its sources. */
import { chownSync } from 'node:fs';
import { chmod, chown, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { SwarmError, unreachable } from '@swarmd/base';
import type { MountSpec } from '@swarmd/model';

import { errnoOf } from '../files/atomic-file.ts';
import { resolveInRoot } from '../files/in-root.ts';
import { writeNow } from '../files/memory-file.ts';
import { MS_NODEV, MS_NOSUID, type Mounter } from '../files/mounter.ts';
import type { OciMount } from '../oci/spec.ts';
import type { IdMapping } from '../userns/id-mapping.ts';
import { ownerOf } from '../userns/owners.ts';
import type { ContainerFile, ContainerRequest } from '../types.ts';
import { copyUp } from './copy-up.ts';
import { hostnameFile, hostsFile, resolvConf } from './network-files.ts';
import type { ContainerPaths } from './paths.ts';
import type { VolumeStore } from '../volume/volume-store.ts';

/** Page tables and folders of the tmpfs on top of the files' own bytes. */
const FILES_OVERHEAD_BYTES = 64 * 1024;
const PAGE_BYTES = 4096;

/** Files the engine writes for each container; writable unless its root is not. */
export function networkFileMounts(
  paths: ContainerPaths,
  { request, mapping }: { request: ContainerRequest; mapping: IdMapping | undefined },
): readonly OciMount[] {
  const files: Readonly<Record<string, string>> = {
    hosts: hostsFile(request),
    'resolv.conf': resolvConf(request),
    hostname: hostnameFile(request),
  };
  const access = request.spec.readOnly ? ['ro'] : [];
  const mounts: OciMount[] = [];
  for (const [name, text] of Object.entries(files)) {
    const source = join(paths.bundle, name);
    writeNow(source, text, 0o644);
    const { uid, gid } = ownerOf(mapping, { uid: 0, gid: 0 });
    chownSync(source, uid, gid);
    mounts.push({
      destination: `/etc/${name}`,
      type: 'bind',
      source,
      options: ['bind', 'rprivate', ...access],
    });
  }
  return mounts;
}

/** Secrets and configs: on a tmpfs of the container's own, each bound read-only to its place. */
export async function fileMounts(
  paths: ContainerPaths,
  { files, mapping }: { files: readonly ContainerFile[]; mapping: IdMapping | undefined },
  mounter: Mounter,
): Promise<readonly OciMount[]> {
  if (files.length === 0) return [];
  await mkdir(paths.files, { recursive: true, mode: 0o700 });
  const bytes = files.reduce(
    (sum, file) => sum + file.data.length + PAGE_BYTES,
    FILES_OVERHEAD_BYTES,
  );
  await mounter.mount({
    type: 'tmpfs',
    source: 'swarmd-files',
    target: paths.files,
    flags: MS_NOSUID | MS_NODEV,
    options: `mode=0700,size=${bytes},nr_inodes=${files.length + 2}`,
  });
  const mounts: OciMount[] = [];
  for (const [index, file] of files.entries()) {
    const source = join(paths.files, String(index));
    await writeFile(source, file.data, { mode: 0o600 });
    const { uid, gid } = ownerOf(mapping, file);
    await chown(source, uid, gid);
    await chmod(source, file.mode);
    const options = ['bind', 'ro', 'nosuid', 'nodev', 'rprivate'];
    mounts.push({ destination: file.path, type: 'bind', source, options });
  }
  return mounts;
}

/**
 * The mounts of the spec, and anonymous volumes for those the image declares.
 * @throws SwarmError `failed-precondition` for a bind source that does not exist.
 */
export async function specMounts(
  paths: ContainerPaths,
  wanted: {
    readonly id: string;
    readonly mounts: readonly MountSpec[];
    readonly imageVolumes: readonly string[];
    readonly mapping: IdMapping | undefined;
  },
  volumes: VolumeStore,
): Promise<readonly OciMount[]> {
  const result: OciMount[] = [];
  const taken = new Set(wanted.mounts.map((mount) => mount.target.replace(/\/+$/, '')));
  const declared = wanted.imageVolumes
    .filter((target) => !taken.has(target.replace(/\/+$/, '')))
    .map((target): MountSpec => ({ ...ANONYMOUS, target }));
  for (const mount of [...wanted.mounts, ...declared]) {
    const { id, mapping } = wanted;
    result.push(await specMount(mount, { id, paths, volumes, mapping, index: result.length }));
  }
  return result;
}

/** What is mounted below another mount comes after it, in whatever order they were asked for: it would be hidden. */
export function inOrder(mounts: readonly OciMount[]): readonly OciMount[] {
  const depth = ({ destination }: OciMount): number =>
    destination.split('/').filter(Boolean).length;
  return mounts.toSorted((one, other) => depth(one) - depth(other));
}

const ANONYMOUS: Omit<MountSpec, 'target'> = {
  kind: 'volume',
  source: '',
  readOnly: false,
  tmpfsSizeBytes: 0,
  tmpfsMode: 0o1777,
  propagation: '',
  nonRecursive: false,
  subpath: '',
  noCopy: false,
  driver: '',
  driverOptions: {},
  labels: {},
};

async function specMount(mount: MountSpec, context: MountContext): Promise<OciMount> {
  const destination = mount.target;
  switch (mount.kind) {
    case 'bind': {
      const isDirectory = await checkBindSource(mount);
      return bind(mount, mount.source, isDirectory);
    }
    case 'volume': {
      const bound = bind(mount, await volumeSource(mount, context), true);
      // Its files have the same owners for all containers; those of a bind are the machine's own.
      return context.mapping === undefined
        ? bound
        : { ...bound, options: [...bound.options, 'idmap'] };
    }
    case 'tmpfs': {
      const size = mount.tmpfsSizeBytes > 0 ? [`size=${mount.tmpfsSizeBytes}`] : [];
      const access = mount.readOnly ? ['ro'] : [];
      const options = [
        'nosuid',
        'nodev',
        'noexec',
        `mode=${mount.tmpfsMode.toString(8)}`,
        ...size,
        ...access,
      ];
      return { destination, type: 'tmpfs', source: 'tmpfs', options };
    }
    default:
      return unreachable(mount.kind);
  }
}

interface MountContext {
  readonly id: string;
  readonly paths: ContainerPaths;
  readonly volumes: VolumeStore;
  readonly index: number;
  readonly mapping: IdMapping | undefined;
}

/** The folder on this machine. */
async function volumeSource(mount: MountSpec, context: MountContext): Promise<string> {
  const { id, paths, volumes, index, mapping } = context;
  const content = mount.noCopy ? '/dev/null' : await resolveInRoot(paths.merged, mount.target);
  if (mount.source === '') {
    const source = join(paths.volumes, String(index));
    await mkdir(paths.volumes, { recursive: true, mode: 0o700 });
    await copyUp(content, source, mapping);
    return source;
  }
  const { source: name, driver, driverOptions: options, labels } = mount;
  const root = await volumes.acquire(
    { name, driver, options, labels },
    { user: id, content, mapping },
  );
  if (mount.subpath === '') return root;
  // Containers may have put links there.
  const folder = await resolveInRoot(root, mount.subpath);
  if ((await stat(folder).catch(() => undefined))?.isDirectory() === true) return folder;
  throw new SwarmError(
    'failed-precondition',
    `mount for ${mount.target}: volume ${name} has no folder ${mount.subpath}; make it first`,
  );
}

function bind(mount: MountSpec, source: string, isDirectory: boolean): OciMount {
  const kind = mount.nonRecursive ? 'bind' : 'rbind';
  const access = accessOf(mount.readOnly, isDirectory && !mount.nonRecursive);
  const options = [kind, mount.propagation || 'rprivate', access];
  return { destination: mount.target, type: 'bind', source, options };
}

/** A mount can only pass on what the root lets through: runc(8) and crun(1) set it so. */
export function rootPropagation(mounts: readonly MountSpec[]): 'shared' | 'slave' | undefined {
  const wanted = mounts.map(({ propagation }) => propagation);
  if (wanted.some((name) => name.endsWith('shared'))) return 'shared';
  return wanted.some((name) => name.endsWith('slave')) ? 'slave' : undefined;
}

/** rro: also what is mounted below the source. crun takes it for directories only. */
function accessOf(readOnly: boolean, isDirectory: boolean): string {
  if (!readOnly) return 'rw';
  return isDirectory ? 'rro' : 'ro';
}

/** @returns whether the source is a directory. */
async function checkBindSource(mount: MountSpec): Promise<boolean> {
  try {
    return (await stat(mount.source)).isDirectory();
  } catch (cause) {
    if (errnoOf(cause) !== 'ENOENT' && errnoOf(cause) !== 'ENOTDIR') throw cause;
    throw new SwarmError(
      'failed-precondition',
      `mount for ${mount.target}: ${mount.source} does not exist on this node; create it, or use a volume`,
      { cause },
    );
  }
}
