/**
 * Layers of an image as a remapped container sees them: mounted once more with their owners shifted by the
 * kernel (mount_setattr(2), overlayfs since Linux 5.19), so that images are stored once for all. Node has none of
 * these calls, nor has mount(8) of Debian 12: a few lines of perl, whose numbers are the same on every
 * architecture.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { errorMessage, SwarmError } from '@swarmd/base';
import { run } from '@swarmd/base/system';

import type { Mounter } from '../files/mounter.ts';
import type { IdMapping } from './id-mapping.ts';

/** open_tree(AT_FDCWD, OPEN_TREE_CLONE), mount_setattr(MOUNT_ATTR_IDMAP), move_mount(MOVE_MOUNT_F_EMPTY_PATH). */
const MAP_MOUNTS = `
  use strict; my $pid = shift; my $none = "";
  open(my $ns, "<", "/proc/$pid/ns/user") or die "user namespace: $!\\n";
  my $attr = pack("QQQQ", 0x100000, 0, 0, fileno($ns));
  while (@ARGV) {
    my ($from, $to) = splice(@ARGV, 0, 2);
    my $tree = syscall(428, -100, $from, 1);
    $tree >= 0 or die "open_tree $from: $!\\n";
    syscall(442, $tree, $none, 0x1000, $attr, 32) == 0 or die "mount_setattr $from: $!\\n";
    syscall(429, $tree, $none, -100, $to, 4) == 0 or die "move_mount $to: $!\\n";
  }`;

/**
 * Runs `use` with the folders where the layers, given by their paths, are seen with shifted owners. They are
 * gone afterwards; an overlay that was mounted of them keeps what it needs.
 * @param folder for mount points; removed.
 * @throws SwarmError `failed-precondition` when the kernel or the file system cannot.
 */
export async function withMappedLayers<T>(
  {
    layers,
    mapping,
    mounter,
    folder,
  }: { layers: readonly string[]; mapping: IdMapping; mounter: Mounter; folder: string },
  use: (folders: readonly string[]) => Promise<T>,
): Promise<T> {
  const folders = layers.map((_, index) => join(folder, String(index)));
  for (const path of folders) await mkdir(path, { recursive: true, mode: 0o700 });
  try {
    await withUserNamespace(mapping, async (pid) => {
      const pairs = layers.flatMap((layer, index) => [layer, folders[index] ?? '']);
      await run('/usr/bin/perl', ['-e', MAP_MOUNTS, String(pid), ...pairs]);
    }).catch((cause: unknown) => {
      throw new SwarmError(
        'failed-precondition',
        `this node cannot shift the owners of the image's files, which --userns remap needs (Linux 5.19, and a file system that knows idmapped mounts): ${errorMessage(cause)}`,
        { cause },
      );
    });
    return await use(folders);
  } finally {
    await mounter.unmountBelow(folder);
    await rm(folder, { recursive: true, force: true });
  }
}

/** A process that does nothing in a user namespace with the mapping. */
async function withUserNamespace(
  { uid, gid }: IdMapping,
  use: (pid: number) => Promise<void>,
): Promise<void> {
  const holder = spawn('unshare', ['--user', 'sh', '-c', 'echo; read x'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ended = once(holder, 'close');
  try {
    await Promise.race([once(holder.stdout, 'data'), ended]);
    const { pid } = holder;
    if (pid === undefined || holder.exitCode !== null)
      throw new SwarmError('failed-precondition', 'unshare(1) cannot make a user namespace');
    await writeFile(`/proc/${pid}/gid_map`, `0 ${gid.first} ${gid.count}\n`);
    await writeFile(`/proc/${pid}/uid_map`, `0 ${uid.first} ${uid.count}\n`);
    await use(pid);
  } finally {
    holder.kill('SIGKILL');
    await ended;
  }
}
