/**
 * Weights of block devices. Both versions of cgroups have two files for them, by what the device is scheduled with:
 * of version 2 the cost model and BFQ, of version 1 CFQ (up to Linux 4) and BFQ. A kernel has one, both or none. Pure.
 */

/** By file of a cgroup: what Docker's 10 to 1000 is there; of version 1 without the controller's name. */
const VALUES = {
  'blkio.weight': (weight = 500) => `${weight}`,
  'blkio.bfq.weight': (weight = 100) => `${weight}`,
  'io.bfq.weight': (weight = 100) => `default ${weight}`,
  // From 1 to 10000; converted as crun(1) and runc do.
  'io.weight': (weight) =>
    `default ${weight === undefined ? 100 : 1 + Math.floor(((weight - 10) * 9_999) / 990)}`,
} as const satisfies Record<string, (weight?: number) => string>;

export type IoWeightFile = keyof typeof VALUES;

/** Files of the root of version 1, or of any cgroup of version 2, that say that its containers have which one. */
const SIGNS = {
  1: { 'blkio.weight': 'blkio.weight', 'blkio.bfq.weight': 'blkio.bfq.io_service_bytes' },
  2: { 'io.weight': 'io.weight', 'io.bfq.weight': 'io.bfq.weight' },
} as const satisfies Record<1 | 2, Partial<Record<IoWeightFile, string>>>;

/** Those that there are. */
export function ioWeightFiles(
  version: 1 | 2,
  isThere: (sign: string) => boolean,
): readonly IoWeightFile[] {
  const signs = Object.entries(SIGNS[version]) as [IoWeightFile, string][];
  return signs.filter(([, sign]) => isThere(sign)).map(([file]) => file);
}

/** crun fails where version 1 has only BFQ's. */
export function isWrittenByRuntimes(file: IoWeightFile): boolean {
  return file !== 'blkio.bfq.weight';
}

/** @param weight 10 to 1000; undefined: the kernel's default. */
export function ioWeightValue(file: IoWeightFile, weight: number | undefined): string {
  return VALUES[file](weight);
}
