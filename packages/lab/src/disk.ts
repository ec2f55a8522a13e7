/**
 * A host's disk as a file system of its own, in a file: it can be full, hang, be slow, and lose at a
 * power failure what was not synced. Without one the state folder is a folder of this machine.
 */
import { existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';

import { run } from '@swarmd/base/system';

import type { Host } from './host.ts';

const MOUNT = '/var/lib/swarmd';
const BALLAST = `${MOUNT}/.lab-ballast`;
const SLOWER = 'slow-disk';
const MIB = 1024 * 1024;
/** Of each period the disk of `slowDisk` hangs so long, and works so long. */
const SLOW_HANG_S = 0.08;
const SLOW_WORK_S = 0.02;
/** FS_IOC_SHUTDOWN with FSOP_GOING_FLAGS_NOLOGFLUSH (include/uapi/linux/fs.h): what xfstests calls "godown". */
const GO_DOWN = `open(my $d, "<", "${MOUNT}") or die $!; my $how = pack("L", 2); ioctl($d, 0x8004587d, $how) or die $!`;

/** Makes the file of a host's disk unless it is there; `init.sh` mounts it. */
export async function ensureDisk(host: Host, mebibytes: number): Promise<void> {
  const file = diskFile(host);
  if (existsSync(file)) return;
  mkdirSync(host.dir, { recursive: true });
  const fresh = `${file}.new`;
  writeFileSync(fresh, '');
  truncateSync(fresh, mebibytes * MIB);
  await run('mkfs.ext4', ['-q', '-F', '-m', '0', fresh]);
  await run('mv', [fresh, file]);
}

export function hasDisk(host: Host): boolean {
  return existsSync(diskFile(host));
}

/** Takes every free block. What is written already stays readable. */
export async function fillDisk(host: Host): Promise<void> {
  // fallocate takes what there is in large pieces, dd the rest; both end with "no space left".
  const line = `for size in 64M 8M 1M 128K; do n=0; while fallocate -o $(stat -c %s ${BALLAST} 2>/dev/null || echo 0) -l $size ${BALLAST} 2>/dev/null; do :; done; done; dd if=/dev/zero of=${BALLAST}.rest bs=4k 2>/dev/null; :`;
  await host.exec(['sh', '-c', line]);
}

/** Writes hang until `healDisk`; reads of what is in memory do not. */
export async function hangDisk(host: Host): Promise<void> {
  await host.exec(['fsfreeze', '-f', MOUNT], { okCodes: [0, 1] });
}

/** Writes hang most of the time, for less than a tenth of a second each. */
export async function slowDisk(host: Host): Promise<void> {
  if ((await host.servicePid(SLOWER)) !== undefined) return;
  const cycle = `fsfreeze -f ${MOUNT}; sleep ${SLOW_HANG_S}; fsfreeze -u ${MOUNT}; sleep ${SLOW_WORK_S}`;
  await host.startService(SLOWER, ['sh', '-c', `while :; do ${cycle}; done`]);
}

/** Undoes all of the above. */
export async function healDisk(host: Host): Promise<void> {
  await thawDisk(host);
  await host.exec(['rm', '-f', BALLAST, `${BALLAST}.rest`]);
}

/** From now on nothing reaches the disk any more, and what was not synced never will. */
export async function cutDisk(host: Host): Promise<void> {
  await thawDisk(host);
  await host.exec(['perl', '-e', GO_DOWN]);
}

/** A file system must not be frozen when its last user goes: nobody could thaw it any more. */
export async function thawDisk(host: Host): Promise<void> {
  await host.killService(SLOWER);
  await host.exec(['fsfreeze', '-u', MOUNT], { okCodes: [0, 1] });
}

function diskFile(host: Host): string {
  return `${host.dir}/disk.img`;
}
